"""One layer of configuration — a file, ``--set`` or flags — broken down to entries.

An entry is a path, the value there, and where it came from. Whether a value is acceptable is not
decided here, only whether its key exists; problems are collected, as sentences, not raised.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from msgspec import Struct, field

from fetcher.config import yamltext
from fetcher.config.keys import (
    ROOT,
    Key,
    Named,
    Section,
    Table,
    UnknownKeyError,
    Value,
    accepts,
    dotted,
    find,
    resolve,
    suggestion,
)
from fetcher.config.yamltext import Document, KeyPath, YamlError
from fetcher.policy import urls

SET: Final = "--set"
_GROUPS: Final = ("hosts", "groups")
_SHOWN: Final = 80
"""Characters of a refused value that a message shows."""


class Flag(Struct, frozen=True):
    """A value given by a flag of the command line; ``name`` is the flag, such as ``--rate``."""

    name: str
    value: object


class Entry(Struct, frozen=True):
    path: KeyPath
    value: Any
    origin: str


class Layer(Struct, frozen=True):
    entries: tuple[Entry, ...] = ()
    groups: tuple[str, ...] = ()
    """Names of the host groups that it has, in its order."""
    problems: tuple[str, ...] = ()


def from_file(file: Path) -> Layer:
    """The layer of a YAML file. One that cannot be read is a problem, too."""
    try:
        document = yamltext.parse(file.read_text(encoding="utf-8"))
    except OSError as error:
        return Layer(problems=(f"{file}: cannot be read: {error.strerror}",))
    except UnicodeDecodeError as error:
        return Layer(problems=(f"{file}: is not UTF-8 (byte {error.start})",))
    except YamlError as error:
        return Layer(problems=(f"{file}:{error.line}: not usable as YAML: {error.problem}",))
    if not isinstance(document.value, dict | None):
        return Layer(problems=(f"{file}:1: got no mapping; accepted: {accepts(ROOT)}",))
    breakdown = _Breakdown()
    breakdown.document(ROOT, (), document, _Where(str(file), document.lines))
    return breakdown.layer()


def from_sets(sets: Iterable[str]) -> Layer:
    """The layer of ``--set`` arguments, ``key.path=value`` each; of two for one key the later."""
    breakdown = _Breakdown()
    for text in sets:
        breakdown.setting(text)
    return breakdown.layer()


def from_flags(flags: Mapping[str, Flag]) -> Layer:
    """The layer of flags, by key path; raises ``UnknownKeyError``."""
    breakdown = _Breakdown()
    for name, flag in flags.items():
        path = resolve(name)
        breakdown.add(find(path), path, flag.value, _Where(flag.name))
    return breakdown.layer()


def refusal(path: KeyPath, given: Any, origin: str, reason: str = "") -> str:
    """The sentence on a value that its key does not accept."""
    because = f": {reason}" if reason else ""
    return (
        f"{dotted(path)}: got {shown(given)} ({origin}){because}; accepted: {accepts(find(path))}"
    )


def shown(value: Any) -> str:
    """``value`` as YAML, cut to a length fit for a message, without a URL's password."""
    if isinstance(value, str) and "://" in value:
        value = urls.redact_credentials(value)
    text = yamltext.dump(value)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"


class _Where(Struct, frozen=True):
    """Where the values of one document stand; only those of a file have lines."""

    source: str
    lines: Mapping[KeyPath, int] | None = None

    @property
    def in_file(self) -> bool:
        return self.lines is not None

    def of(self, path: KeyPath) -> str:
        line = (self.lines or {}).get(path)
        return self.source if line is None else f"{self.source}:{line}"


class _Breakdown(Struct):
    """Takes the values of one layer apart."""

    entries: list[Entry] = field(default_factory=list)
    groups: dict[str, None] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def layer(self) -> Layer:
        return Layer(tuple(self.entries), tuple(self.groups), tuple(self.problems))

    def setting(self, text: str) -> None:
        name, equals, written = (part.strip() for part in text.partition("="))
        if not (name and equals and name.isprintable()):
            self.problems.append(f"{SET} {text}: accepted: key.path=value")
            return
        try:
            path = resolve(name)
            # There is nothing that an alias could refer to: a leading * is a wildcard.
            wildcard = written.startswith("*")
            document = Document(written, {}, ()) if wildcard else yamltext.parse(written)
        except UnknownKeyError as error:
            self.unknown(error, SET)
        except YamlError as error:
            self.problems.append(refusal(path, written, SET, f"no YAML, {error.problem}"))
        else:
            self.document(find(path), path, document, _Where(SET))

    def document(self, key: Key, path: KeyPath, document: Document, where: _Where) -> None:
        for below, line in document.twice:
            both = f"{where.of(below)} and {line}" if where.in_file else where.source
            self.problems.append(f"{dotted((*path, *below))}: given twice ({both})")
        self.add(key, path, document.value, where)

    def add(self, key: Key, path: KeyPath, value: Any, where: _Where) -> None:
        """Break ``value`` of ``key`` at ``path`` down to entries."""
        if value is None and where.in_file and not isinstance(key, Value):
            value = {}  # all of its keys are commented out
        if isinstance(key, Value):
            if path[:-2] == _GROUPS:
                self.group(path[-2], where.of(path))
            self.entries.append(Entry(path, value, where.of(path)))
        elif isinstance(value, dict):
            self._below(key, path, value, where)
        elif path[:-1] == _GROUPS and "." in path[-1]:
            # A group's name may have dots, so a misspelled key of a group reads as one.
            name, _, last = path[-1].rpartition(".")
            self.unknown(UnknownKeyError((*_GROUPS, name), last), where.of(path))
        else:
            self.problems.append(refusal(path, value, where.of(path)))

    def _below(
        self, key: Section | Named | Table, path: KeyPath, values: dict[str, Any], where: _Where
    ) -> None:
        if isinstance(key, Table):
            self._table(key, path, values, where)
            return
        if path[:-1] == _GROUPS:
            self.group(path[-1], where.of(path))
        for name, value in values.items():
            here = (*path, name)
            if isinstance(key, Named):
                self.add(key.section, here, value, where)
            elif name in key.keys:
                self.add(key.keys[name], here, value, where)
            else:
                self.unknown(UnknownKeyError(path, name), where.of(here))

    def _table(self, key: Table, path: KeyPath, values: dict[str, Any], where: _Where) -> None:
        # As a whole it replaces the table of an earlier layer, even if it is empty.
        self.entries.append(Entry(path, {}, where.of(path)))
        seen: set[str] = set()
        for name, value in values.items():
            item, origin = (*path, key.canonical(name)), where.of((*path, name))
            if item[-1] in seen:
                self.problems.append(f"{dotted(item)}: given twice ({origin})")
            seen.add(item[-1])
            self.entries.append(Entry(item, value, origin))

    def group(self, name: str, origin: str) -> None:
        if name.strip() and name.isprintable():
            self.groups[name] = None
            return
        path = dotted((*_GROUPS, ""))
        self.problems.append(f"{path}: got {shown(name)} ({origin}); accepted: a name to print")

    def unknown(self, error: UnknownKeyError, origin: str) -> None:
        guess = suggestion(error.below, error.name)
        asked = f"; did you mean {guess}?" if guess else ""
        self.problems.append(f"{error}: no such key ({origin}){asked}")

"""Layers of configuration to one: defaults < file < ``--set`` < flags.

A later entry replaces what stands at and below its path; what is left is checked as a whole.
All problems of all layers are told in one error, a line each.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from msgspec import Struct

from fetcher.config.building import Refusal, build
from fetcher.config.keys import PLACEHOLDER, accepts, documented_keys, dotted, find
from fetcher.config.layers import (
    Entry,
    Flag,
    Layer,
    from_file,
    from_flags,
    from_sets,
    refusal,
    shown,
)
from fetcher.config.schema import Config, ConflictError
from fetcher.config.units import reason_of
from fetcher.config.yamltext import KeyPath
from fetcher.errors import ConfigError

DEFAULT: Final = "default"
_DEFAULTS: Final = {
    doc.path: doc.default for doc in documented_keys() if PLACEHOLDER not in doc.path.split(".")
}


class LoadedConfig(Struct, frozen=True):
    """The configuration in force, and where each value came from.

    ``origins`` has the path of every value: ``default``, ``FILE:LINE``, ``--set`` or the flag's
    name. What a host group takes over from ``hosts.default`` has no entry of its own.
    """

    config: Config
    origins: Mapping[str, str]


def load(
    file: Path | None = None,
    sets: Sequence[str] = (),
    flags: Mapping[str, Flag] | None = None,
) -> LoadedConfig:
    """The configuration of ``file``, ``sets`` (``key.path=value``, the value YAML) and ``flags``
    (by key path; a flag's value is what YAML would give: text, numbers, lists).

    Raises ``ConfigError`` with every problem that was found, and ``UnknownKeyError`` for a flag
    that sets no key: the program's mistake, not the user's.
    """
    layers = [
        from_file(file) if file is not None else Layer(),
        from_sets(sets),
        from_flags(flags or {}),
    ]
    problems = [problem for layer in layers for problem in layer.problems]
    entries = _merge(entry for layer in layers for entry in layer.entries)
    config, refused = build(_tree(entries.values(), _group_order(layers)))
    problems += _refusals(refused, entries)
    if config is None or problems:
        raise ConfigError(
            "\n".join(map(_printable, problems)),
            hint="`fetcher config show` prints every key with its value and where it came from.",
        )
    given = {dotted(path): entry.origin for path, entry in entries.items()}
    return LoadedConfig(config, dict.fromkeys(_DEFAULTS, DEFAULT) | given)


def _printable(problem: str) -> str:
    """One line that does nothing to a terminal: names of keys may be anything."""
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode()
        for letter in problem
    )


def _merge(entries: Iterable[Entry]) -> dict[KeyPath, Entry]:
    merged: dict[KeyPath, Entry] = {}
    for entry in entries:
        depth = len(entry.path)
        for path in [path for path in merged if path[:depth] == entry.path]:
            del merged[path]
        merged[entry.path] = entry
    return merged


def _group_order(layers: Sequence[Layer]) -> list[str]:
    """Host groups: first those that a later layer brought in, else as they were given."""
    order: list[str] = []
    for layer in layers:
        order = [name for name in layer.groups if name not in order] + order
    return order


def _tree(entries: Iterable[Entry], groups: Sequence[str]) -> dict[str, Any]:
    tree: dict[str, Any] = {"hosts": {"groups": {name: {} for name in groups}}}
    for entry in entries:
        *above, last = entry.path
        section = tree
        for name in above:
            section = section.setdefault(name, {})
        section[last] = dict(entry.value) if isinstance(entry.value, dict) else entry.value
    return tree


def _refusals(refused: Iterable[Refusal], entries: Mapping[KeyPath, Entry]) -> Iterator[str]:
    for path, given, cause in refused:
        if isinstance(cause, ConflictError):
            yield _conflict(path, cause, entries)
        elif cause is None:
            yield f"{dotted(path)}: not given; accepted: {accepts(find(path))}"
        elif path in entries:
            # Otherwise it is the echo, in a host group, of a value refused in hosts.default.
            yield refusal(path, given, entries[path].origin, reason_of(cause))


def _conflict(section: KeyPath, conflict: ConflictError, entries: Mapping[KeyPath, Entry]) -> str:
    def told(name: str) -> tuple[str, str, str]:
        path = (*section, name)
        if path in entries:
            return dotted(path), shown(entries[path].value), entries[path].origin
        return dotted(path), _DEFAULTS[dotted(path)], DEFAULT

    key, value, origin = told(conflict.key)
    other, other_value, other_origin = told(conflict.other)
    return (
        f"{key}: got {value} ({origin}); "
        f"accepted: {conflict.rule} {other}, which is {other_value} ({other_origin})"
    )

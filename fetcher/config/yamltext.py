"""YAML text to plain values, with the line of every key; and values to YAML text.

Scalars are resolved by the YAML 1.2 core schema, not by PyYAML's 1.1: ``no``, ``on``, ``1:30``,
``0123`` and ``2017-11-01`` are the texts that they look like. Mapping keys are always texts. Only
plain data is built, whatever tags say. A key given twice is a problem, not the last one's victory.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, TypeAlias

import yaml
from msgspec import Struct, field

KeyPath: TypeAlias = tuple[str, ...]

_TAG: Final = "tag:yaml.org,2002:"
_NULL = re.compile(r"|~|null|Null|NULL")
_BOOL = re.compile(r"true|True|TRUE|false|False|FALSE")
_INT = re.compile(r"[-+]?(?:0|[1-9][0-9]*)")
_FLOAT = re.compile(r"[-+]?(?:0|[1-9][0-9]*)(?:\.[0-9]*)?(?:[eE][-+]?[0-9]+)?")
_HALF: Final = re.compile("[\ud800-\udfff]")
_MAX_DIGITS: Final = 400
_MAX_VALUES: Final = 10_000
"""In one document, with what aliases repeat: nine lines of them can stand for gigabytes."""


class YamlError(ValueError):
    """The text is no YAML, or not of the plain kind. ``line`` counts from 1."""

    def __init__(self, problem: str, line: int) -> None:
        super().__init__(problem)
        self.problem = problem
        self.line = line


class Document(Struct, frozen=True):
    """``lines`` has the line (from 1) of every mapping key; ``twice`` has the keys that were given
    again, and the line of that; the first value stands.
    """

    value: Any
    lines: Mapping[KeyPath, int]
    twice: tuple[tuple[KeyPath, int], ...]


class _Loader(yaml.SafeLoader):
    yaml_implicit_resolvers: Final = {}  # type: ignore[misc]  # the base class has those of 1.1


class _Dumper(yaml.SafeDumper):
    """Quotes what YAML 1.1 or 1.2 would take for something other than text."""

    def ignore_aliases(self, _data: object) -> bool:
        return True


def _represent_text(dumper: _Dumper, value: object) -> yaml.ScalarNode:
    text = str(value)
    # Only the double-quoted style keeps control characters and line breaks on one line.
    style = None if text.isprintable() else '"'
    return dumper.represent_scalar(_TAG + "str", text, style=style)


_Dumper.add_representer(str, _represent_text)
_Dumper.add_multi_representer(object, _represent_text)  # paths, enumerations

# In this order: what is an int would be a float as well.
for _name, _pattern, _first in (
    ("null", _NULL, ["", "~", "n", "N"]),
    ("bool", _BOOL, list("tTfF")),
    ("int", _INT, list("-+0123456789")),
    ("float", _FLOAT, list("-+0123456789")),
):
    _anchored = re.compile(f"(?:{_pattern.pattern})$")
    _Loader.add_implicit_resolver(_TAG + _name, _anchored, _first)
    _Dumper.add_implicit_resolver(_TAG + _name, _anchored, _first)


def parse(text: str) -> Document:
    """The one document in ``text``; raises ``YamlError``."""
    builder = _Builder()
    try:
        node = _composed(text)
        value = builder.build(node, ()) if node is not None else None
    except RecursionError:
        raise YamlError("nested too deeply", 1) from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise YamlError(_explain(error), mark.line + 1 if mark else 1) from None
    except yaml.YAMLError as error:  # a character that YAML does not allow
        raise YamlError(str(error).partition("\n")[0], 1) from None
    return Document(value, builder.lines, tuple(builder.twice))


def _composed(text: str) -> yaml.Node | None:
    try:
        node: yaml.Node | None = yaml.compose(text, Loader=_Loader)
    except (OverflowError, ValueError):  # from chr(), for what stands behind a backslash and U
        raise YamlError("an escape that stands for no character", 1) from None
    return node


def dump(value: object) -> str:
    """``value`` on one line, as it may stand before or behind a colon."""
    # Inside of a list, a scalar is dumped without the document markers that it has on its own.
    text = yaml.dump(
        [value], Dumper=_Dumper, default_flow_style=True, allow_unicode=True, width=1 << 30
    )
    return text.strip()[1:-1]


def _explain(error: yaml.MarkedYAMLError) -> str:
    problem = error.problem or "cannot be read"
    if "alias" in f"{error.context}{problem}":
        return "a value that begins with * must be quoted"
    return problem


class _Builder(Struct):
    lines: dict[KeyPath, int] = field(default_factory=dict)
    twice: list[tuple[KeyPath, int]] = field(default_factory=list)
    _open: set[int] = field(default_factory=set)
    _built: int = 0

    def build(self, node: yaml.Node, path: KeyPath) -> Any:
        self._built += 1
        if self._built > _MAX_VALUES:
            raise YamlError("more values than any configuration has", node.start_mark.line + 1)
        if isinstance(node, yaml.ScalarNode):
            return _scalar(node)
        if id(node) in self._open:
            raise YamlError("an alias that contains itself", node.start_mark.line + 1)
        self._open.add(id(node))
        try:
            if isinstance(node, yaml.MappingNode) and node.tag == _TAG + "map":
                return dict(self._pairs(node, path))
            if isinstance(node, yaml.SequenceNode) and node.tag == _TAG + "seq":
                return [self.build(item, (*path, str(i))) for i, item in enumerate(node.value)]
        finally:
            self._open.discard(id(node))
        raise YamlError(f"the tag {node.tag} is not for configurations", node.start_mark.line + 1)

    def _pairs(self, node: yaml.MappingNode, path: KeyPath) -> Iterator[tuple[str, Any]]:
        seen: set[str] = set()
        for key, value in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode):
                raise YamlError("a key that is no text", line)
            _refuse_halves(key)
            here = (*path, key.value)
            if key.value in seen:
                self.twice.append((here, line))
                continue
            seen.add(key.value)
            self.lines[here] = line
            yield key.value, self.build(value, here)


def _refuse_halves(node: yaml.ScalarNode) -> None:
    """Escapes can write half of a character (a lone surrogate), which nothing can write down."""
    if _HALF.search(node.value):
        raise YamlError("an escape that stands for half a character", node.start_mark.line + 1)


def _scalar(node: yaml.ScalarNode) -> str | int | float | bool | None:
    _refuse_halves(node)
    text: str = node.value
    kind = node.tag.removeprefix(_TAG)
    line = node.start_mark.line + 1
    if kind in ("int", "float") and len(text) > _MAX_DIGITS:
        raise YamlError("a number of too many digits", line)
    try:
        match kind:
            case "str":
                return text
            case "null" if _NULL.fullmatch(text):
                return None
            case "bool" if _BOOL.fullmatch(text):
                return text.lower() == "true"
            case "int" if _INT.fullmatch(text):
                return int(text)
            case "float" if _FLOAT.fullmatch(text):
                return float(text)
    except ValueError:
        pass
    raise YamlError(f"{text!r} is not of the kind that the tag {node.tag} says", line)

"""The schema as a tree of keys: what a path leads to, and what was meant by one that leads nowhere.

A path is written with dots (``fetch.timeout.stall``) and held as a tuple, because the names that
users choose may have dots of their own: in ``hosts.groups.example.org.rate`` the group is
``example.org``, in ``network.connect_to.example.org:443`` the key is ``example.org:443``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any, Final, TypeAlias, get_args, get_type_hints

from msgspec import NODEFAULT, Struct
from msgspec.structs import FieldInfo, fields, replace

from fetcher.config.schema import Config, In, LikeSibling, Pairs
from fetcher.config.units import Unit
from fetcher.config.yamltext import KeyPath, dump

PLACEHOLDER: Final = "NAME"
"""Stands for a host group's name in documentation."""


class Value(Struct, frozen=True):
    """A key with one value."""

    unit: Unit[Any]
    description: str
    default: Any
    required: bool


class Table(Struct, frozen=True):
    """A key whose value maps names of the user's to values."""

    key: Unit[str]
    value: Unit[str]
    description: str

    @property
    def accepts(self) -> str:
        return f"{self.key.accepts}; {self.value.accepts}"

    def canonical(self, name: str) -> str:
        """The one spelling of ``name``; itself, if it is one that will be refused."""
        try:
            return self.key.parse(name)
        except ValueError:
            return name


class Section(Struct, frozen=True):
    """A key with keys below it; ``made`` is what holds their values."""

    keys: Mapping[str, Key]
    made: type[Struct]


class Named(Struct, frozen=True):
    """A key below which the user names sections of one shape."""

    section: Section
    sibling: str
    """The key beside it that has what they leave out."""


Key: TypeAlias = Value | Table | Section | Named


class UnknownKeyError(LookupError):
    """No key has this path. ``below`` is the deepest one that exists, ``name`` what it lacks."""

    def __init__(self, below: KeyPath, name: str) -> None:
        super().__init__(dotted((*below, name)))
        self.below = below
        self.name = name


class KeyDoc(Struct, frozen=True):
    """One key as documentation tells of it; ``default`` is YAML."""

    path: str
    default: str
    accepts: str
    description: str


def dotted(path: KeyPath) -> str:
    return ".".join(path)


def resolve(text: str) -> KeyPath:
    """The path that ``text`` writes; raises ``UnknownKeyError``."""
    key: Key = ROOT
    path: KeyPath = ()
    rest = tuple(text.split("."))
    while rest:
        match key:
            case Section():
                head = rest[0]
                if head not in key.keys:
                    raise UnknownKeyError(path, dotted(rest))
                key, path, rest = key.keys[head], (*path, head), rest[1:]
            case Named():
                inner = len(rest) > 1 and rest[-1] in key.section.keys
                name = dotted(rest[:-1] if inner else rest)
                key, path, rest = key.section, (*path, name), rest[-1:] if inner else ()
            case Table():
                return (*path, key.canonical(dotted(rest)))
            case Value():
                raise UnknownKeyError(path, dotted(rest))
    return path


def find(path: KeyPath) -> Key:
    """What ``path`` leads to. In a table, every name leads to the unit of its values."""
    key: Key = ROOT
    for name in path:
        match key:
            case Section():
                key = key.keys[name]
            case Named():
                key = key.section
            case Table():
                unit = replace(key.value, accepts=key.accepts)
                key = Value(unit, key.description, default=None, required=True)
            case Value():
                raise KeyError(dotted(path))
    return key


def accepts(key: Key) -> str:
    """What may be given for ``key``, for people."""
    match key:
        case Value():
            return key.unit.accepts
        case Table():
            return f"a mapping, {key.accepts}"
        case Section():
            return f"a mapping with the keys {', '.join(key.keys)}"
        case Named():
            return f"a mapping of names, each with the keys {', '.join(key.section.keys)}"


def suggestion(below: KeyPath, name: str) -> str:
    """The path that was probably meant by ``name`` below ``below``; empty if there is no guess."""
    key = find(below)
    head, _, tail = name.partition(".")
    for close in get_close_matches(head, key.keys if isinstance(key, Section) else (), n=1):
        candidate = dotted((*below, close))
        return f"{candidate}.{tail}" if tail and _exists(f"{candidate}.{tail}") else candidate
    paths = [doc.path for doc in documented_keys()]
    for path in paths:
        if path.endswith(f".{name.rpartition('.')[2]}"):
            return path
    return next(iter(get_close_matches(dotted((*below, name)), paths, n=1, cutoff=0.8)), "")


def _exists(text: str) -> bool:
    try:
        resolve(text)
    except UnknownKeyError:
        return False
    return True


def documented_keys() -> list[KeyDoc]:
    """Every key that takes a value, in the order of the schema."""
    return list(_documented(ROOT, ()))


def _documented(key: Key, path: KeyPath) -> Iterator[KeyDoc]:
    match key:
        case Section():
            for name, child in key.keys.items():
                yield from _documented(child, (*path, name))
        case Named():
            for name, child in key.section.keys.items():
                if isinstance(child, Value):
                    default = "required" if child.required else f"as hosts.default.{name}"
                    here = dotted((*path, PLACEHOLDER, name))
                    yield KeyDoc(here, default, child.unit.accepts, child.description)
        case Table():
            yield KeyDoc(dotted(path), "{}", key.accepts, key.description)
        case Value():
            default = dump(key.unit.show(key.default))
            yield KeyDoc(dotted(path), default, key.unit.accepts, key.description)


def _section(made: type[Struct]) -> Section:
    hints = get_type_hints(made, include_extras=True)
    keys = {field.name: _key(hints[field.name], field) for field in fields(made)}
    # What must be given comes first: a group is known by its hosts.
    return Section(dict(sorted(keys.items(), key=lambda item: not is_required(item[1]))), made)


def is_required(key: Key) -> bool:
    return isinstance(key, Value) and key.required


def _key(hint: Any, field: FieldInfo) -> Key:
    if isinstance(hint, type) and issubclass(hint, Struct):
        return _section(hint)
    held, note = get_args(hint)
    match note:
        case In(unit, meaning):
            return Value(unit, meaning, field.default, required=field.default is NODEFAULT)
        case Pairs(key, value, meaning):
            return Table(key, value, meaning)
        case LikeSibling(name):
            _, made = get_args(held)
            return Named(_section(made), name)
    raise TypeError(f"{field.name}: {hint}")


ROOT: Final = _section(Config)

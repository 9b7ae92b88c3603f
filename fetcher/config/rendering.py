"""The configuration in force, written for people and for programs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from fetcher.config.keys import ROOT, Key, Named, Section, Table, Value, dotted
from fetcher.config.loading import LoadedConfig
from fetcher.config.yamltext import KeyPath, dump

_INDENT: Final = "  "


def render(loaded: LoadedConfig) -> str:
    """YAML with every key, and where its value came from as a comment.

    Loaded as a file it gives an equal configuration: what a host group takes over from
    ``hosts.default`` is there as a comment only. A proxy's password is shown as ``***``, which is
    refused when it is loaded.
    """
    return "".join(f"{line}\n" for line in _Renderer(loaded).section(ROOT, (), loaded.config))


def as_dict(loaded: LoadedConfig) -> dict[str, Any]:
    """``{"config": …, "origins": {path: origin}}`` of what JSON can hold.

    Durations are seconds, sizes bytes; ``null`` is "no limit" or "not given"; passwords are hidden.
    """
    return {"config": _plain(ROOT, loaded.config), "origins": dict(loaded.origins)}


class _Renderer:
    def __init__(self, loaded: LoadedConfig) -> None:
        self._origins = loaded.origins

    def section(self, key: Section, path: KeyPath, values: Any) -> Iterator[str]:
        for name, inner in key.keys.items():
            yield from self._key(inner, (*path, name), getattr(values, name))

    def _key(self, key: Key, path: KeyPath, value: Any) -> Iterator[str]:
        match key:
            case Value():
                yield self._line(path, dump(key.unit.show(value)))
            case Table() if value:
                yield self._head(path)
                for name, item in value.items():
                    yield self._line((*path, name), dump(key.value.show(item)))
            case Named() if value:
                yield self._head(path)
                for name, section in value.items():
                    yield self._head((*path, name))
                    yield from self.section(key.section, (*path, name), section)
            case Section():
                yield self._head(path)
                yield from self.section(key, path, value)
            case Table() | Named():
                yield self._line(path, "{}")

    def _head(self, path: KeyPath) -> str:
        return f"{_INDENT * (len(path) - 1)}{dump(path[-1])}:"

    def _line(self, path: KeyPath, shown: str) -> str:
        origin = self._origins.get(dotted(path))
        if origin is None and path[:-2] == ("hosts", "groups"):
            return f"{_INDENT * (len(path) - 1)}# {path[-1]}: {shown}  (hosts.default)"
        return f"{self._head(path)} {shown}  # {_commented(origin or 'default')}"


def _commented(origin: str) -> str:
    """A file's name may have a line break in it, and what follows would be no comment any more."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in origin)


def _plain(key: Key, value: Any) -> Any:
    match key:
        case Section():
            return {name: _plain(inner, getattr(value, name)) for name, inner in key.keys.items()}
        case Named():
            return {name: _plain(key.section, section) for name, section in value.items()}
        case Table():
            return dict(value)
        case Value():
            return value if isinstance(value, int | float | None) else key.unit.show(value)

"""The tree of what was given becomes a ``Config``.

Each value is parsed by its key's unit, each section is made of its values, and what was not given
keeps its default. Nothing stops at the first mistake: all that is refused is told.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, cast

from fetcher.config.keys import ROOT, Key, Named, Section, Table, Value, is_required
from fetcher.config.schema import Config, ConflictError
from fetcher.config.units import Unit
from fetcher.config.yamltext import KeyPath


class Refusal(NamedTuple):
    path: KeyPath
    given: Any
    """What was refused; ``None`` if nothing was given, and something has to be."""
    cause: ValueError | None
    """A ``ConflictError`` where it is the whole section; ``None`` if nothing was given."""


def build(tree: Mapping[str, Any]) -> tuple[Config | None, list[Refusal]]:
    """The configuration, or what is refused. ``tree`` has no keys that the schema does not have,
    and mappings where it has keys below.

    A mistake in ``hosts.default`` is told again at each group that takes it over.
    """
    builder = _Builder()
    built = builder.section(ROOT, (), tree)
    return (None if builder.refused else cast("Config", built)), builder.refused


class _Builder:
    def __init__(self) -> None:
        self.refused: list[Refusal] = []

    def section(self, section: Section, path: KeyPath, given: Mapping[str, Any]) -> Any:
        """``None`` if anything in it is refused."""
        before = len(self.refused)
        values: dict[str, Any] = {}
        for name, key in section.keys.items():
            if name in given:
                values[name] = self._key(key, (*path, name), given)
            elif is_required(key):
                self.refused.append(Refusal((*path, name), None, None))
        if len(self.refused) > before:
            return None
        try:
            return section.made(**values)
        except ConflictError as error:
            self.refused.append(Refusal(path, given, error))
            return None

    def _key(self, key: Key, path: KeyPath, beside: Mapping[str, Any]) -> Any:
        """``beside`` has what was given for it, and for its siblings."""
        given = beside[path[-1]]
        match key:
            case Value():
                return self._parsed(key.unit, path, given)
            case Section():
                return self.section(key, path, given)
            case Named():
                common = beside.get(key.sibling, {})
                return {
                    name: self.section(key.section, (*path, name), {**common, **own})
                    for name, own in given.items()
                }
            case Table():
                return {
                    self._parsed(key.key, (*path, name), name): self._parsed(
                        key.value, (*path, name), value
                    )
                    for name, value in given.items()
                }

    def _parsed(self, unit: Unit[Any], path: KeyPath, given: Any) -> Any:
        try:
            return unit.parse(given)
        except ValueError as error:
            self.refused.append(Refusal(path, given, error))
            return None

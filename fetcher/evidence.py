"""What a manifest tells those who look on: tables with the question that they answer, and assets as
they are handed to others. Values only, as in ``model``.

A table carries its SQL, so that whoever reads a number can ask the manifest again.
"""

from __future__ import annotations

from typing import NamedTuple

from msgspec import Struct

from fetcher.model import State

Cell = None | int | float | str


class Table(Struct, frozen=True):
    """The answer to one question. ``sql`` stands by itself: no parameters, no functions of ours."""

    name: str
    """Stable, in snake_case: what data files call it."""
    sql: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]

    def records(self) -> list[dict[str, Cell]]:
        return [dict(zip(self.columns, row, strict=True)) for row in self.rows]


class Listed(NamedTuple):
    """An asset with all that its list said, and what is kept of it."""

    image_id: str
    subset: str
    url: str
    size: int | None
    md5: str | None
    """As listed."""
    state: State
    path: str | None
    """Of what is kept, relative to DIR."""
    actual_md5: str | None
    extra: dict[str, str]
    """The list's other columns, by name; empty where the asset's own list has no such column."""

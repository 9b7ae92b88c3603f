"""Many rows in one statement.

``sqlite3`` frees the GIL at every step of a statement and takes it again after. Beside a thread
that is busy with Python, each taking may wait for the switch interval, so what counts is not rows
but steps. Measured on CPython 3.11 and SQLite 3.40, batches of 1,000 rows of ten columns, in
microseconds per row:

====================================  ==============  =====================
                                      alone           beside a busy thread
====================================  ==============  =====================
executemany, insert / update          3.3 / 2.4       900-3,800 / 2,400
json_each(?), insert / update         6.1 / 3.1       27 / 24
VALUES in one statement, 250 at once  2.6 / 2.1       39-45 / 38-45
====================================  ==============  =====================

(Two statements for BEGIN and COMMIT are in all of them.) VALUES wins alone and, with 1,024 rows to
the statement instead of 250, needs as few steps as JSON. Compiling such a statement costs more than
running it, so there are only a few sizes of each, kept compiled; what is missing to the next size
is filled with rows of NULL, which every template leaves out. If that is much (a row of NULL costs
half a row), a smaller size is taken first, and then another one for the rest.

The way back is the same: rows come home as one JSON array in one step, and their types are looked
at on the way, since a column's binds who writes by way of SQLite, and no disk.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any, Final

from msgspec.json import Decoder

Value = None | int | float | str

_SIZES: Final = (16, 32, 64, 128, 256, 512, 1024)
_WASTE: Final = 4
"""A statement may be filled up if that is at most one part in so many of it."""


class Bulk:
    """A statement over rows of ``width`` values; ``{rows}`` in the template is where they go.

    The template has to ignore rows whose first value is NULL. Its own parameters come after the
    rows. ``back`` is the type of what comes home, if anything does.
    """

    def __init__(self, template: str, *, width: int, back: Any = list[Any]) -> None:
        row = "(" + ",".join("?" * width) + ")"
        self._width = width
        self._sql = {size: template.replace("{rows}", ",".join([row] * size)) for size in _SIZES}
        self._decode = Decoder(back).decode

    def write(
        self, connection: sqlite3.Connection, rows: Sequence[Sequence[Value]], *more: Value
    ) -> None:
        for sql, values in self._statements(rows, more):
            connection.execute(sql, values)

    def read(
        self, connection: sqlite3.Connection, rows: Sequence[Sequence[Value]], *more: Value
    ) -> Iterator[Any]:
        """For a template that selects one ``json_group_array(…)``: its members. Raises
        ``ValueError`` if they are of another type.
        """
        for sql, values in self._statements(rows, more):
            yield from self._decode(connection.execute(sql, values).fetchone()[0])

    def _statements(
        self, rows: Sequence[Sequence[Value]], more: tuple[Value, ...]
    ) -> Iterator[tuple[str, list[Value]]]:
        start = 0
        while start < len(rows):
            size = _size_for(len(rows) - start)
            part = rows[start : start + size]
            start += size
            values = [value for row in part for value in row]
            values += [None] * (self._width * (size - len(part)))
            values += more
            yield self._sql[size], values


@cache
def _size_for(count: int) -> int:
    """Of the statement that is to take (the first of) ``count`` rows."""
    larger = next((size for size in _SIZES if size >= count), None)
    if larger is not None and (larger == _SIZES[0] or (larger - count) * _WASTE <= larger):
        return larger
    return max(size for size in _SIZES if size <= count)

"""A list's further columns, as the manifest keeps them: one JSON array for each row.

A member is the text, or the number of a row in ``texts`` where a column repeats itself: nine
million rows with the same licence need not have its URL nine million times. Which of the two it is
says nothing, so rows are compared by what they decode to.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from json.encoder import encode_basestring
from typing import Any, Final

from fetcher.manifest.bulk import Bulk
from fetcher.manifest.leasing import Leased
from fetcher.manifest.names import Names
from fetcher.model import Row

_REPEATS: Final = 8
"""How often the values of a column must occur in a batch, on average, to be kept as numbers."""

DECODED: Final = (
    "(SELECT json_group_array(iif(e.type = 'integer', "
    "(SELECT name FROM texts WHERE id = e.value), e.value)) FROM json_each(d.extra) AS e)"
)
"""The texts of ``details AS d``, as a JSON array."""


def encode(rows: Sequence[Row], texts: Names) -> list[str]:
    """What to keep of each row. All rows have the columns of one source."""
    columns = zip(*(row.extra for row in rows), strict=True)
    members = zip(*(_members(column, texts) for column in columns), strict=True)
    encoded = ["[" + ",".join(member) + "]" for member in members]
    return encoded or ["[]"] * len(rows)


_OF_ASSETS: Final = Bulk(
    "SELECT json_group_array(json_array(d.asset_id, "  # noqa: S608  constants of this package
    "(SELECT name FROM layouts WHERE id = d.layout_id), " + DECODED + ")) "
    "FROM (VALUES {rows}) CROSS JOIN details AS d ON d.asset_id = column1",
    width=1,
)


def attach(connection: sqlite3.Connection, leased: Sequence[Leased]) -> None:
    """Give these assets their list's other columns. Call it within a transaction."""
    extra = {
        asset_id: _named(names, texts)
        for asset_id, names, texts in _OF_ASSETS.read(
            connection, [(item.asset.asset_id,) for item in leased]
        )
    }
    for item in leased:
        item.asset = item.asset._replace(extra=extra.get(item.asset.asset_id, ""))


def _named(names: str, texts: list[Any]) -> str:
    cells = zip(json.loads(names), texts, strict=False)
    return json.dumps(dict(cells), ensure_ascii=False)


def _members(column: tuple[str, ...], texts: Names) -> Iterator[str]:
    distinct = set(column)
    if len(distinct) * _REPEATS > len(column):
        return map(encode_basestring, column)
    numbers = {text: str(number) for text, number in texts.ids(sorted(distinct)).items()}
    return map(numbers.__getitem__, column)

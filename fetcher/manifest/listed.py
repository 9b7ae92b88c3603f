"""What a list says of an asset besides: where its row is, and the row's further cells.

That is in ``details``, a row for each asset (``extras``), or in ``passages``, a row for many; where
it is in both, ``details`` is right.
"""

# ruff: noqa: S608  every statement is put together from constants of this package

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from typing import Any, Final

from msgspec import structs

from fetcher.manifest import passages
from fetcher.manifest.bulk import Bulk
from fetcher.manifest.extras import DECODED
from fetcher.manifest.leasing import Leased
from fetcher.manifest.passages import FUNCTION

# SQL, all of it in terms of ``assets AS a`` joined with ``JOINED``.
JOINED: Final = (
    "LEFT JOIN details AS d ON d.asset_id = a.asset_id "
    "LEFT JOIN passages AS g ON d.asset_id IS NULL AND g.first_asset = "
    "(SELECT max(first_asset) FROM passages WHERE first_asset <= a.asset_id)"
)
"""``details AS d``, or else ``passages AS g``; what is not there is all NULL."""
SOURCE: Final = "coalesce(d.source_id, g.source_id)"
LINE: Final = "coalesce(d.line, g.first_line + a.asset_id - g.first_asset)"
LAYOUT: Final = "coalesce(d.layout_id, g.layout_id)"
APART: Final = (
    "iif(typeof(g.said) = 'integer', g.said, "
    "json_extract(g.said, '$[' || (a.asset_id - g.first_asset) || ']'))"
)
"""Of the column that passages keep apart: a number in ``texts``."""
_SAID: Final = f"(SELECT name FROM texts WHERE id = {APART})"
CELLS: Final = (
    f"iif(d.asset_id IS NULL, {FUNCTION}(g.text, a.asset_id - g.first_asset, g.apart, {_SAID}), "
    f"{DECODED})"
)
"""The texts of the further columns, as a JSON array. Not where another thread of the process is
busy: each row would wait for it. There, what is in passages is read by itself."""

PARTS: Final = f"json({DECODED}), g.first_asset, g.apart, {_SAID}"
"""The same in parts, for ``with_cells``."""

_OF_ASSETS: Final = Bulk(
    "SELECT json_group_array(json_array(a.asset_id, "
    f"(SELECT name FROM layouts WHERE id = {LAYOUT}), {PARTS})) "
    "FROM (VALUES {rows}) CROSS JOIN assets AS a ON a.asset_id = column1 " + JOINED,
    width=1,
)


def attach(connection: sqlite3.Connection, leased: Sequence[Leased]) -> None:
    """Give these assets their list's other columns. Call it within a transaction."""
    ids = [(item.asset.asset_id,) for item in leased]
    rows = list(_OF_ASSETS.read(connection, ids))
    found = {
        asset_id: _named(names, texts)
        for (asset_id, names), texts in with_cells(connection, rows)
        if names is not None
    }
    for item in leased:
        item.asset = structs.replace(item.asset, extra=found.get(item.asset.asset_id, ""))


def with_cells(
    connection: sqlite3.Connection, rows: Sequence[list[Any]]
) -> Iterator[tuple[list[Any], list[str]]]:
    """Rows whose first value is an ``asset_id`` and whose last ones are ``PARTS``: without these,
    and the texts that they stand for.
    """
    found = passages.read(connection, (row[-3] for row in rows))
    for *row, texts, first, apart, said in rows:
        if first is not None:
            texts = passages.put(found[first][row[0] - first], apart, said)  # noqa: PLW2901
        yield row, texts


def _named(names: str, texts: list[Any]) -> str:
    cells = zip(json.loads(names), texts, strict=False)
    return json.dumps(dict(cells), ensure_ascii=False)

"""Passages: the further cells of rows that follow each other in a list, as they are written there.

A passage's text is the delimiter, and behind it a line for each row: its further cells, without
those that make an asset, and without the licence, which is kept as a number. Nothing is taken apart
on the way in: cells are parted, and quotes taken off, by who asks for them.

A text fills a page of the manifest, as far as whole rows do: one page is read to know one row, and
none is left half empty.
"""

from __future__ import annotations

import csv
import json
import sqlite3
from collections.abc import Iterable, Mapping
from typing import Final

from fetcher.manifest.bulk import Bulk

PAGE: Final = 4_030
"""Bytes of a text that still fit into a leaf of 4 KiB, with the other columns, and their sizes."""


def cells(text: str) -> list[list[str]]:
    """The further cells of each row of a passage."""
    return list(csv.reader(text[1:].split("\n"), delimiter=text[0]))


_READ: Final = Bulk(
    "SELECT json_group_array(json_array(g.first_asset, g.text)) "
    "FROM (VALUES {rows}) CROSS JOIN passages AS g ON g.first_asset = column1",
    width=1,
)


def read(
    connection: sqlite3.Connection, first_assets: Iterable[int | None]
) -> Mapping[int, list[list[str]]]:
    """The cells of the passages that begin with these assets. In a transaction."""
    wanted = [(first,) for first in sorted({first for first in first_assets if first is not None})]
    return {first: cells(text) for first, text in _READ.read(connection, wanted)}


def put(row: list[str], apart: int | None, said: str | None) -> list[str]:
    """With the cell that was kept apart."""
    return row if apart is None or said is None else [*row[:apart], said, *row[apart:]]


FUNCTION: Final = "passage_cells"
"""``passage_cells(text, row, apart, said)`` with rows from 0 gives a JSON array."""


def teach(connection: sqlite3.Connection) -> None:
    """Let SQL on this connection take passages apart."""
    last: tuple[str, list[list[str]]] = ("", [])

    def passage_cells(text: str, row: int, apart: int | None, said: str | None) -> str:
        nonlocal last
        if last[0] != text:  # rows are asked for in their order
            last = text, cells(text)
        return json.dumps(put(last[1][row], apart, said), ensure_ascii=False)

    connection.create_function(FUNCTION, 4, passage_cells, deterministic=True)


WRONG: Final = (
    "SELECT 1 FROM passages WHERE assets <> 1 + "
    "length(CAST(text AS BLOB)) - length(CAST(replace(text, char(10), '') AS BLOB)) "
    "OR NOT (typeof(said) IN ('integer', 'null') OR json_valid(said)) LIMIT 1"
)
"""One that has not as many rows as it should have, or says nothing of the cells kept apart."""

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
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Final, NamedTuple

from fetcher.manifest.bulk import Bulk

PAGE: Final = 4_030
"""Bytes of a text that still fit into a leaf of 4 KiB, with the other columns, and their sizes."""


class Passage(NamedTuple):
    first: int
    """The first of its rows, among those that it was made of, from 1."""
    rows: int
    text: bytes


def written(rows: Sequence[str], delimiter: str) -> Iterator[Passage]:
    """The passages of rows, each of which is a row's further cells."""
    # Only short texts are put together, and most of these are ASCII, which is the fastest by far.
    ends = [0, *accumulate(map(len, rows))]
    at = 0
    while at < len(rows):
        end = bisect_right(ends, ends[at] + PAGE, lo=at + 1) - 1
        while ends[end] - ends[at] + end - at > PAGE:  # with the line feeds
            end -= 1
        end = max(end, at + 1)
        while True:
            text = (delimiter + "\n".join(rows[at:end])).encode()
            if len(text) <= PAGE or end == at + 1:
                break
            end = max(at + 1, at + (end - at) * PAGE // len(text))
        yield Passage(at + 1, end - at, text)
        at = end


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

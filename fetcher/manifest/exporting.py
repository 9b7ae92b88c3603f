"""Assets on their way out: in the order of the lists, with all that the lists said, as a stream.

Nothing is held but a slice; what must be sorted, SQLite sorts in a temporary file.
"""

# ruff: noqa: S608  every statement is put together from constants of this package

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Iterator
from typing import Final

from fetcher.evidence import Listed
from fetcher.manifest.listed import CELLS, JOINED, LAYOUT
from fetcher.manifest.plausible import require_asset, require_inside
from fetcher.manifest.states import STATE_IDS, STATES
from fetcher.model import State

_SLICE: Final = 500
"""Rows."""

# The view's own columns would do, but not its order: list order is the order of ``asset_id``.
_SELECT: Final = f"""
SELECT i.image_id, i.subset, i.url, i.expected_size, i.expected_md5, a.state, i.path, i.actual_md5,
    {LAYOUT}, {CELLS}
FROM assets AS a CROSS JOIN images AS i ON i.image_id = a.image_id
{JOINED}
"""


def listed(
    connection: sqlite3.Connection,
    states: Collection[State],
    *,
    by_url: bool = False,
    kept: bool = False,
) -> Iterator[Listed]:
    """Assets in ``states``; ``kept``: only those with a file. Call it within a transaction.

    ``by_url`` sorts by the URL's bytes, for formats that want it so.
    """
    layouts: dict[int, list[str]] = {
        number: json.loads(names)
        for number, names in connection.execute("SELECT id, name FROM layouts")
    }
    wanted = ", ".join(str(STATE_IDS[state]) for state in State if state in states)
    sql = f"{_SELECT}WHERE a.state IN ({wanted})"
    if kept:
        sql += " AND a.path IS NOT NULL"
    sql += " ORDER BY a.url, a.asset_id" if by_url else " ORDER BY a.asset_id"
    cursor = connection.execute(sql)
    while rows := cursor.fetchmany(_SLICE):
        for image_id, subset, url, size, md5, state, path, actual, layout, extra in rows:
            require_asset(image_id, subset, size, md5, (0, 0))
            require_inside([path])
            names = layouts[layout]
            cells = dict(zip(names, json.loads(extra), strict=False))
            yield Listed(image_id, subset, url, size, md5, STATES[state], path, actual, cells)


def extra_columns(connection: sqlite3.Connection) -> tuple[str, ...]:
    """Names of the columns that the lists have besides, each once, as first met."""
    names: dict[str, None] = {}
    for (found,) in connection.execute(
        "SELECT l.name FROM layouts AS l WHERE l.id IN (SELECT layout_id FROM sources) "
        "ORDER BY l.id"
    ):
        names.update(dict.fromkeys(json.loads(found)))
    return tuple(names)

"""The manifest's memory of robots.txt: one row for each origin that was asked.

What is older than a day is kept, too: while a host does not answer, what it said last still holds.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from msgspec.structs import astuple

from fetcher.model import RobotsNote


def recall(
    connection: sqlite3.Connection, origins: Sequence[str], token: str
) -> dict[str, RobotsNote]:
    """What is known of these origins; what was read for another product is not."""
    found: dict[str, RobotsNote] = {}
    for origin in origins:
        row = connection.execute(
            "SELECT fetched_at, rules FROM robots WHERE origin = ? AND token = ?", (origin, token)
        ).fetchone()
        if row is not None:
            found[origin] = RobotsNote(origin, token, *row)
    return found


def remember(connection: sqlite3.Connection, notes: Sequence[RobotsNote]) -> None:
    connection.executemany(
        "INSERT INTO robots (origin, token, fetched_at, rules) VALUES (?, ?, ?, ?) "
        "ON CONFLICT (origin) DO UPDATE SET token = excluded.token, "
        "fetched_at = excluded.fetched_at, rules = excluded.rules",
        [astuple(note) for note in notes],
    )

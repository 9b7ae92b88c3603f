"""How many assets stand where: kept beside the assets, in the transaction that moves them.

Counting nine million rows takes seconds; reading these takes none, and a law that is checked after
every crash must be cheap to check.
"""

# ruff: noqa: S608  every statement is put together from constants of this package

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Final

from fetcher.manifest.bulk import Bulk
from fetcher.manifest.states import STATES, VERIFIED
from fetcher.model import RowTally, Selection, State, Tally

_ADD: Final = Bulk(
    "INSERT INTO tallies (subset_id, state, code, n, expected_bytes, stored_bytes) "
    "SELECT * FROM (VALUES {rows}) WHERE column1 IS NOT NULL "
    "ON CONFLICT (subset_id, state, code) DO UPDATE SET n = n + excluded.n, "
    "expected_bytes = expected_bytes + excluded.expected_bytes, "
    "stored_bytes = stored_bytes + excluded.stored_bytes",
    width=6,
)

STORED_BYTES: Final = (
    "CASE WHEN a.path GLOB '[.#]*' OR a.path GLOB 'images/*' "
    f"THEN coalesce(a.actual_size, iif(a.state = {VERIFIED}, a.expected_size, 0), 0) ELSE 0 END"
)

COUNTED: Final = (
    "SELECT subset_id, state, code, count(*), total(expected_size), total(stored) FROM ("
    f"SELECT a.subset_id, a.state, a.code, a.expected_size, {STORED_BYTES} AS stored "
    "FROM assets AS a) GROUP BY subset_id, state, code"
)
"""The same as the table ``tallies``, counted: what tests compare it with."""

_PICKED: Final = Bulk(
    "SELECT json_group_array(json_array(s.name, a.state, c.name, a.expected_size, "
    f"{STORED_BYTES})) FROM (VALUES {{rows}}) "
    "CROSS JOIN assets AS a ON a.image_id = column1 "
    "CROSS JOIN subsets AS s ON s.id = a.subset_id LEFT JOIN codes AS c ON c.id = a.code",
    width=1,
)

Key = tuple[int, int, int]
"""Subset, state and code, by their numbers."""


class TallyChanges:
    """What a transaction adds to and takes from the tallies."""

    __slots__ = ("_changes",)

    def __init__(self) -> None:
        self._changes: dict[Key, list[int]] = {}

    def add(self, key: Key, expected: int | None, stored: int = 0, n: int = 1) -> None:
        """One asset more at ``key``; with ``n=-1``, one less. Bytes follow the sign of ``n``."""
        change = self._changes.get(key)
        if change is None:
            change = self._changes[key] = [0, 0, 0]
        change[0] += n
        change[1] += n * (expected or 0)
        change[2] += n * stored

    def shift(self, key: Key, n: int, expected: int, stored: int) -> None:
        """``n`` assets more (or less) at ``key``, with so many bytes more (or less) in all."""
        change = self._changes.setdefault(key, [0, 0, 0])
        change[0] += n
        change[1] += expected
        change[2] += stored

    def write(self, connection: sqlite3.Connection) -> None:
        _ADD.write(
            connection,
            [(*key, *change) for key, change in self._changes.items() if any(change)],
        )


def read(connection: sqlite3.Connection, subsets: frozenset[str] | None = None) -> Tally:
    """Where the manifest stands; ``subsets`` narrows the assets, not the rows."""
    return _tally(
        connection,
        (
            (STATES[state], code, n, expected, stored)
            for subset, state, code, n, expected, stored in connection.execute(
                "SELECT s.name, t.state, c.name, t.n, t.expected_bytes, t.stored_bytes "
                "FROM tallies AS t JOIN subsets AS s ON s.id = t.subset_id "
                "LEFT JOIN codes AS c ON c.id = t.code WHERE t.n > 0"
            )
            if subsets is None or subset in subsets
        ),
    )


def read_selected(connection: sqlite3.Connection, selection: Selection) -> Tally:
    """The same for a selection. With ids, one look-up for each."""
    if selection.ids is None:
        return read(connection, selection.subsets)
    ids = [(image_id,) for image_id in selection.ids]
    return _tally(
        connection,
        (
            (STATES[state], code, 1, expected or 0, stored)
            for subset, state, code, expected, stored in _PICKED.read(connection, ids)
            if selection.subsets is None or subset in selection.subsets
        ),
    )


def counted(
    connection: sqlite3.Connection, parts: Iterable[tuple[int, str | None, int, int, int]]
) -> Tally:
    """A tally of ``parts``: state, code, assets, their expected bytes, their stored bytes."""
    return _tally(connection, ((STATES[s], code, n, b, k) for s, code, n, b, k in parts))


def _tally(
    connection: sqlite3.Connection, parts: Iterable[tuple[State, str | None, int, int, int]]
) -> Tally:
    states = dict.fromkeys(State, 0)
    codes: Counter[str] = Counter()
    expected_bytes = stored_bytes = 0
    for state, code, n, expected, stored in parts:
        states[state] += n
        if code is not None:
            codes[code] += n
        expected_bytes += expected
        stored_bytes += stored
    return Tally(
        states, dict(sorted(codes.items())), _rows(connection), expected_bytes, stored_bytes
    )


def _rows(connection: sqlite3.Connection) -> RowTally:
    total = RowTally()
    for tally in _source_rows(connection):
        total += tally
    return total


def _source_rows(connection: sqlite3.Connection) -> Iterator[RowTally]:
    for accepted, duplicate, rejected in connection.execute(
        "SELECT accepted, duplicate, rejected FROM sources"
    ):
        yield RowTally(accepted + duplicate + rejected, accepted, duplicate, rejected)

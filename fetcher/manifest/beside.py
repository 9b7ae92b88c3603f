"""Staged rows come in: what ``staging`` has made ready, at the speed of C.

A batch is an SQLite database in memory. It is laid beside the manifest, and one statement each
moves its rows into ``assets`` and ``passages``, while this process's other threads go on (``bulk``
says what a step costs otherwise).

That no id is known is not asked beforehand: the index that keeps ids unique says so when the first
one comes in twice. Then nothing of the batch is written, and its rows are taken back out and judged
one by one, as any others.
"""

# ruff: noqa: S608  every statement is put together from constants of this package

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from typing import Final

from fetcher.manifest.passages import cells, put
from fetcher.manifest.schema import ROOM
from fetcher.manifest.states import PENDING
from fetcher.model import Expectation, Row
from fetcher.ports import StagedRows

SCHEMA: Final = "staged"
"""The name of the place beside the manifest."""
BESIDE: Final = f"ATTACH ':memory:' AS {SCHEMA}"

# Its rows count from 1.
ASSETS: Final = (
    # ?1 is the time.
    # Numbers come by themselves, one after the other, so none has to be looked for. And as all of
    # the transaction goes if an id is taken, no journal is kept of what to take back.
    "INSERT OR ROLLBACK INTO main.assets (image_id, subset_id, host_id, url, expected_size, "
    "expected_md5, state, code, updated_at, room) SELECT image_id, subset, host, url, "
    f"size, md5, {PENDING}, 0, ?1, '{ROOM}' FROM {SCHEMA}.rows ORDER BY n"
)
PASSAGES: Final = (
    # ?1 is the asset that the first row has become.
    "INSERT INTO main.passages (first_asset, assets, source_id, first_line, layout_id, apart, "
    "said, text) SELECT ?1 - 1 + first, rows, ?2, ?3 - 1 + first, ?4, apart, said, text "
    f"FROM {SCHEMA}.passages"
)
_AS_THEY_WERE: Final = (
    f"FROM {SCHEMA}.rows AS r CROSS JOIN main.assets AS a ON a.image_id = r.image_id "
    f"CROSS JOIN {SCHEMA}.passages AS p "
    f"ON p.first = (SELECT max(first) FROM {SCHEMA}.passages WHERE first <= r.n) "
    "CROSS JOIN main.passages AS g ON g.first_asset = a.asset_id - r.n + p.first "
    "WHERE a.asset_id < ?1 AND g.source_id = ?2 AND g.first_line = ?3 - 1 + p.first "
    "AND g.layout_id = ?4 AND g.assets = p.rows AND g.apart IS p.apart AND g.said IS p.said "
    "AND g.text = p.text AND a.url = r.url AND a.expected_size IS r.size "
    "AND a.expected_md5 IS r.md5 "
    "AND NOT EXISTS (SELECT 1 FROM main.details AS d WHERE d.asset_id = a.asset_id) "
    "AND NOT EXISTS (SELECT 1 FROM main.seen AS s WHERE s.asset_id = a.asset_id)"
)
CONFIRMED: Final = f"SELECT count(*) {_AS_THEY_WERE}"
SEEN: Final = (
    "INSERT INTO main.seen (asset_id, source_id, line) "
    f"SELECT a.asset_id, ?2, ?3 - 1 + r.n {_AS_THEY_WERE}"
)
_COUNTED: Final = f"SELECT json_group_array(json_array(id, rows, bytes)) FROM {SCHEMA}.subsets"
_FIRSTS: Final = f"SELECT json_group_array(json_array(name, id, first)) FROM {SCHEMA}.hosts"
_ROWS: Final = (
    "SELECT json_group_array(json_array(r.n, r.image_id, s.name, r.url, r.size, r.md5)) "
    f"FROM {SCHEMA}.rows AS r CROSS JOIN main.subsets AS s ON s.id = r.subset ORDER BY r.n"
)
_FURTHER: Final = (
    "SELECT json_group_array(json_array(apart, text, "
    "json((SELECT json_group_array((SELECT name FROM main.texts WHERE id = e.value)) "
    f"FROM json_each(said) AS e)))) FROM (SELECT * FROM {SCHEMA}.passages ORDER BY first)"
)


def lay(connection: sqlite3.Connection, staged: StagedRows) -> None:
    """Not within a transaction."""
    connection.deserialize(staged.image, name=SCHEMA)


def write_assets(connection: sqlite3.Connection, first_id: int, count: int, now: int) -> bool:
    """Whether all ``count`` rows are new, and now the assets from ``first_id`` on, behind all that
    there were; if not, nothing is written. In a transaction that has written nothing yet.
    """
    try:
        written = connection.execute(ASSETS, (now,))
    except sqlite3.IntegrityError as error:
        if error.sqlite_errorname != "SQLITE_CONSTRAINT_UNIQUE":  # else an id is known
            raise
        connection.execute("BEGIN IMMEDIATE")  # another one in the place of that
        return False
    if written.lastrowid != first_id - 1 + count:
        raise RuntimeError(f"the last asset is {written.lastrowid}: {count} from {first_id} on")
    return True


def confirm(
    connection: sqlite3.Connection,
    staged: StagedRows,
    source_id: int,
    layout_id: int,
    before: int,
) -> bool:
    """Whether all rows say what they said when an earlier import took them from the same lines of
    the same source, into assets below ``before``, and none was met since; if so, that is noted. In
    a transaction.
    """
    where = (before, source_id, staged.line, layout_id)
    if connection.execute(CONFIRMED, where).fetchone()[0] != staged.count:
        return False
    connection.execute(SEEN, where)
    return True


def counted(connection: sqlite3.Connection) -> list[tuple[int, int, int]]:
    """Number, rows and bytes of each subset."""
    return [(*row,) for row in json.loads(connection.execute(_COUNTED).fetchone()[0])]


def first_by_host(connection: sqlite3.Connection, first_id: int) -> dict[str, tuple[int, int]]:
    """As ``Leases.offer`` takes it."""
    hosts = json.loads(connection.execute(_FIRSTS).fetchone()[0])
    return {name: (number, first_id - 1 + first) for name, number, first in hosts}


def rows(connection: sqlite3.Connection, line: int) -> list[Row]:
    """The staged rows as any others. In a transaction."""
    array = json.loads(connection.execute(_ROWS).fetchone()[0])
    return [
        Row(line - 1 + n, image_id, subset, url, Expectation(size, md5), (*extra,))
        for (n, image_id, subset, url, size, md5), extra in zip(
            array, _further(connection), strict=True
        )
    ]


def _further(connection: sqlite3.Connection) -> Iterator[list[str]]:
    """The further cells of each row."""
    for apart, text, texts in json.loads(connection.execute(_FURTHER).fetchone()[0]):
        found, said = cells(text), texts or [None]
        for row, one in zip(found, said * len(found) if len(said) == 1 else said, strict=True):
            yield put(row, apart, one)

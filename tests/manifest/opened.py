"""A manifest for tests, and questions to it that only tests ask."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from fetcher.manifest import listed, runs
from fetcher.manifest.database import Database
from fetcher.manifest.runs import RunInfo
from fetcher.manifest.tallies import COUNTED
from fetcher.model import (
    Asset,
    BadRow,
    Expectation,
    LeaseRequest,
    Row,
    RowTally,
    Selection,
    SourceInfo,
    State,
    Tally,
)
from tests.conformance.manifest_suite import group_of

NOON = 1_700_000_000.0


@contextmanager
def database(path: Path, selection: Selection = Selection()) -> Iterator[Database]:  # noqa: B008
    manifest = Database.open(
        path, command="test", group_of=group_of, selection=selection, wall=lambda: NOON
    )
    try:
        manifest.begin_run(RunInfo("test", "0"))
        yield manifest
        manifest.end_run(0)
    finally:
        manifest.close()


def source(name: str = "list.csv", member: str | None = None) -> SourceInfo:
    return SourceInfo(f"/{name}", member, ("Title",))


def import_all(
    manifest: Database,
    rows: Sequence[Row | BadRow],
    *,
    info: SourceInfo | None = None,
    fingerprint: str = "1",
    batch: int = 1000,
    finish: bool = True,
) -> RowTally:
    """Import a source from where it stopped, as the importer does."""
    cursor = manifest.begin_source(info or source(), fingerprint)
    total = RowTally()
    if cursor.complete:
        return total
    left = [row for row in rows if row.line > cursor.after_line]
    for start in range(0, len(left), batch):
        part = left[start : start + batch]
        total += manifest.import_rows(cursor.source_id, part, part[-1].line)
    if finish:
        manifest.finish_source(cursor.source_id)
    return total


def lease(manifest: Database, limit: int = 100_000, room: int = 100_000) -> list[Asset]:
    while True:
        part = manifest.lease_part(LeaseRequest(limit, default_room=room))
        if part.leased or part.done:
            return [leased.asset for leased in part.leased]


def lease_many(manifest: Database, limit: int = 100_000) -> list[Asset]:
    """Slice by slice, until there is nothing left or ``limit`` is reached."""
    taken: list[Asset] = []
    while len(taken) < limit and (more := lease(manifest, limit=limit - len(taken))):
        taken += more
    return taken


def images(path: Path) -> list[dict[str, Any]]:
    """The contract view, by id."""
    return query(path, "SELECT * FROM images ORDER BY image_id")


def query(path: Path, sql: str) -> list[dict[str, Any]]:
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        connection.row_factory = sqlite3.Row
        return [dict(row) for row in connection.execute(sql)]


def asset_of(manifest: Database, asset_id: int) -> Asset:
    """An asset as it stands, leased or not."""
    row = manifest._connection.execute(
        "SELECT a.asset_id, a.image_id, s.name, a.url, h.name, a.expected_size, a.expected_md5, "
        "a.attempts FROM assets AS a JOIN subsets AS s ON s.id = a.subset_id "
        "JOIN hosts AS h ON h.id = a.host_id WHERE a.asset_id = ?",
        (asset_id,),
    ).fetchone()
    number, image_id, subset, url, host, size, md5, attempts = row
    return Asset(number, image_id, subset, url, host, Expectation(size, md5), attempts)


def pending_among(manifest: Database, asset_ids: Iterable[int]) -> set[int]:
    pending = manifest._connection.execute("SELECT asset_id FROM assets WHERE state = 0")
    return set(asset_ids) & {asset_id for (asset_id,) in pending}


def last_run_ended_cleanly(manifest: Database) -> bool:
    """Of the runs before the one that has begun."""
    return runs.last_ended_cleanly(manifest._connection, manifest._run_id)


def dump(connection: sqlite3.Connection, *, without: Iterable[str] = ()) -> dict[str, list[Any]]:
    tables = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall()
    return {
        name: connection.execute(f"SELECT * FROM {name} ORDER BY 1, 2").fetchall()  # noqa: S608
        for (name,) in tables
        if name not in {"runs", *without}
    }


def check_laws(connection: sqlite3.Connection, tally: Tally) -> None:
    """Law 1, and that the tallies are what a count finds."""
    rows = tally.rows
    assert rows.read == rows.accepted + rows.duplicate + rows.rejected
    assert rows.accepted == tally.total
    counted = [tuple(map(int, row)) for row in connection.execute(COUNTED)]
    kept = [
        tuple(row)
        for row in connection.execute("SELECT * FROM tallies ORDER BY 1, 2, 3")
        if any(row[3:])
    ]
    assert sorted(counted) == kept
    owned = dict(
        connection.execute(
            f"SELECT {listed.SOURCE}, count(*) FROM assets AS a {listed.JOINED} GROUP BY 1"  # noqa: S608
        )
    )
    for source_id, accepted in connection.execute("SELECT id, accepted FROM sources"):
        assert owned.get(source_id, 0) == accepted
    rejected = dict(connection.execute("SELECT source_id, count(*) FROM rejected_rows GROUP BY 1"))
    for source_id, n in connection.execute("SELECT id, rejected FROM sources"):
        assert rejected.get(source_id, 0) == n
    assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
    ids = connection.execute("SELECT count(*), coalesce(max(asset_id), 0) FROM assets").fetchone()
    assert ids[0] == ids[1] == tally.total
    assert tally.states.keys() == set(State)

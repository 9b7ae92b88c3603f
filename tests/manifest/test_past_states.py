"""What an asset was before it was opened again is kept; first settlements write nothing."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from fetcher.manifest.database import Database
from fetcher.model import Expectation, State
from tests.conformance.manifest_suite import outcome, row
from tests.manifest.opened import database, import_all, lease, query

REOPEN = "UPDATE assets SET state = 0, code = 0, attempts = 0 WHERE asset_id = 1"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "manifest.sqlite"


def reopen(path: Path) -> None:
    """As a command that is no run would."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(REOPEN)
        connection.commit()


def settle(manifest: Database, state: State, **values: Any) -> None:
    (asset,) = lease(manifest)
    manifest.settle([outcome(asset.asset_id, state, **values)])


def past(path: Path) -> list[tuple[Any, ...]]:
    found = query(
        path,
        "SELECT p.asset_id, p.in_run, p.until_run, s.name AS state, c.name AS code, p.http_status "
        "FROM past_states AS p JOIN states AS s ON s.id = p.state "
        "LEFT JOIN codes AS c ON c.id = p.code ORDER BY p.id",
    )
    return [tuple(entry.values()) for entry in found]


def test_settling_for_the_first_time_writes_nothing(path: Path) -> None:
    with database(path) as manifest:
        import_all(manifest, [row(1)])
        settle(manifest, State.PENDING, code="stalled")
        manifest.settle([outcome(1, State.GONE, 2, code="http-404", http_status=404)])
    assert past(path) == []


def test_what_is_opened_again_leaves_what_it_was(path: Path) -> None:
    with database(path) as manifest:
        import_all(manifest, [row(1)])
        settle(manifest, State.GONE, code="http-404", http_status=404)
    reopen(path)
    with database(path) as manifest:
        settle(manifest, State.VERIFIED, http_status=200)
    reopen(path)
    with database(path) as manifest:
        settle(manifest, State.GONE, code="http-410", http_status=410)
    assert past(path) == [
        (1, 1, 1, "gone", "http-404", 404),
        (1, 2, 2, "verified", None, 200),
    ]


def test_so_does_what_is_settled_anew_without_being_pending(path: Path) -> None:
    with database(path) as manifest:
        import_all(manifest, [row(1)])
        settle(manifest, State.ALIVE)
    with database(path), closing(sqlite3.connect(path)) as connection:
        connection.execute(
            "INSERT INTO attempts (asset_id, n, run_id, attempt, started_ms, elapsed_ms, code, "
            "received) VALUES (1, 2, 2, 1, 0, 0, 0, 0)"
        )
        connection.execute("UPDATE assets SET state = 5, attempts_ever = 2 WHERE asset_id = 1")
        connection.commit()
    assert past(path) == [(1, 1, 2, "alive", None, None)]


def test_and_what_a_list_changes(path: Path) -> None:
    with database(path) as manifest:
        import_all(manifest, [row(1)])
        settle(manifest, State.VERIFIED, http_status=200)
    changed = replace(row(1), expected=Expectation(7, None))
    with database(path) as manifest:
        import_all(manifest, [changed], fingerprint="2")
    assert past(path) == [(1, 1, 2, "verified", None, 200)]


def test_a_kept_image_that_only_moved_is_what_it_was(path: Path) -> None:
    with database(path) as manifest:
        import_all(manifest, [row(1)])
        settle(manifest, State.VERIFIED, http_status=200)
    moved = replace(row(1), url="https://elsewhere.test/1.jpg")
    with database(path) as manifest:
        import_all(manifest, [moved], fingerprint="2")
    assert past(path) == []


def test_what_was_settled_without_an_attempt_is_dated_by_time(path: Path) -> None:
    with database(path) as manifest:
        import_all(manifest, [row(1)])
        settle(manifest, State.VERIFIED, attempt=0, started_at=1_700_000_000.5)
    reopen(path)
    assert past(path) == [(1, 1, 1, "verified", None, None)]

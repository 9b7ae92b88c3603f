"""The statements that settle, by themselves."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from fetcher.manifest import opening
from fetcher.manifest.settling import ASSETS, ASSETS_AS_LISTED, ATTEMPTS, ATTEMPTS_AS_LISTED

RUN, STARTED, ELAPSED = 7, 1_700_000_000_250, 750


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    with closing(opening.connect(tmp_path / "manifest.sqlite")) as connection:
        connection.executemany(
            "INSERT INTO assets (asset_id, image_id, subset_id, host_id, url, state, code, "
            "updated_at) VALUES (?, ?, 1, 1, 'https://h.test/', 0, 0, 0)",
            [(1, "a"), (2, "b")],
        )
        yield connection


def test_the_narrow_ones_write_what_the_wide_ones_do(connection: sqlite3.Connection) -> None:
    ATTEMPTS.write(connection, [(1, 4, RUN, 3, STARTED, ELAPSED, 0, 200, 90, None)])
    now = (STARTED + ELAPSED) // 1000
    ASSETS.write(connection, [(1, 1, 0, 3, 4, 200, None, None, None, ".jpg", now)])
    narrow = [(2, 4, 3, STARTED, ELAPSED, 90, ".jpg")]
    ATTEMPTS_AS_LISTED.write(connection, narrow, RUN)
    ASSETS_AS_LISTED.write(connection, narrow)
    for table, leave_out in (("attempts", {"asset_id"}), ("assets", {"asset_id", "image_id"})):
        columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
        compared = ", ".join(name for name in columns if name not in leave_out)
        wide, slim = connection.execute(f"SELECT {compared} FROM {table} ORDER BY asset_id")  # noqa: S608
        assert wide == slim


@pytest.mark.parametrize("narrow", [True, False])
def test_what_fails_has_rolled_its_transaction_back(
    connection: sqlite3.Connection,
    narrow: bool,  # noqa: FBT001  a case
) -> None:
    connection.execute("BEGIN IMMEDIATE")
    with pytest.raises(sqlite3.IntegrityError):  # noqa: PT012  the second is the one that fails
        for _ in range(2):
            if narrow:
                ATTEMPTS_AS_LISTED.write(connection, [(2, 1, 1, STARTED, ELAPSED, 9, "x")], RUN)
            else:
                row = (2, 1, RUN, 1, STARTED, ELAPSED, 0, 200, 9, None)
                ATTEMPTS.write(connection, [row])
    assert not connection.in_transaction
    assert connection.execute("SELECT count(*) FROM attempts").fetchone() == (0,)

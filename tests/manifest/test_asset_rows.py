"""What is handed out is of the columns' types, whatever a disk has made of the manifest.

SQLite binds who writes to a STRICT table, so these rows are in one that is not.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest

from fetcher.manifest.migrations import MIGRATIONS
from fetcher.manifest.ring import NEXT_ASSETS

ROW = {
    "asset_id": 1,
    "image_id": "'a'",
    "subset_id": 1,
    "host_id": 1,
    "url": "'https://h.test/a.jpg'",
    "expected_size": 3,
    "expected_md5": "'1B2M2Y8AsgTpgAmY7PhCfg=='",
    "state": 0,
    "code": 0,
    "updated_at": 0,
    "attempts": 0,
    "attempts_ever": 0,
}


def _lax(statement: str) -> str:
    """Without the types and bonds of the assets' columns."""
    if statement.lstrip().startswith("CREATE TABLE assets"):
        for bond in ("STRICT", " TEXT", " INTEGER", " NOT NULL"):
            statement = statement.replace(bond, "")
    return statement


@pytest.fixture
def lax() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:")) as connection:
        for statement in MIGRATIONS[0]:
            connection.execute(_lax(statement))
        connection.execute("INSERT INTO hosts (id, name) VALUES (1, 'h.test')")
        connection.execute("INSERT INTO subsets (id, name) VALUES (1, 'train')")
        yield connection


def read(connection: sqlite3.Connection, **changes: object) -> list[object]:
    row = ROW | changes
    columns, values = ", ".join(row), ", ".join(map(str, row.values()))
    connection.execute(f"INSERT INTO assets ({columns}) VALUES ({values})")  # noqa: S608  ours
    return list(NEXT_ASSETS.read(connection, [(1, 0)], 9))


def test_a_row_as_it_should_be(lax: sqlite3.Connection) -> None:
    (row,) = read(lax)
    assert row == (
        *(1, "a", "train", "https://h.test/a.jpg", "h.test"),
        *(3, "1B2M2Y8AsgTpgAmY7PhCfg==", 0, 0, 0, 1, 1, 0),
    )


def test_what_a_list_did_not_say(lax: sqlite3.Connection) -> None:
    (row,) = read(lax, expected_size="NULL", expected_md5="NULL")
    assert isinstance(row, tuple)
    assert row[5:7] == (None, None)


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("image_id", 7),
        ("image_id", "NULL"),
        ("url", 7),
        ("url", "NULL"),
        ("expected_size", "'3'"),
        ("expected_size", 3.0),
        ("expected_md5", 7),
        ("attempts", "'0'"),
        ("attempts", 0.5),
        ("attempts_ever", "NULL"),
        ("code", "'x'"),
    ],
)
def test_another_type(lax: sqlite3.Connection, column: str, value: object) -> None:
    with pytest.raises(ValueError, match="Expected `"):
        read(lax, **{column: value})

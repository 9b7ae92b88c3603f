"""Migrations, and files that are not for us."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from fetcher.errors import Exit, ManifestUnusableError
from fetcher.manifest import ManifestReader, guard, reader, schema
from fetcher.manifest.migrations import MIGRATIONS
from fetcher.manifest.states import STATE_IDS
from fetcher.model import State
from tests.manifest.opened import database, query


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "manifest.sqlite"


def make(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path)) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.commit()


def test_a_new_manifest_is_of_the_newest_version(path: Path) -> None:
    with database(path):
        pass
    assert query(path, "PRAGMA user_version") == [{"user_version": len(MIGRATIONS)}]
    assert query(path, "PRAGMA application_id") == [{"application_id": schema.APPLICATION_ID}]


def test_names_of_states_are_the_contract(path: Path) -> None:
    with database(path):
        pass
    names = {row["name"]: row["id"] for row in query(path, "SELECT * FROM states")}
    assert names == {str(state): number for state, number in STATE_IDS.items()}
    assert set(STATE_IDS) == set(State)


def test_a_migration_and_its_number_are_one_transaction(path: Path) -> None:
    steps = (
        ("CREATE TABLE a (x)",),
        ("ALTER TABLE a ADD COLUMN y", "INSERT INTO a VALUES (1, 2)"),
        ("INSERT INTO a VALUES (3, 4)", "SELECT no_such_function()"),
    )
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        schema.migrate(connection, path, steps[:1])
        with pytest.raises(sqlite3.OperationalError):
            schema.migrate(connection, path, steps)
        assert connection.execute("PRAGMA user_version").fetchone() == (2,)
        assert connection.execute("SELECT * FROM a").fetchall() == [(1, 2)]


def test_an_older_manifest_is_brought_up_to_date_keeping_what_it_has(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with database(path):
        pass
    newer = (*MIGRATIONS, ("ALTER TABLE runs ADD COLUMN note TEXT",))
    for module in (schema, guard, reader):
        monkeypatch.setattr(module, "MIGRATIONS", newer)
    with pytest.raises(ManifestUnusableError, match="older fetcher"):
        ManifestReader(path)
    monkeypatch.setattr(schema.migrate, "__defaults__", (newer,))
    with database(path):
        pass
    assert [run["note"] for run in query(path, "SELECT * FROM runs")] == [None, None]


@pytest.mark.parametrize("reads", [True, False])
@pytest.mark.parametrize(
    ("statements", "message"),
    [
        (("CREATE TABLE t (x)",), "not a manifest"),
        (("PRAGMA user_version = 1",), "not a manifest"),
        (("PRAGMA application_id = 77",), "not a manifest"),
        (
            (f"PRAGMA application_id = {schema.APPLICATION_ID}", "PRAGMA user_version = 99"),
            "newer fetcher .schema 99",
        ),
    ],
)
def test_what_is_not_for_us_is_refused_and_left_alone(
    path: Path, statements: tuple[str, ...], message: str, *, reads: bool
) -> None:
    make(path, *statements)
    before = path.read_bytes()
    with pytest.raises(ManifestUnusableError, match=message) as caught:
        ManifestReader(path) if reads else database(path).__enter__()
    assert caught.value.exit == Exit.UNUSABLE
    assert caught.value.hint
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("reads", [True, False])
def test_what_is_no_sqlite_file_is_refused_and_left_alone(path: Path, *, reads: bool) -> None:
    path.write_text("ImageID,OriginalURL\n" * 1000)
    before = path.read_bytes()
    with pytest.raises(ManifestUnusableError, match="no SQLite file"):
        ManifestReader(path) if reads else database(path).__enter__()
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_a_file_that_was_only_just_made_is_made_a_manifest(path: Path) -> None:
    path.touch()
    with pytest.raises(ManifestUnusableError, match="is empty"):
        ManifestReader(path)
    with database(path) as manifest:
        assert manifest.tally().total == 0


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ManifestUnusableError, match="Cannot write"):
        database(tmp_path / "no" / "manifest.sqlite").__enter__()


def test_an_old_sqlite_is_refused() -> None:
    with pytest.raises(ManifestUnusableError, match=r"SQLite 3\.36\.0; .* 3\.37\.0"):
        schema.require_sqlite((3, 36, 0))

"""A manifest that somebody has made to do harm is refused, and nothing of it has run."""

from __future__ import annotations

import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import pytest

from fetcher.errors import ManifestError, ManifestUnusableError
from fetcher.manifest.database import Database
from fetcher.manifest.reader import ManifestReader
from fetcher.model import Selection
from tests.conformance.manifest_suite import group_of, row
from tests.manifest.opened import database, import_all, lease

HARM = {
    "trigger": "CREATE TRIGGER t AFTER UPDATE ON assets BEGIN DELETE FROM attempts; END",
    "trigger on a view": "CREATE TRIGGER t INSTEAD OF UPDATE ON images BEGIN SELECT 1; END",
    "trigger on another table": "CREATE TABLE x (y); "
    "CREATE TRIGGER t AFTER INSERT ON x BEGIN DELETE FROM assets; END",
    "altered view": "DROP VIEW images; CREATE VIEW images AS SELECT hex(zeroblob(9)) AS image_id",
    "view for a table": "DROP TABLE tallies; CREATE VIEW tallies AS "
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n",
    "virtual table for a table": "DROP TABLE seen; CREATE VIRTUAL TABLE seen USING fts5(x)",
    "other table": "DROP TABLE seen; CREATE TABLE seen (asset_id, source_id, line)",
    "generated column": "ALTER TABLE assets ADD COLUMN x TEXT AS (hex(zeroblob(1000000)))",
    "default": "ALTER TABLE assets ADD COLUMN x TEXT DEFAULT 'y'",
    "index over an expression": "CREATE INDEX x ON assets (hex(zeroblob(1000000)))",
    "index of some": "CREATE INDEX x ON assets (url) WHERE url > hex('a')",
    "unique index": "CREATE UNIQUE INDEX x ON assets (url, asset_id)",
    "no index": "DROP INDEX pending_by_host",
    "no table": "DROP TABLE details",
    "no view": "DROP VIEW images",
    "other states": "UPDATE states SET name = 'x' WHERE id = 1",
    "more states": "INSERT INTO states VALUES (99, 'x')",
    "unknown states": "UPDATE tallies SET state = 99",
    "text for a trigger": "PRAGMA writable_schema = ON; INSERT INTO sqlite_schema VALUES "
    "('trigger', 't', 'assets', 0, 'CREATE TRIGGER t AFTER UPDATE ON assets BEGIN SELECT 1; END')",
    "text for a table": "PRAGMA writable_schema = ON; UPDATE sqlite_schema SET "
    "sql = replace(sql, 'url TEXT NOT NULL', 'url TEXT DEFAULT ''x''') WHERE name = 'assets'",
}
HARMLESS = {
    "index over columns": "CREATE INDEX x ON assets (url, asset_id)",
    "a table": "CREATE TABLE mine (x); CREATE INDEX on_mine ON mine (x)",
    "a view": "CREATE VIEW mine AS SELECT * FROM images",
    "statistics": "ANALYZE",
    "vacuumed": "VACUUM",
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "manifest.sqlite"
    with database(path) as manifest:
        import_all(manifest, [row(2), row(3)])
    return path


def tamper(path: Path, script: str) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(script)


@pytest.mark.parametrize("harm", HARM)
def test_what_is_not_the_program_s_is_refused(path: Path, harm: str) -> None:
    tamper(path, HARM[harm])
    before = path.read_bytes()
    with pytest.raises(ManifestUnusableError, match="changed by something else"):
        ManifestReader(path)
    with pytest.raises(ManifestUnusableError, match="changed by something else"):
        Database.open(path, command="test", group_of=group_of, selection=Selection())
    assert path.read_bytes() == before
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def test_a_schema_that_is_no_text_is_damage(path: Path) -> None:
    tamper(
        path,
        "PRAGMA writable_schema = ON; INSERT INTO sqlite_schema VALUES "
        "('trigger', CAST(x'e9' AS TEXT), 'assets', 0, "
        "'CREATE TRIGGER t AFTER UPDATE ON assets BEGIN SELECT 1; END')",
    )
    with pytest.raises(ManifestError, match="damaged"):
        ManifestReader(path)


@pytest.mark.parametrize("harmless", HARMLESS)
def test_what_is_one_s_own_is_left_alone(path: Path, harmless: str) -> None:
    tamper(path, HARMLESS[harmless])
    with ManifestReader(path) as reader:
        assert reader.tally().total == 2
    with database(path) as manifest:
        assert len(lease(manifest)) == 2


@pytest.mark.parametrize(
    "sql",
    [
        "ATTACH ':memory:' AS other",
        "SELECT load_extension('x')",
        "SELECT zeroblob(300000000)",
    ],
)
def test_what_a_connection_does_not_do(path: Path, sql: str) -> None:
    with ManifestReader(path) as reader, pytest.raises(sqlite3.Error):
        reader._connection.execute(sql).fetchall()
    with database(path) as manifest, pytest.raises(sqlite3.Error):
        manifest._connection.execute(sql).fetchall()


@pytest.mark.skipif(sys.version_info < (3, 12), reason="Python 3.11 cannot set it")
def test_sqlite_defends_the_schema_against_statements_of_ours(tmp_path: Path) -> None:
    """The last line: what none of the program's statements should do, SQLite does not."""
    path = tmp_path / "manifest.sqlite"
    with database(path) as manifest:
        connection = manifest._connection
        connection.execute("PRAGMA writable_schema = ON")
        with pytest.raises(sqlite3.OperationalError, match="may not be modified"):
            connection.execute("UPDATE sqlite_schema SET sql = '' WHERE name = 'assets'")
    with closing(sqlite3.connect(path)) as plain:  # which shows that it is not for want of rights
        plain.execute("PRAGMA writable_schema = ON")
        plain.execute("UPDATE sqlite_schema SET sql = sql WHERE name = 'assets'")

"""What SQLite's errors become, and that an error leaves everything as it was."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from fetcher.errors import Exit, ManifestError, ManifestUnusableError, StoreError
from fetcher.manifest import ManifestReader
from fetcher.manifest.faults import explain
from fetcher.model import State
from fetcher.policy import codes
from tests.conformance.manifest_suite import outcome, row
from tests.manifest.opened import check_laws, database, import_all, lease


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "manifest.sqlite"


def sqlite_error(code: int) -> sqlite3.Error:
    error = sqlite3.OperationalError("as SQLite says it")
    error.sqlite_errorcode = code
    return error


@pytest.mark.parametrize(
    ("code", "kind", "fault"),
    [
        (sqlite3.SQLITE_FULL, StoreError, "disk-full"),
        (sqlite3.SQLITE_IOERR_SHMSIZE, StoreError, "disk-full"),
        (sqlite3.SQLITE_IOERR, StoreError, "disk-error"),
        (sqlite3.SQLITE_IOERR_FSYNC, StoreError, "disk-error"),
        (sqlite3.SQLITE_READONLY, StoreError, "disk-error"),
        (sqlite3.SQLITE_READONLY_DIRECTORY, StoreError, "disk-error"),
        (sqlite3.SQLITE_READONLY_ROLLBACK, ManifestUnusableError, None),
        (sqlite3.SQLITE_BUSY, ManifestError, None),
        (sqlite3.SQLITE_BUSY_SNAPSHOT, ManifestError, None),
        (sqlite3.SQLITE_CORRUPT, ManifestError, None),
        (sqlite3.SQLITE_CORRUPT_INDEX, ManifestError, None),
        (sqlite3.SQLITE_NOTADB, ManifestUnusableError, None),
        (sqlite3.SQLITE_CANTOPEN, ManifestUnusableError, None),
    ],
)
def test_each_error_says_where_and_what_to_do(
    path: Path, code: int, kind: type[Exception], fault: str | None
) -> None:
    error = explain(sqlite_error(code), path)
    assert type(error) is kind
    assert error is not None
    assert str(path) in error.sentence
    assert error.hint
    if isinstance(error, StoreError):
        assert error.fault_code == fault
        assert codes.CODES[error.fault_code].fate == "local"


@pytest.mark.parametrize("code", [sqlite3.SQLITE_ERROR, sqlite3.SQLITE_CONSTRAINT_UNIQUE])
def test_a_bug_stays_what_it_is(path: Path, code: int) -> None:
    assert explain(sqlite_error(code), path) is None
    assert explain(sqlite3.ProgrammingError("from Python"), path) is None


def test_a_full_disk_leaves_everything_as_it_was_and_passes(path: Path) -> None:
    with database(path) as manifest:
        import_all(manifest, [row(n) for n in range(1, 200)], finish=False)
        lease(manifest, limit=150)
        connection = manifest._connection
        before, pages = manifest.tally(), connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {pages}")
        outcomes = [
            outcome(n, State.GONE, code=f"http-{n}", detail="x" * 4000) for n in range(1, 150)
        ]
        more = [row(n, host=f"h{n}.test", subset=f"s{n}") for n in range(300, 500)]
        with pytest.raises(StoreError) as caught:
            manifest.settle(outcomes)
        assert (caught.value.fault_code, caught.value.exit) == ("disk-full", Exit.OUR_FAULT)
        with pytest.raises(StoreError):
            import_all(manifest, more, finish=False)
        assert manifest.tally() == before
        connection.execute("PRAGMA max_page_count = 1000000")
        manifest.settle(outcomes)  # they are still leased
        import_all(manifest, more, finish=False)
        assert manifest.tally().states[State.GONE] == 149
        assert len(lease(manifest)) == 49 + 200
        check_laws(connection, manifest.tally())


def test_a_damaged_manifest_is_named(path: Path) -> None:
    with database(path) as manifest:
        import_all(manifest, [row(n) for n in range(1, 3000)])
    with path.open("r+b") as file:
        for page in range(2, 200):
            file.seek(page * 4096)
            file.write(b"\xff" * 2000)
    with pytest.raises(ManifestError, match="is damaged") as caught, database(path) as manifest:
        lease(manifest)
    assert "recover" in caught.value.hint


def test_another_writer_is_named_after_a_while(path: Path) -> None:
    with database(path) as manifest:
        manifest._connection.execute("PRAGMA busy_timeout = 0")
        other = sqlite3.connect(path)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(ManifestError, match="Another program holds"):
            import_all(manifest, [row(1)])
        other.close()
        import_all(manifest, [row(1)])


def test_a_reader_names_a_damaged_manifest(path: Path) -> None:
    with database(path) as manifest:
        import_all(manifest, [row(1)])
    with path.open("r+b") as file:
        file.seek(100)
        file.write(b"\xff" * 3000)
    with pytest.raises(ManifestError, match="is damaged"), ManifestReader(path) as reader:
        reader.tally()

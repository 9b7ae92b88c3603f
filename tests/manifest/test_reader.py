"""Looking on changes nothing, whatever state the manifest is in."""

from __future__ import annotations

import hashlib
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from fetcher.errors import ManifestUnusableError
from fetcher.manifest import ManifestReader
from fetcher.model import Selection, State
from tests.conformance.manifest_suite import outcome, row
from tests.manifest.opened import database, import_all, lease

LOOK = """
import sys
from pathlib import Path
from fetcher.manifest import ManifestReader
with ManifestReader(Path(sys.argv[1])) as reader:
    print(reader.tally().total, flush=True)
    sys.stdin.read()
    print(reader.tally().total, flush=True)
"""

# Another process hashes: closing a descriptor here would drop SQLite's locks.
HASH = """
import hashlib, sys
from pathlib import Path
for path in sorted(Path(sys.argv[1]).iterdir()):
    print(path.name, hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_mtime_ns)
"""

COPY = "import shutil, sys; shutil.copy(sys.argv[1], sys.argv[2])"


def contents(folder: Path) -> str:
    done = subprocess.run(  # noqa: S603  this interpreter, and the program above
        [sys.executable, "-c", HASH, folder], capture_output=True, check=True, text=True
    )
    return done.stdout


def looker(path: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(  # noqa: S603  this interpreter, and the program above
        [sys.executable, "-c", LOOK, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "manifest.sqlite"


def test_an_ended_run_leaves_one_file_and_reading_it_changes_nothing(path: Path) -> None:
    with database(path) as manifest:
        import_all(manifest, [row(1), row(2)])
        lease(manifest)
        manifest.settle([outcome(1, State.GONE)])
        tally = manifest.tally()
    assert list(path.parent.iterdir()) == [path]
    before = contents(path.parent)
    path.chmod(0o444)
    path.parent.chmod(0o555)
    with ManifestReader(path) as reader:
        assert reader.tally() == tally
        assert reader.tally(Selection(ids=frozenset({row(1).image_id}))).states[State.GONE] == 1
        assert reader.tally(Selection(subsets=frozenset({"none"}))).total == 0
    path.parent.chmod(0o755)
    assert contents(path.parent) == before


def test_reading_beside_an_active_run_sees_what_is_committed_and_changes_nothing(
    path: Path,
) -> None:
    with database(path) as manifest:
        import_all(manifest, [row(1)], finish=False)
        before = contents(path.parent)
        with looker(path) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "1\n"
            assert contents(path.parent) == before
            import_all(manifest, [row(1), row(2), row(3)], finish=False)
            after = contents(path.parent)
            rest, _ = process.communicate("")
            assert rest == "3\n"
        assert contents(path.parent) == after


def test_a_run_may_end_while_someone_looks_on(path: Path) -> None:
    with database(path) as manifest:
        import_all(manifest, [row(1)])
        process = looker(path)
        assert process.stdout is not None
        assert process.stdout.readline() == "1\n"
    with process:
        assert process.communicate("")[0] == "1\n"
    with ManifestReader(path) as reader:
        assert reader.tally().total == 1
    with database(path) as manifest:  # the next run tidies up
        assert manifest.tally().total == 1
    assert list(path.parent.iterdir()) == [path]


def test_a_killed_run_is_read_with_its_log(path: Path, tmp_path: Path) -> None:
    with database(path) as manifest:
        import_all(manifest, [row(1), row(2)])
        copy = tmp_path / "copy"
        copy.mkdir()
        for file in ("manifest.sqlite", "manifest.sqlite-wal", "manifest.sqlite-shm"):
            subprocess.run(  # noqa: S603  as above: not to be opened in this process
                [sys.executable, "-c", COPY, tmp_path / file, copy / file], check=True
            )
    before = contents(copy)
    with ManifestReader(copy / "manifest.sqlite") as reader:
        assert reader.tally().total == 2
    assert contents(copy) == before


def test_a_manifest_without_its_log_is_read_as_it_is(path: Path) -> None:
    with database(path) as manifest:
        import_all(manifest, [row(1)])
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
    before = contents(path.parent)
    assert "-wal" not in before
    with ManifestReader(path) as reader:
        assert reader.tally().total == 1
    assert contents(path.parent) == before


def test_no_manifest_is_a_clear_error_and_makes_none(path: Path) -> None:
    with pytest.raises(ManifestUnusableError, match="There is no manifest") as caught:
        ManifestReader(path)
    assert "--manifest" in caught.value.hint
    assert list(path.parent.iterdir()) == []


def test_a_path_with_odd_characters_is_no_uri(tmp_path: Path) -> None:
    path = tmp_path / "100% #1?mode=rwc" / "m.sqlite"
    path.parent.mkdir()
    with database(path) as manifest:
        import_all(manifest, [row(1)])
    digest = hashlib.sha256(path.read_bytes()).digest()
    with ManifestReader(path) as reader:
        assert reader.tally().total == 1
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            reader._connection.execute("DELETE FROM assets")
    assert hashlib.sha256(path.read_bytes()).digest() == digest


def test_whether_the_last_run_has_ended(tmp_path: Path) -> None:
    path = tmp_path / "manifest.sqlite"
    with database(path), ManifestReader(path) as reader:
        assert not reader.last_run_ended()
    with ManifestReader(path) as reader:
        assert reader.last_run_ended()

"""Damaged manifests: each is told for what it is, with a way on, or is read as it was at a commit.

A manifest with its log, as a killed run leaves it, is made once by a process of its own; what is
done to it is done to copies.
"""

from __future__ import annotations

import random
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Final

import pytest

from fetcher.errors import Exit, FetcherError, ManifestError, ManifestUnusableError
from fetcher.manifest import ManifestReader, damage
from fetcher.manifest.database import Database
from fetcher.model import State
from tests.conformance.manifest_suite import group_of, outcome, row
from tests.manifest.opened import check_laws, database, import_all, lease

ROWS: Final = 120
PAGE: Final = 4096
CHANGES: Final = 60
UNUSED: Final = {
    *("texts", "robots", "checks", "findings", "past_states", "host_memories", "triage", "shards"),
    *("audits", "strata", "audited", "to_be_audited", "found_not_stored", "past_files"),
    *("sqlite_autoindex_states_1", "sqlite_autoindex_codes_1"),
}
"""Tables and indexes that these runs have no cause to read."""
KILLED: Final = """
import os, signal, sys
from pathlib import Path
from fetcher.model import State
from tests.conformance.manifest_suite import outcome, row
from tests.manifest.opened import database, import_all, lease

with database(Path(sys.argv[1])) as manifest:
    import_all(manifest, [row(n) for n in range(1, int(sys.argv[2]) + 1)], batch=40)
    manifest._connection.execute(f"PRAGMA wal_checkpoint({sys.argv[3]})")
    for _ in range(4):
        assets = lease(manifest, limit=15)
        manifest.settle([outcome(a.asset_id, State.GONE, 1, code="http-404") for a in assets])
    os.kill(os.getpid(), signal.SIGKILL)
"""
CHECKOUT: Final = Path(__file__).resolve().parents[2]


def kill(place: Path, *, checkpoint: str) -> Path:
    path = place / "manifest.sqlite"
    done = subprocess.run(  # noqa: S603  this interpreter, and the program above
        [sys.executable, "-c", KILLED, str(path), str(ROWS), checkpoint],
        check=False,
        cwd=CHECKOUT,
    )
    assert done.returncode == -signal.SIGKILL
    return place


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A manifest whose run ended: one file."""
    path = tmp_path_factory.mktemp("whole") / "manifest.sqlite"
    with database(path) as manifest:
        import_all(manifest, [row(n) for n in range(1, ROWS + 1)])
        settle(manifest, 60)
    return path.read_bytes()


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The rows in the manifest, what was settled in its log."""
    return kill(tmp_path_factory.mktemp("killed"), checkpoint="TRUNCATE")


@pytest.fixture(scope="module")
def killed_early(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All but its first page in its log."""
    return kill(tmp_path_factory.mktemp("early"), checkpoint="NOOP")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "manifest.sqlite"


def copied(place: Path, path: Path) -> Path:
    for file in place.iterdir():
        shutil.copyfile(file, path.with_name(file.name))
    return path


def settle(manifest: Database, limit: int) -> None:
    assets = lease(manifest, limit=limit)
    manifest.settle([outcome(a.asset_id, State.GONE, 1, code="http-404") for a in assets])


def use(path: Path) -> None:
    """Everything that a run asks of a manifest, and what ``status`` does."""
    with database(path) as manifest:
        manifest.list_is_complete("/list.csv", "1")
        import_all(manifest, [row(n) for n in range(1, ROWS + 20)], fingerprint="2")
        manifest.finish_import()
        while assets := lease(manifest, limit=50):
            manifest.settle([outcome(a.asset_id, State.GONE, a.attempts + 1) for a in assets])
        manifest.selected_tally()
    with ManifestReader(path) as reader:
        reader.tally()


def opened_soundly(path: Path) -> int:
    """Open what was damaged and is not told to be: the laws hold. Returns what is settled."""
    with database(path) as manifest:
        assert manifest._connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        check_laws(manifest._connection, manifest.tally())
        return manifest.tally().states[State.GONE]


def told(error: FetcherError, path: Path) -> None:
    assert str(path) in error.sentence
    assert "the same command again" in error.hint


# The manifest's own file.


def test_cut_at_any_page(whole: bytes, path: Path) -> None:
    """And in the middle of one, and a byte before its end."""
    cuts = [n + more for n in range(0, len(whole), PAGE) for more in (0, 1, PAGE // 2, PAGE - 1)]
    for cut in cuts[2:]:
        path.write_bytes(whole[:cut])
        with pytest.raises(ManifestError, match=r"is damaged|no SQLite file") as caught:
            use(path)
        told(caught.value, path)
        path.unlink()


def test_cut_beside_a_log_that_does_not_have_the_rest(killed: Path, path: Path) -> None:
    """SQLite believes the log, which knows how long the manifest is. What the log has, it puts
    back.
    """
    data = (killed / "manifest.sqlite").read_bytes()
    refused = 0
    for pages in range(1, len(data) // PAGE):
        copied(killed, path).write_bytes(data[: -pages * PAGE + 100])
        try:
            assert opened_soundly(path) == 60
        except ManifestError as error:
            told(error, path)
            refused += 1
    assert refused > len(data) // PAGE // 2


@pytest.mark.parametrize("left", [b"", b"S"])
def test_cut_to_nothing(left: bytes, path: Path) -> None:
    """Where images are stored. Else it is what a kill leaves at the very beginning."""
    path.write_bytes(left)
    with pytest.raises(ManifestError, match="was cut off") as caught:
        Database.open(path, command="test", group_of=group_of, images_stored=True)
    told(caught.value, path)
    path.unlink()
    Database.open(path, command="test", group_of=group_of, images_stored=True).close()
    path.write_bytes(left)
    assert opened_soundly(path) == 0


@pytest.mark.parametrize("data", [b"", None], ids=["empty", "gone"])
def test_a_log_without_its_manifest(data: bytes | None, killed: Path, path: Path) -> None:
    """SQLite would throw the log away."""
    copied(killed, path)
    if data is None:
        path.unlink()
    else:
        path.write_bytes(data)
    log = path.with_name("manifest.sqlite-wal")
    before = log.read_bytes()
    with pytest.raises(ManifestError, match=r"but its log .* is still there") as caught:
        use(path)
    told(caught.value, path)
    assert log.read_bytes() == before


def test_a_beginning_of_zeros(whole: bytes, path: Path) -> None:
    path.write_bytes(bytes(100) + whole[100:])
    with pytest.raises(ManifestUnusableError, match="no SQLite file") as caught:
        use(path)
    told(caught.value, path)
    assert caught.value.exit is Exit.UNUSABLE


def damaged(data: bytes, seed: int) -> bytes:
    """One bit, twenty bits of a page, or a page of zeros or of anything."""
    chance, changed = random.Random(seed), bytearray(data)
    page = chance.randrange(len(data) // PAGE) * PAGE
    match chance.randrange(4):
        case 0:
            changed[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        case 1:
            for _ in range(20):
                changed[page + chance.randrange(PAGE)] ^= 1 << chance.randrange(8)
        case 2:
            changed[page : page + PAGE] = bytes(PAGE)
        case _:
            changed[page : page + PAGE] = chance.randbytes(PAGE)
    return bytes(changed)


def refusal(path: Path, data: bytes) -> ManifestError | None:
    """What using a manifest of ``data`` is told; anything but an error of ours is raised."""
    path.write_bytes(data)
    try:
        use(path)
    except ManifestError as error:
        return error
    finally:
        for file in path.parent.iterdir():
            file.unlink()
    return None


def test_changed_anywhere_it_is_told_or_does_no_harm(whole: bytes, path: Path) -> None:
    """Never anything but an error of ours: nothing that looks like a bug. (How many are told
    depends on how much of the file is in use; what must be told is the next test's.)
    """
    refusals = [refusal(path, damaged(whole, seed)) for seed in range(CHANGES)]
    told_of = [error for error in refusals if error is not None]
    assert told_of
    assert all(str(path) in error.sentence and error.hint for error in told_of)


def test_a_spoilt_page_of_any_table_that_is_used_is_told(whole: bytes, path: Path) -> None:
    """Tables that lead a run, and their indexes; be it zeros, ones or noise that is there."""
    path.write_bytes(whole)
    with closing(sqlite3.connect(path)) as connection:
        roots = [
            (name, page)
            for name, table, page in connection.execute(
                "SELECT name, tbl_name, rootpage FROM sqlite_schema WHERE rootpage > 0"
            )
            if table not in UNUSED and name not in UNUSED
        ]
    path.unlink()
    assert {"assets", "tallies", "pending_by_host", "sqlite_autoindex_hosts_1"} <= {
        name for name, _ in roots
    }
    for name, page in [("the schema", 1), *roots]:
        begin, end = (page - 1) * PAGE, page * PAGE
        for content in (bytes(PAGE), b"\xff" * PAGE, random.Random(page).randbytes(PAGE)):
            error = refusal(path, whole[:begin] + content + whole[end:])
            assert error is not None, name
            told(error, path)


def test_an_asset_that_cannot_be_is_told_to_be_damage(whole: bytes, path: Path) -> None:
    """Noise may make a number nothing, where only the schema says that it is one."""
    path.write_bytes(whole)
    bound, loose = "attempts INTEGER NOT NULL DEFAULT 0", "attempts INTEGER"
    text = "UPDATE sqlite_schema SET sql = replace(sql, '{}', '{}') WHERE name = 'assets'"
    change(path, "PRAGMA writable_schema = ON", text.format(bound, loose))
    change(path, "UPDATE assets SET attempts = NULL WHERE asset_id = 100")
    # As it was; a space or two more do not matter.
    change(path, "PRAGMA writable_schema = ON", text.format(f"{loose},", f"{bound},"))
    with pytest.raises(ManifestError, match=r"is damaged .*NULL value in assets.attempts") as told_:
        use(path)
    told(told_.value, path)


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("UPDATE details SET extra = '[1'", "not JSON"),
        ("UPDATE assets SET url = CAST(x'6180' AS TEXT)", "not UTF-8"),
    ],
    ids=["json", "text"],
)
def test_what_looks_like_a_bug_is_told_to_be_damage(
    statement: str, words: str, whole: bytes, path: Path
) -> None:
    path.write_bytes(whole)
    change(path, "PRAGMA writable_schema = ON", statement)
    with pytest.raises(ManifestError, match=f"is damaged .*{words}"):
        use(path)


def change(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        for statement in statements:
            connection.execute(statement)


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("DELETE FROM assets WHERE asset_id = 120", "120 rows accepted, 120 images counted, 119"),
        ("UPDATE tallies SET n = n + 1 WHERE state = 5", "120 rows accepted, 121 images counted"),
        ("UPDATE sources SET accepted = 7", "7 rows accepted, 120 images counted, 120 numbered"),
    ],
)
def test_what_is_missing_is_named(statement: str, words: str, whole: bytes, path: Path) -> None:
    path.write_bytes(whole)
    change(path, statement)
    with pytest.raises(ManifestError, match=words) as caught, database(path):
        raise AssertionError
    told(caught.value, path)


def test_what_others_added_does_not_matter(whole: bytes, path: Path) -> None:
    path.write_bytes(whole)
    change(
        path,
        "CREATE INDEX mine ON assets (url)",
        "CREATE TABLE notes (x)",
    )
    use(path)


def hide_a_page(path: Path, table: str) -> bytes:
    """Spoil the root of a table that opening does not read; what the file holds then."""
    with closing(sqlite3.connect(path)) as connection:
        (page,) = connection.execute(
            "SELECT rootpage FROM sqlite_schema WHERE name = ?", (table,)
        ).fetchone()
    with path.open("r+b") as file:
        file.seek((page - 1) * PAGE)
        file.write(b"\xff" * PAGE)
    return path.read_bytes()


def test_after_a_killed_run_all_pages_are_looked_at(
    whole: bytes, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unless there are so many that it would take long."""
    path.write_bytes(whole)
    change(path, "UPDATE runs SET ended_at = NULL")
    spoiled = hide_a_page(path, "rejected_rows")
    with pytest.raises(ManifestError, match="is damaged") as caught, database(path):
        raise AssertionError
    told(caught.value, path)
    monkeypatch.setattr(damage, "CHECKED", len(spoiled) - 1)
    with database(path):
        pass
    path.write_bytes(spoiled)
    change(path, "UPDATE runs SET ended_at = 1")
    monkeypatch.undo()
    with database(path):
        pass


# Its log.


def test_a_log_torn_at_any_byte(killed: Path, path: Path) -> None:
    """What was committed last may be lost, and nothing else."""
    log = (killed / "manifest.sqlite-wal").read_bytes()
    chance, settled = random.Random(1), []
    cuts = {0, 1, 31, 32, 33, 55, 56, 57, len(log) - 1, len(log)}
    cuts |= {chance.randrange(len(log)) for _ in range(40)}
    for cut in sorted(cuts):
        copied(killed, path).with_name("manifest.sqlite-wal").write_bytes(log[:cut])
        settled.append(opened_soundly(path))
    assert settled == sorted(settled)
    assert (settled[0], settled[-1]) == (0, 60)
    assert set(settled) == {0, 15, 30, 45, 60}


@pytest.mark.parametrize("tail", [b"\0" * 9000, b"\xff" * 9000, b"garbage"])
def test_a_log_with_something_behind_it(tail: bytes, killed: Path, path: Path) -> None:
    with copied(killed, path).with_name("manifest.sqlite-wal").open("ab") as log:
        log.write(tail)
    assert opened_soundly(path) == 60


def test_a_log_with_a_flipped_bit(killed: Path, path: Path) -> None:
    """Its frames carry sums: it ends before the first that does not fit."""
    log = path.with_name("manifest.sqlite-wal")
    chance = random.Random(2)
    for _ in range(40):
        data = bytearray(copied(killed, path).with_name(log.name).read_bytes())
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        log.write_bytes(data)
        assert opened_soundly(path) in {0, 15, 30, 45, 60}


def shared(path: Path) -> Path:
    return path.with_name("manifest.sqlite-shm")


@pytest.mark.parametrize(
    "spoil",
    [
        lambda path: shared(path).unlink(),
        lambda path: shared(path).write_bytes(b""),
        lambda path: shared(path).write_bytes(b"\xff" * 32768),
        lambda path: shared(path).write_bytes(shared(path).read_bytes()[:100]),
    ],
    ids=["gone", "empty", "garbage", "cut"],
)
@pytest.mark.parametrize("early", [True, False])
def test_shared_memory_that_is_stale(
    spoil: Callable[[Path], None],
    early: bool,  # noqa: FBT001  a case
    killed: Path,
    killed_early: Path,
    path: Path,
) -> None:
    spoil(copied(killed_early if early else killed, path))
    assert opened_soundly(path) == 60


def test_a_log_that_was_taken_away(killed: Path, path: Path) -> None:
    copied(killed, path).with_name("manifest.sqlite-wal").unlink()
    for _ in range(2):
        with pytest.raises(ManifestError, match="was taken away") as caught, database(path):
            raise AssertionError
        told(caught.value, path)
    shared(path).unlink()  # as the hint says
    assert opened_soundly(path) == 0


def test_a_log_of_another_moment_is_found_out(killed_early: Path, whole: bytes, path: Path) -> None:
    """An older or newer copy of the manifest was put back, and the log left where it was."""
    copied(killed_early, path)
    path.write_bytes(whole[: -3 * PAGE])
    try:
        assert opened_soundly(path) in {0, 60}
    except ManifestError as error:
        told(error, path)

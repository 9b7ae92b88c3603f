"""A damaged manifest, a torn log: what the command says, what is to be done, and that it helps."""

from __future__ import annotations

import asyncio
import shutil
import signal
import sqlite3
import subprocess
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Final, cast

import pytest

from fetcher.cli.importing import import_and_run
from fetcher.demo.steps import Answer, Picture, status
from fetcher.engine import Ending, EndReason, Engine
from fetcher.errors import DamagedListError, Exit, FetcherError, ManifestError, SourceError
from fetcher.source.importer import Importer
from scripts.proofs import laws, mirrors
from scripts.proofs.mirrors import HOST, Row
from tests.e2e.conftest import Bench, Done, fetcher, finish

PLAIN: Final = mirrors.gallery(30)
PAGE: Final = 4096


def special(bench: Bench) -> list[Row]:
    """Images that lie in DIR, or do not, but that nothing there can prove."""
    bench.web.serve("/unlisted", Answer(Picture(900, "unlisted")))
    bench.web.serve("/other", Answer(Picture(800, "other")))
    bench.web.serve("/gone", status(404))
    return [
        Row("unlisted", f"http://{HOST}/unlisted"),
        Row.of("other", f"http://{HOST}/other", Picture(800, "listed").data()),
        Row("gone", f"http://{HOST}/gone"),
    ]


def refused(done: Done, code: int, words: str) -> None:
    assert done.code == code, done
    assert words in " ".join(done.err.split())
    assert "Traceback" not in done.err


def asked(bench: Bench) -> Counter[str]:
    return Counter(request.path for request in bench.web.requests)


@pytest.mark.parametrize("kept", [0, 1, 3 * PAGE, -PAGE, -1])
def test_a_manifest_that_was_cut_off(kept: int, bench: Bench) -> None:
    """It is told; nothing is asked or changed; and what the hint says helps."""
    listed = bench.rows([*PLAIN, *special(bench)])
    assert bench.mirror(listed).code == 1
    before, files, images = asked(bench), laws.files(bench.directory), bench.images()
    manifest = bench.directory / "manifest.sqlite"
    manifest.write_bytes(manifest.read_bytes()[:kept])
    for _ in range(2):
        done = fetcher(*bench.command(listed))
        refused(done, 4, "give the same command again: images in DIR that match their listed MD5")
        assert asked(bench) == before
        assert laws.files(bench.directory) == files
        assert not (bench.directory / ".partial").exists()
    looked = fetcher("status", bench.directory)
    refused(looked, 4 if kept not in (0, 1) else 2, str(manifest))

    manifest.rename(bench.place / "moved away")

    assert bench.mirror(listed).code == 1
    now = bench.images()
    assert {name: (image.state, image.path) for name, image in now.items()} == {
        name: (image.state, image.path) for name, image in images.items()
    }
    # Without a listed MD5 nothing tells whose bytes these are: that one is asked for again, too.
    assert asked(bench) - before == Counter(["/unlisted", "/other", "/gone"])


def test_what_is_no_sqlite_file(bench: Bench) -> None:
    listed = bench.rows(PLAIN)
    bench.directory.mkdir()
    (bench.directory / "manifest.sqlite").write_text("Dear diary, " * 100)
    refused(fetcher(*bench.command(listed)), 2, "Name another place with --manifest")
    assert bench.web.count() == 0


@pytest.mark.skipif(shutil.which("sqlite3") is None, reason="sqlite3 is not installed")
def test_what_is_left_can_be_read_as_the_hint_says(bench: Bench) -> None:
    """What it gives is no manifest: rows may be missing from it, and nothing would miss them."""
    bench.mirror(bench.rows(PLAIN))
    manifest = bench.directory / "manifest.sqlite"
    manifest.write_bytes(manifest.read_bytes()[:-100])
    assert f'sqlite3 "{manifest}" .recover (or .dump' in fetcher("status", bench.directory).err
    found = [
        subprocess.run(  # noqa: S603  as the hint says
            ["sqlite3", manifest, how],  # noqa: S607  found in the path
            check=False,
            capture_output=True,
            text=True,
        ).stdout
        for how in (".recover", ".dump")
    ]
    for row in PLAIN:
        assert any("INSERT INTO assets VALUES(" in text and row.image_id in text for text in found)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.6, 0.9, 0.999])
def test_a_log_that_was_torn_after_a_kill(share: float, bench: Bench) -> None:
    """What its lost end held is found in DIR."""
    listed = bench.rows(PLAIN)
    config = bench.config({"fetch": {"concurrency": 4}})
    process = mirrors.start(*bench.command(listed, config=config), kill_at="settled:5")
    assert finish(process).code == -signal.SIGKILL
    log = bench.directory / "manifest.sqlite-wal"
    with log.open("r+b") as file:
        file.truncate(int(share * log.stat().st_size))
    stored = {Path(name).stem for name in laws.files(bench.directory / "images")}
    if laws.snapshot(bench.directory) is laws.NOTHING:
        # Not even the tables are left, but the file that SQLite began with.
        refused(fetcher(*bench.command(listed, config=config)), 4, "it was cut off")
        for name in ("manifest.sqlite", "manifest.sqlite-wal", "manifest.sqlite-shm"):
            (bench.directory / name).unlink(missing_ok=True)
    assert bench.mirror(listed, config=config).code == 0
    for row in PLAIN:
        if row.image_id in stored:
            assert bench.web.count(row.url.removeprefix(f"http://{HOST}")) == 1
    assert bench.web.count() <= len(PLAIN) + 4


# A list that turns out to be damaged while a run is on.


class Stub:
    """As much of an engine, and of an importer, as ``import_and_run`` knows."""

    def __init__(self, ending: Ending, error: FetcherError) -> None:
        self._ending = ending
        self._error = error
        self._stopped = asyncio.Event()

    async def engine(self) -> Ending:
        await self._stopped.wait()
        return self._ending

    async def importer(self) -> None:
        raise self._error

    def stop(self, _: str) -> None:
        self._stopped.set()


class Running:
    def __init__(self, stub: Stub, run: object) -> None:
        self.run = run
        self.stop = stub.stop


def ended(ending: Ending, error: FetcherError) -> Ending:
    async def run() -> Ending:
        stub = Stub(ending, error)
        engine, importer = Running(stub, stub.engine), Running(stub, stub.importer)
        return await import_and_run(cast("Importer", importer), cast("Engine", engine))

    return asyncio.run(run())


def test_it_is_no_unusable_command_then() -> None:
    """Something was changed: 2 would not be true, and 3 would have the same command go on."""
    with pytest.raises(DamagedListError, match="line 7") as caught:
        ended(Ending(EndReason.STOPPED), SourceError("Torn behind line 7.", hint="Get it again."))
    assert caught.value.exit is Exit.OUR_FAULT
    assert caught.value.hint == "Get it again."


@pytest.mark.parametrize("error", [SourceError("Torn."), ManifestError("Damaged.")])
def test_it_does_not_hide_a_fault_of_ours(error: FetcherError) -> None:
    told = ended(Ending(EndReason.LOCAL_FAULT, "No room.", "disk-full"), error)
    assert told == Ending(EndReason.LOCAL_FAULT, f"No room. Besides: {error}", "disk-full")


def kill_within_a_page(manifest: Path) -> None:
    """Leave the manifest as a kill does that comes while SQLite writes without its log: pages of a
    transaction that did not end, and the journal that takes them back.
    """
    journal = manifest.with_name(manifest.name + "-journal")
    kept = manifest.with_name("kept"), manifest.with_name("kept-journal")
    with closing(sqlite3.connect(manifest, isolation_level=None)) as connection:
        connection.execute("PRAGMA cache_size = 2")  # so that pages are written before the end
        connection.execute("BEGIN EXCLUSIVE")
        connection.execute("UPDATE assets SET state = 0, attempts = 9")
        connection.execute("CREATE TABLE unwritten AS SELECT * FROM attempts, tallies")
        shutil.copyfile(manifest, kept[0])
        shutil.copyfile(journal, kept[1])
        connection.execute("ROLLBACK")
    kept[0].rename(manifest)
    kept[1].rename(journal)


def test_a_kill_while_the_log_was_begun_or_folded(bench: Bench) -> None:
    """Who only reads says it and touches nothing; who writes takes the half of a write back."""
    listed = bench.rows(PLAIN)
    assert bench.mirror(listed).code == 0
    manifest, images = bench.directory / "manifest.sqlite", bench.images()
    kill_within_a_page(manifest)
    names = ("manifest.sqlite", "manifest.sqlite-journal")
    before = [(bench.directory / name).read_bytes() for name in names]
    assert laws.breaches(bench.directory) == []
    for command in ("status", "report"):
        refused(fetcher(command, bench.directory), 2, "killed in the middle of a write")
    assert [(bench.directory / name).read_bytes() for name in names] == before

    assert bench.mirror(listed).code == 0
    assert laws.breaches(bench.directory, finished=True) == []
    assert bench.images() == images
    assert len(bench.web.requests) == len(PLAIN)

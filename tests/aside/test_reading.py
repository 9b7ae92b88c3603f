"""A list read by a process of its own is the list read in one's own."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from fetcher import lines
from fetcher.aside import ReadingProcess
from fetcher.errors import SourceError
from fetcher.events import ReaderLost, RowsImported
from fetcher.manifest import ManifestReader, ManifestThread
from fetcher.manifest.questions import places
from fetcher.model import Selection, State, Tally
from fetcher.nursery.hiring import Hired, Nursery, nursery
from fetcher.source import ColumnNames, ImageList, open_list
from fetcher.source.aside import Message
from fetcher.source.importer import Aside, AsideLostError, Importer
from tests.conformance.manifest_suite import group_of
from tests.manifest.opened import images, query
from tests.source.samples import V1_V5, cells, csv_text, tar_bytes, write

Start = Callable[[ImageList], Aside]
ROWS = 12_000
LICENCES = ("https://licences.test/by/", "Licence, in words")
PATIENCE = 30.0
STARTER = """
import sys
from pathlib import Path
from fetcher.aside import ReadingProcess
from fetcher.model import Selection
from fetcher.nursery.hiring import nursery
from fetcher.source import ColumnNames, open_list
with nursery() as one:
    reading = ReadingProcess(one, open_list(Path(sys.argv[1]), ColumnNames(), Selection()))
    reading.receive()
    print(reading._hired.pid, flush=True)
    sys.stdin.read()
"""


def gone(pid: int) -> bool:
    """Or only not yet buried by whoever inherited it."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def members(rows: int = ROWS) -> list[tuple[str, str | bytes | None]]:
    """Two tables: ids that repeat, odd rows, rejected rows and hosts among ordinary ones."""

    def table(subset: str, first: int, count: int) -> str:
        many = [
            cells(f"{n:016x}", f"Kite {n}" if n % 900 else "line\nbreak", subset)
            for n in range(first, first + count)
        ]
        for n, row in enumerate(many):
            row["License"] = LICENCES[n // 3 % 2 if n < count // 2 else 0]
        many[count // 2]["OriginalMD5"] = "nonsense"
        many[count // 3] = dict(many[count // 4])
        many[-1]["OriginalURL"] = "no-url"
        return csv_text(V1_V5, many)

    return [
        ("list/train/images.csv", table("train", 0, rows)),
        ("list/test/images.csv", table("test", rows - 5, 500)),
    ]


@pytest.fixture(scope="module")
def nurse() -> Iterator[Nursery]:
    with nursery() as one:
        yield one


@pytest.fixture
def aside(nurse: Nursery) -> Start:
    return partial(ReadingProcess, nurse)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write(tmp_path / "list.tar.gz", tar_bytes(members()))


class Heard:
    """An observer that counts what came in batch by batch, and may do something at one of them."""

    def __init__(self) -> None:
        self.batches: list[int] = []
        self.lost: list[str] = []

    def notify(self, event: object) -> None:
        if isinstance(event, RowsImported):
            self.batches.append(event.tally.read)
        elif isinstance(event, ReaderLost):
            self.lost.append(event.detail)


def imported(
    manifest: Path,
    path: Path,
    start: Start | None,
    *,
    selection: Selection = Selection(),  # noqa: B008  frozen
    lost: str | None = None,
) -> tuple[Tally, list[int]]:
    """``lost``: what is told of a process that does not read to the end."""

    async def run() -> tuple[Tally, list[int]]:
        heard = Heard()
        image_list = open_list(path, ColumnNames(), selection)
        async with ManifestThread(manifest, command="test", group_of=group_of) as book:
            await Importer([image_list], book, heard, start, long=0).run()
            assert heard.lost == ([] if lost is None else [lost])
            return await book.tally(), heard.batches

    return asyncio.run(run())


def kept(manifest: Path) -> list[Any]:
    """All that a list comes to, as anyone sees it."""
    without_time = [{**image, "updated_at": None} for image in images(manifest)]
    sources = query(manifest, "SELECT member, complete, accepted, duplicate, rejected FROM sources")
    rejected = query(manifest, "SELECT * FROM rejected_rows ORDER BY 1, 2")
    with ManifestReader(manifest) as reader:
        exported = list(reader.listed([*State]))
    # As it is printed in a report: in SQL that needs nothing of ours.
    licences = query(manifest, places.licences([State.PENDING]).sql)
    return [without_time, sources, rejected, exported, licences]


def here(tmp_path: Path, path: Path, **named: Any) -> list[Any]:
    imported(tmp_path / "here.sqlite", path, None, **named)
    return kept(tmp_path / "here.sqlite")


def test_it_comes_to_the_same(tmp_path: Path, path: Path, aside: Start) -> None:
    tally, batches = imported(tmp_path / "aside.sqlite", path, aside)
    assert kept(tmp_path / "aside.sqlite") == here(tmp_path, path)
    assert tally.rows.read == sum(batches) == ROWS + 500
    assert (tally.rows.duplicate, tally.rows.rejected) == (2 + 4, 2 + 1)
    assert batches[0] < ROWS / 10  # fetching waits for it


@pytest.mark.skipif(lines.cut is None, reason="the extension is not built here")
def test_most_of_it_comes_in_passages(tmp_path: Path, path: Path, aside: Start) -> None:
    """Or the tests here would compare one way with itself."""
    imported(tmp_path / "aside.sqlite", path, aside)
    (found,) = query(
        tmp_path / "aside.sqlite",
        "SELECT sum(assets) AS n, count(DISTINCT typeof(said)) AS kinds FROM passages",
    )
    assert found["n"] > ROWS / 2
    assert found["kinds"] == 2  # one licence, and several


def test_a_selection(tmp_path: Path, path: Path, aside: Start) -> None:
    some = Selection(
        subsets=frozenset({"test"}), ids=frozenset(f"{n:016x}" for n in range(ROWS * 2))
    )
    imported(tmp_path / "aside.sqlite", path, aside, selection=some)
    found = kept(tmp_path / "aside.sqlite")
    assert found == here(tmp_path, path, selection=some)
    assert {image["subset"] for image in found[0]} == {"test"}


def test_again_nothing_changes(tmp_path: Path, path: Path, aside: Start) -> None:
    imported(tmp_path / "aside.sqlite", path, aside)
    before = kept(tmp_path / "aside.sqlite")
    os.utime(path, (1, 1))  # so that it is read again
    tally, batches = imported(tmp_path / "aside.sqlite", path, aside)
    assert sum(batches) == tally.rows.read == ROWS + 500
    assert kept(tmp_path / "aside.sqlite") == before


class Killed(ReadingProcess):
    """Dies when it has told so many messages."""

    left = 0

    def receive(self) -> Message:
        if self.left == 0:
            self.kill()
            assert self._hired.has_ended(PATIENCE)
        self.left -= 1
        return super().receive()

    def kill(self) -> None:
        self._hired.kill()


@pytest.mark.parametrize("after", [0, 1, 2, 3, 4, 6])
def test_a_process_that_is_lost_costs_no_row(
    tmp_path: Path, path: Path, after: int, nurse: Nursery
) -> None:
    class KilledThen(Killed):
        left = after

    tally, batches = imported(
        tmp_path / "aside.sqlite", path, partial(KilledThen, nurse), lost="signal 9 ended it"
    )
    assert kept(tmp_path / "aside.sqlite") == here(tmp_path, path)
    assert sum(batches) == tally.rows.read == ROWS + 500


def test_none_that_can_be_started(tmp_path: Path, path: Path) -> None:
    def start(_: ImageList) -> Aside:
        raise AsideLostError("no more processes")

    imported(tmp_path / "aside.sqlite", path, start, lost="no more processes")
    assert kept(tmp_path / "aside.sqlite") == here(tmp_path, path)


def broken(end: socket.socket, _: ImageList) -> None:
    with end:
        raise ZeroDivisionError


def test_a_bug_in_it_is_told(tmp_path: Path, path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """With its traceback; and costs nothing."""
    lost = "it ended with exit code 1"
    with nursery() as one:
        start = partial(ReadingProcess, one, life=f"{__name__}:broken")
        imported(tmp_path / "aside.sqlite", path, start, lost=lost)
    assert kept(tmp_path / "aside.sqlite") == here(tmp_path, path)
    assert "ZeroDivisionError" in capfd.readouterr().err


def test_it_is_lost_with_its_nursery(tmp_path: Path, path: Path) -> None:
    with nursery() as one:

        class Orphaned(Killed):
            left = 3

            def kill(self) -> None:
                os.kill(one._pid, signal.SIGKILL)

        start = partial(Orphaned, one)
        imported(tmp_path / "aside.sqlite", path, start, lost="nobody knows how it ended")
    assert kept(tmp_path / "aside.sqlite") == here(tmp_path, path)


def test_none_can_be_forked(tmp_path: Path, path: Path) -> None:
    """The nursery closes both ends then."""

    class Barren(Nursery):
        def hire(self, life: str, value: object) -> Hired:  # noqa: ARG002
            ours, theirs = socket.socketpair()
            reading, writing = os.pipe()
            theirs.close()
            os.close(writing)
            return Hired(ours, reading)

    start = partial(ReadingProcess, Barren())
    imported(tmp_path / "aside.sqlite", path, start, lost="no process could be had for it")
    assert kept(tmp_path / "aside.sqlite") == here(tmp_path, path)


def test_it_does_not_outlive_its_starter_wherever_it_is(path: Path) -> None:
    """Not even when it neither reads nor writes: here it is stopped."""
    starter = subprocess.Popen(  # noqa: S603  ourselves
        [sys.executable, "-c", STARTER, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with starter:
        assert starter.stdout is not None
        pid = int(starter.stdout.readline())
        os.kill(pid, signal.SIGSTOP)
        assert not gone(pid)
        starter.kill()
    try:
        until = time.monotonic() + PATIENCE
        while not gone(pid) and time.monotonic() < until:
            time.sleep(0.01)
        assert gone(pid)
    finally:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def test_who_is_cancelled_while_it_starts_leaves_no_process(
    tmp_path: Path, path: Path, nurse: Nursery
) -> None:
    started: list[ReadingProcess] = []
    begun, go_on = threading.Event(), threading.Event()

    def start(image_list: ImageList) -> Aside:
        begun.set()
        assert go_on.wait(PATIENCE)
        started.append(ReadingProcess(nurse, image_list))
        return started[-1]

    async def cancelled() -> None:
        image_list = open_list(path, ColumnNames(), Selection())
        async with ManifestThread(
            tmp_path / "aside.sqlite", command="test", group_of=group_of
        ) as book:
            importer = Importer([image_list], book, Heard(), start, long=0)
            importing = asyncio.create_task(importer.run())
            await asyncio.to_thread(begun.wait, PATIENCE)
            importing.cancel()
            asyncio.get_running_loop().call_later(0.01, go_on.set)
            await asyncio.wait([importing])
            assert importing.cancelled()

    asyncio.run(cancelled())
    assert not started[0]._hired.lives


def test_damage_is_told_with_all_before_it(tmp_path: Path, path: Path, aside: Start) -> None:
    whole = path.read_bytes()
    cut = write(tmp_path / "cut.tar.gz", whole[: len(whole) * 2 // 3])
    with pytest.raises(SourceError) as theirs:
        imported(tmp_path / "aside.sqlite", cut, aside)
    with pytest.raises(SourceError) as own:
        here(tmp_path, cut)
    assert (theirs.value.sentence, theirs.value.hint) == (own.value.sentence, own.value.hint)
    found = kept(tmp_path / "aside.sqlite")
    assert found == kept(tmp_path / "here.sqlite")
    assert len(found[0]) > 1000


class Meddling(Heard):
    """Does something to the list when its first rows are there."""

    def __init__(self, meddle: Callable[[], object]) -> None:
        super().__init__()
        self._meddle = meddle

    def notify(self, event: object) -> None:
        super().notify(event)
        if len(self.batches) == 1:
            self._meddle()
            self._meddle = lambda: None


def meddled(manifest: Path, path: Path, start: Start | None, meddle: Callable[[], object]) -> None:
    async def run() -> None:
        image_list = open_list(path, ColumnNames(), Selection())
        async with ManifestThread(manifest, command="test", group_of=group_of) as book:
            await Importer([image_list], book, Meddling(meddle), start, long=0).run()

    asyncio.run(run())


@pytest.mark.parametrize("apart", [False, True])
@pytest.mark.parametrize("grows", [False, True])
def test_a_list_that_is_written_to_meanwhile_is_not_taken_for_all_of_it(
    tmp_path: Path, aside: Start, *, apart: bool, grows: bool
) -> None:
    """Where it seems to end, a download has come so far."""
    path = tmp_path / "list.csv"
    lines = csv_text(V1_V5, [cells(f"{n:016x}", "Kite") for n in range(ROWS)])
    path.write_text(lines)

    def meddle() -> None:
        with path.open("a") as file:
            if grows:
                file.write(csv_text(V1_V5, [cells("f" * 16, "Kite")]).splitlines(keepends=True)[1])
            else:
                file.truncate(len(lines) // 2)

    way, manifest = aside if apart else None, tmp_path / "m.sqlite"
    with pytest.raises(SourceError, match="was written to while it was read") as caught:
        meddled(manifest, path, way, meddle)
    assert "same command again" in (caught.value.hint or "")
    path.write_text(lines)
    tally, _ = imported(manifest, path, way)
    assert tally.rows.accepted - ROWS in (
        {0, 1} if grows else {0}
    )  # the one behind, if it was seen


@pytest.mark.parametrize("apart", [False, True])
def test_one_that_is_removed_or_replaced_meanwhile_is_read_whole(
    tmp_path: Path, path: Path, aside: Start, *, apart: bool
) -> None:
    def replace() -> None:
        write(tmp_path / "new", tar_bytes(members(10))).replace(path)

    for n, meddle in enumerate((replace, path.unlink)):
        write(path, tar_bytes(members()))
        meddled(tmp_path / f"{n}.sqlite", path, aside if apart else None, meddle)
        assert len(images(tmp_path / f"{n}.sqlite")) == ROWS + 500 - 6 - 3


def test_a_stopped_import_goes_on_and_leaves_no_process(
    tmp_path: Path, path: Path, aside: Start, nurse: Nursery
) -> None:
    started: list[ReadingProcess] = []

    def start(image_list: ImageList) -> Aside:
        started.append(ReadingProcess(nurse, image_list))
        return started[-1]

    class Stopping(Heard):
        def notify(self, event: object) -> None:
            super().notify(event)
            if len(self.batches) == 2:
                tasks[0].cancel()

    async def stopped() -> None:
        image_list = open_list(path, ColumnNames(), Selection())
        async with ManifestThread(
            tmp_path / "aside.sqlite", command="test", group_of=group_of
        ) as book:
            importer = Importer([image_list], book, Stopping(), start, long=0)
            tasks.append(asyncio.create_task(importer.run()))
            await asyncio.wait(tasks)
            assert tasks[0].cancelled()

    tasks: list[asyncio.Task[None]] = []
    asyncio.run(stopped())
    assert not started[0]._hired.lives
    through = query(tmp_path / "aside.sqlite", "SELECT max(through_line) AS n FROM sources")[0]["n"]
    assert 0 < through < ROWS
    tally, batches = imported(tmp_path / "aside.sqlite", path, aside)
    assert sum(batches) < ROWS + 500 - 500
    assert tally.rows.read == ROWS + 500
    assert kept(tmp_path / "aside.sqlite") == here(tmp_path, path)

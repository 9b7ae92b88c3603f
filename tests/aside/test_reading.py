"""A list read by a process of its own is the list read in one's own."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fetcher.aside import ReadingProcess
from fetcher.errors import SourceError
from fetcher.events import RowsImported
from fetcher.manifest import ManifestReader, ManifestThread
from fetcher.manifest.questions import places
from fetcher.model import Selection, State, Tally
from fetcher.source import ColumnNames, ImageList, open_list
from fetcher.source.aside import Message
from fetcher.source.importer import Aside, AsideLostError, Importer
from tests.conformance.manifest_suite import group_of
from tests.manifest.opened import images, query
from tests.source.samples import V1_V5, cells, csv_text, tar_bytes, write

Start = Callable[[ImageList], Aside]
ROWS = 12_000
LICENCES = ("https://licences.test/by/", "Licence, in words")


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


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write(tmp_path / "list.tar.gz", tar_bytes(members()))


class Heard:
    """An observer that counts what came in batch by batch, and may do something at one of them."""

    def __init__(self) -> None:
        self.batches: list[int] = []

    def notify(self, event: object) -> None:
        if isinstance(event, RowsImported):
            self.batches.append(event.tally.read)


def imported(
    manifest: Path,
    path: Path,
    start: Start | None,
    *,
    selection: Selection = Selection(),  # noqa: B008 - frozen
) -> tuple[Tally, list[int]]:
    async def run() -> tuple[Tally, list[int]]:
        heard = Heard()
        image_list = open_list(path, ColumnNames(), selection)
        async with ManifestThread(manifest, command="test", group_of=group_of) as book:
            await Importer([image_list], book, heard, start, long=0).run()
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


def test_it_comes_to_the_same(tmp_path: Path, path: Path) -> None:
    tally, batches = imported(tmp_path / "aside.sqlite", path, ReadingProcess)
    assert kept(tmp_path / "aside.sqlite") == here(tmp_path, path)
    assert tally.rows.read == sum(batches) == ROWS + 500
    assert (tally.rows.duplicate, tally.rows.rejected) == (2 + 4, 2 + 1)
    assert batches[0] < ROWS / 10  # fetching waits for it


def test_most_of_it_comes_in_passages(tmp_path: Path, path: Path) -> None:
    """Or the tests here would compare one way with itself."""
    imported(tmp_path / "aside.sqlite", path, ReadingProcess)
    (found,) = query(
        tmp_path / "aside.sqlite",
        "SELECT sum(assets) AS n, count(DISTINCT typeof(said)) AS kinds FROM passages",
    )
    assert found["n"] > ROWS / 2
    assert found["kinds"] == 2  # one licence, and several


def test_a_selection(tmp_path: Path, path: Path) -> None:
    some = Selection(
        subsets=frozenset({"test"}), ids=frozenset(f"{n:016x}" for n in range(ROWS * 2))
    )
    imported(tmp_path / "aside.sqlite", path, ReadingProcess, selection=some)
    found = kept(tmp_path / "aside.sqlite")
    assert found == here(tmp_path, path, selection=some)
    assert {image["subset"] for image in found[0]} == {"test"}


def test_again_nothing_changes(tmp_path: Path, path: Path) -> None:
    imported(tmp_path / "aside.sqlite", path, ReadingProcess)
    before = kept(tmp_path / "aside.sqlite")
    os.utime(path, (1, 1))  # so that it is read again
    tally, batches = imported(tmp_path / "aside.sqlite", path, ReadingProcess)
    assert sum(batches) == tally.rows.read == ROWS + 500
    assert kept(tmp_path / "aside.sqlite") == before


class Killed(ReadingProcess):
    """Dies when it has told so many messages."""

    left = 0

    def receive(self) -> Message:
        if self.left == 0:
            os.kill(self._process.pid, signal.SIGKILL)
            self._process.wait()
        self.left -= 1
        return super().receive()


@pytest.mark.parametrize("after", [0, 1, 2, 3, 4, 6])
def test_a_process_that_is_lost_costs_no_row(tmp_path: Path, path: Path, after: int) -> None:
    class KilledThen(Killed):
        left = after

    tally, batches = imported(tmp_path / "aside.sqlite", path, KilledThen)
    assert kept(tmp_path / "aside.sqlite") == here(tmp_path, path)
    assert sum(batches) == tally.rows.read == ROWS + 500


def test_none_that_can_be_started(tmp_path: Path, path: Path) -> None:
    def start(_: ImageList) -> Aside:
        raise AsideLostError("no more processes")

    imported(tmp_path / "aside.sqlite", path, start)
    assert kept(tmp_path / "aside.sqlite") == here(tmp_path, path)


def test_damage_is_told_with_all_before_it(tmp_path: Path, path: Path) -> None:
    whole = path.read_bytes()
    cut = write(tmp_path / "cut.tar.gz", whole[: len(whole) * 2 // 3])
    with pytest.raises(SourceError) as aside:
        imported(tmp_path / "aside.sqlite", cut, ReadingProcess)
    with pytest.raises(SourceError) as own:
        here(tmp_path, cut)
    assert (aside.value.sentence, aside.value.hint) == (own.value.sentence, own.value.hint)
    found = kept(tmp_path / "aside.sqlite")
    assert found == kept(tmp_path / "here.sqlite")
    assert len(found[0]) > 1000


def test_a_stopped_import_goes_on_and_leaves_no_process(tmp_path: Path, path: Path) -> None:
    started: list[ReadingProcess] = []

    def start(image_list: ImageList) -> Aside:
        started.append(ReadingProcess(image_list))
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
    assert started[0]._process.returncode is not None
    through = query(tmp_path / "aside.sqlite", "SELECT max(through_line) AS n FROM sources")[0]["n"]
    assert 0 < through < ROWS
    tally, batches = imported(tmp_path / "aside.sqlite", path, ReadingProcess)
    assert sum(batches) < ROWS + 500 - 500
    assert tally.rows.read == ROWS + 500
    assert kept(tmp_path / "aside.sqlite") == here(tmp_path, path)

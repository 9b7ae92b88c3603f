"""The manifest for an event loop: order, cancellation, errors."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from fetcher.errors import LockedError, ManifestUnusableError
from fetcher.manifest import ManifestThread, RunInfo
from fetcher.manifest.database import Database
from fetcher.manifest.thread import PATIENCE, _Call, _Calls
from fetcher.model import LeaseRequest, Selection, State
from fetcher.ports import Manifest, RowBook
from tests.conformance.manifest_suite import group_of, leased, outcome, row
from tests.manifest.opened import source


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "manifest.sqlite"


@pytest.fixture
async def manifest(path: Path) -> AsyncIterator[ManifestThread]:
    selection = Selection(subsets=frozenset({"train"}))
    async with ManifestThread(
        path, command="test", group_of=group_of, selection=selection
    ) as manifest:
        await manifest.begin_run(RunInfo("test", "0"))
        yield manifest


async def test_is_both_ports(manifest: ManifestThread) -> None:
    port: Manifest = manifest
    book: RowBook = manifest
    cursor = await book.begin_source(source(), "1")
    rows = [row(1), row(2, subset="test"), row(3)]
    assert (await book.import_rows(cursor.source_id, rows, 4)).accepted == 3
    await book.finish_source(cursor.source_id)
    await book.finish_list("/list.csv", "1")
    assert await book.list_is_complete("/list.csv", "1")
    await book.finish_import()
    assert await leased(port) == [1, 3]
    assert (await manifest.selected_tally()).total == 2
    assert (await manifest.tally()).total == 3


async def test_a_lease_that_nobody_waits_for_is_given_back(manifest: ManifestThread) -> None:
    cursor = await manifest.begin_source(source(), "1")
    await manifest.import_rows(cursor.source_id, [row(1), row(2)], 3)
    hold = threading.Event()
    blocked = asyncio.create_task(manifest._call(lambda _: hold.wait()))
    lease = asyncio.create_task(manifest.lease(LeaseRequest(5, default_room=5)))
    await asyncio.sleep(0)
    lease.cancel()
    hold.set()
    await blocked
    with pytest.raises(asyncio.CancelledError):
        await lease
    while not (ids := await leased(manifest)):
        pass
    assert ids == [1, 2]


async def test_a_settlement_that_nobody_waits_for_is_done(manifest: ManifestThread) -> None:
    cursor = await manifest.begin_source(source(), "1")
    await manifest.import_rows(cursor.source_id, [row(1)], 2)
    await leased(manifest)
    hold = threading.Event()
    blocked = asyncio.create_task(manifest._call(lambda _: hold.wait()))
    settling = asyncio.create_task(manifest.settle([outcome(1, State.GONE)]))
    await asyncio.sleep(0)
    settling.cancel()
    hold.set()
    await blocked
    assert (await manifest.tally()).states[State.GONE] == 1


async def test_a_settlement_waits_for_one_batch_of_an_import_at_most(
    manifest: ManifestThread,
) -> None:
    cursor = await manifest.begin_source(source(), "1")
    await manifest.import_rows(cursor.source_id, [row(1)], 2)
    await leased(manifest)
    done: list[str] = []

    async def importing() -> None:
        for n in range(2, 12):
            await manifest.import_rows(cursor.source_id, [row(n)], n + 1)
            done.append("batch")

    task = asyncio.create_task(importing())
    await asyncio.sleep(0)
    await manifest.settle([outcome(1, State.GONE)])
    done.append("settled")
    await task
    assert done.index("settled") <= 2


async def test_rows_to_import_let_everything_else_pass() -> None:
    loop = asyncio.get_running_loop()
    calls = _Calls()

    def put(name: str, *, patient: bool = False) -> None:
        calls.put(_Call(lambda _: name, None, loop, loop.create_future(), patient))

    def take() -> object:
        call = calls.take()
        return call and call.ask(None)  # type: ignore[arg-type]

    put("rows", patient=True)
    put("lease")
    put("settle")
    assert (take(), take()) == ("lease", "settle")
    put("more rows", patient=True)
    calls.put(None)
    assert (take(), take(), take()) == ("rows", "more rows", None)


async def test_rows_to_import_do_get_their_turn() -> None:
    """Also while leases and settlements are asked for by turns, without end."""
    loop = asyncio.get_running_loop()
    calls = _Calls()
    calls.put(_Call(lambda _: "rows", None, loop, loop.create_future(), patient=True))
    taken = []
    for _ in range(2 * PATIENCE):
        calls.put(_Call(lambda _: "lease", None, loop, loop.create_future()))
        call = calls.take()
        assert call is not None
        taken.append(call.ask(None))  # type: ignore[arg-type]
    assert taken.count("rows") == 1


async def test_an_error_is_raised_where_it_was_asked_for(
    manifest: ManifestThread, path: Path
) -> None:
    with pytest.raises(ValueError, match="not leased"):
        await manifest.give_back([77])
    assert (await manifest.tally()).total == 0  # and the thread goes on
    with pytest.raises(LockedError):
        async with ManifestThread(path, command="second", group_of=group_of):
            raise AssertionError


async def test_what_cannot_be_opened_is_raised_on_entering(tmp_path: Path) -> None:
    before = threading.active_count()
    with pytest.raises(ManifestUnusableError):
        async with ManifestThread(tmp_path / "no" / "m", command="x", group_of=group_of):
            raise AssertionError
    assert threading.active_count() <= before + 1


async def test_leaving_closes_and_tidies(path: Path) -> None:
    async with ManifestThread(path, command="test", group_of=group_of):
        assert (path.parent / "manifest.sqlite-wal").exists()
    assert list(path.parent.iterdir()) == [path]


async def test_being_cancelled_while_opening_leaves_nothing_open(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hold, real = threading.Event(), Database.open

    def slowly(*args: object, **kwargs: object) -> Database:
        hold.wait()
        return real(*args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(Database, "open", slowly)
    manifest = ManifestThread(path, command="test", group_of=group_of)
    entering = asyncio.create_task(manifest.__aenter__())
    await asyncio.sleep(0)
    entering.cancel()
    await asyncio.sleep(0)
    hold.set()
    with pytest.raises(asyncio.CancelledError):
        await entering
    assert not manifest._thread.is_alive()  # else it may be cut off by the process's end
    assert list(path.parent.iterdir()) == [path]

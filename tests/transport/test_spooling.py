"""Memory and disk: how much is held, what lies where, what goes wrong, and what is left over."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fetcher.demo.images import picture
from fetcher.demo.steps import (
    SILENCE,
    Answer,
    Chunked,
    Close,
    Framing,
    Length,
    Picture,
    Ranges,
    Stall,
    Step,
    Trickle,
    UntilClose,
)
from fetcher.model import Validators
from fetcher.transport import intake
from fetcher.transport.intake import Intake
from tests.transport.harness import MEMORY, MakeRig, Rig, bytes_of

SIZE = 50_000
IMAGE = picture("", SIZE)


# How much, and where.


@pytest.mark.parametrize("framing", [Length(), Chunked(), UntilClose()], ids=repr)
@pytest.mark.parametrize(
    ("memory", "spooled"), [(0, True), (1, True), (SIZE - 1, True), (SIZE, False)]
)
async def test_what_goes_beyond_the_allowance_is_spooled(
    rig: Rig,
    framing: Framing,
    memory: int,
    spooled: bool,  # noqa: FBT001  a column of the table
) -> None:
    rig.web.serve("/a", Answer(Picture(SIZE), framing=framing))
    arrival = await rig.arrival("/a", memory=memory)
    assert bytes_of(arrival) == IMAGE
    assert arrival.body.path == (rig.spool if spooled else None)
    assert rig.files() == ({"1.part": SIZE} if spooled else {})


@given(
    sizes=st.lists(st.integers(1, 400), max_size=20),
    memory=st.integers(0, 3_000),
    resumed=st.integers(0, 500),
)
def test_any_chunks_in_any_allowance(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int], memory: int, resumed: int
) -> None:
    """The same bytes; never more of them in memory than allowed, but for the chunk at hand."""
    folder = tmp_path_factory.mktemp("intake")
    data = os.urandom(resumed + sum(sizes))

    async def take() -> bytes:
        first = None
        if resumed:
            async with Intake(folder / "x", 0) as cut:
                cut.add(data[:resumed])
                first = await cut.partial(Validators())
        at = resumed
        async with Intake(folder / "x", memory, resume=first) as taken:
            for size in sizes:
                wants_flush = taken.add(data[at : at + size])
                at += size
                assert taken._buffered <= memory or wants_flush
                if wants_flush:
                    await taken.flush()
                    assert not taken._chunks
            assert taken.size == len(data)
            body = await taken.body()
        assert (body.path is not None) == (resumed > 0 or sum(sizes) > memory)
        return body.path.read_bytes() if body.path is not None else bytes(body.data or b"")

    assert asyncio.run(take()) == data


async def test_a_body_that_comes_in_bytes_costs_no_more_than_its_bytes(tmp_path: Path) -> None:
    data = os.urandom(5_000)
    async with Intake(tmp_path / "x", MEMORY) as taken:
        for number in range(len(data)):
            taken.add(data[number : number + 1])
            assert len(taken._chunks) <= intake.PIECES
        body = await taken.body()
    assert body.data == data


def test_an_old_spool_file_is_overwritten(tmp_path: Path) -> None:
    async def take() -> None:
        (tmp_path / "x").write_bytes(b"left by somebody")
        async with Intake(tmp_path / "x", 0) as taken:
            assert taken.add(b"abc")
            await taken.flush()
            await taken.body()

    asyncio.run(take())
    assert (tmp_path / "x").read_bytes() == b"abc"


# Too much.


@pytest.mark.parametrize("memory", [0, MEMORY])
@pytest.mark.parametrize("framing", [Length(), Chunked(), UntilClose()], ids=repr)
async def test_too_large(make_rig: MakeRig, framing: Framing, memory: int) -> None:
    rig = make_rig(max_bytes=SIZE - 1)
    rig.web.serve("/a", Answer(Picture(SIZE), framing=framing))
    fault = await rig.fault("/a", memory=memory)
    assert (fault.code, fault.http_status, fault.partial) == ("too-large", 200, None)
    assert (fault.received == 0) == isinstance(framing, Length)
    assert rig.files() == {}
    assert bytes_of(await make_rig(max_bytes=SIZE).arrival("/a", memory=memory)) == IMAGE


async def test_no_more_than_the_limit_is_taken_in(make_rig: MakeRig) -> None:
    """An endless body ends; and even then nothing of it is left."""
    rig = make_rig(max_bytes=100_000)
    rig.web.serve("/a", Answer(Picture(30_000_000), framing=UntilClose()))
    fault = await rig.fault("/a", memory=SIZE)
    assert fault.code == "too-large"
    assert fault.received < 3_000_000
    assert rig.files() == {}


async def test_too_large_and_cut_is_too_large(make_rig: MakeRig) -> None:
    rig = make_rig(max_bytes=1_000)
    rig.web.serve("/a", Answer(Picture(SIZE), framing=Chunked(), end=Close(2_000)))
    assert (await rig.fault("/a")).code == "too-large"
    assert rig.files() == {}


# The disk.

CUT = Answer(Picture(SIZE), end=Close(9_000))
WHOLE = Answer(Picture(SIZE))


@pytest.mark.parametrize(("step", "memory"), [(WHOLE, 0), (CUT, MEMORY), (CUT, 0)])
async def test_no_folder_to_spool_into(rig: Rig, step: Step, memory: int) -> None:
    rig.web.serve("/a", step)
    fault = await rig.fault("/a", memory=memory, spool=rig.folder / "missing" / "1.part")
    assert (fault.code, fault.partial) == ("disk-error", None)
    assert "No such file" in fault.detail


# What fails when it is written, and once more when it is closed: less than Python's buffer.
IN_PIECES = Answer(Picture(15_000), pace=Trickle(3_000, 0.01))


@pytest.mark.parametrize(
    ("step", "memory"), [(WHOLE, 0), (WHOLE, 40_000), (CUT, MEMORY), (CUT, 0), (IN_PIECES, 0)]
)
async def test_a_full_disk(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, step: Step, memory: int
) -> None:
    """The device takes no byte; it is opened in place of the spool file, which is there too."""

    def full(path: str, _: int) -> int:
        Path(path).touch()
        return os.open("/dev/full", os.O_WRONLY)

    monkeypatch.setattr(intake, "_open_new", full)
    rig.web.serve("/a", step)
    fault = await rig.fault("/a", memory=memory)
    assert (fault.code, fault.partial) == ("disk-full", None)
    assert fault.received > 0
    assert rig.files() == {}


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (errno.ENOSPC, "disk-full"),
        (errno.EDQUOT, "disk-full"),
        (errno.EROFS, "disk-error"),
        (errno.EIO, "disk-error"),
        (errno.EACCES, "disk-error"),
        (errno.EMFILE, "out-of-descriptors"),
    ],
)
async def test_a_file_that_cannot_be_opened(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, number: int, code: str
) -> None:
    async def refuse(path: Path, mode: str) -> None:
        raise OSError(number, os.strerror(number), str(path), None, mode)

    monkeypatch.setattr(intake, "_opened", refuse)
    rig.web.serve("/a", WHOLE)
    partial = rig.kept(IMAGE[:9])
    assert (await rig.fault("/a", memory=0)).code == code
    assert (await rig.fault("/a", memory=0, partial=partial)).code == code
    assert rig.files() == {"1.part": 9}


# Cancellation.


async def cancelled(rig: Rig, when: Callable[[], bool], **more: object) -> None:
    """Fetch /a, and cancel it when ``when`` is so; returns when it has ended."""
    task = asyncio.ensure_future(rig.fetch("/a", **more))  # type: ignore[arg-type]
    while not when():
        await asyncio.sleep(0)
        assert not task.done()
    task.cancel()
    with suppress(asyncio.CancelledError):
        raise AssertionError(await task)
    assert task.cancelled()


async def test_cancelled_before_an_answer(rig: Rig) -> None:
    rig.web.serve("/a", SILENCE)
    await cancelled(rig, lambda: rig.web.count() == 1)
    rig.web.serve("/a", SILENCE)
    partial = rig.kept(IMAGE[:9])
    await cancelled(rig, lambda: rig.web.count() == 2, partial=partial)
    assert rig.files() == {}


@pytest.mark.parametrize("resumed", [False, True])
async def test_cancelled_within_a_body(rig: Rig, resumed: bool) -> None:  # noqa: FBT001
    rig.web.serve("/a", Answer(Picture(SIZE), end=Stall(40_000)))
    partial = rig.kept(IMAGE[:9]) if resumed else None
    await cancelled(rig, lambda: rig.files().get("1.part", 0) > 9, memory=0, partial=partial)
    assert rig.files() == {}


async def test_cancelled_while_it_is_still_in_memory(rig: Rig) -> None:
    rig.web.serve("/a", Answer(Picture(SIZE), end=Stall(40_000)))
    partial = rig.kept(IMAGE[:9])
    await cancelled(rig, lambda: rig.web.count() == 1, partial=partial)
    assert rig.files() == {}


@pytest.mark.parametrize("mode", ["wb", "r+b"])
async def test_cancelled_while_the_file_is_being_opened(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    """The thread that opens it does not stop for that, and its file must not stay."""
    opening, may_open = asyncio.Event(), asyncio.Event()
    really = intake._opened

    async def slowly(path: Path, how: str) -> object:
        opening.set()
        assert how == mode
        await may_open.wait()
        return await really(path, how)  # type: ignore[arg-type]

    monkeypatch.setattr(intake, "_opened", slowly)
    rig.web.serve("/a", WHOLE)
    partial = rig.kept(IMAGE[:9]) if mode == "r+b" else None
    asyncio.get_running_loop().call_later(0.05, may_open.set)
    await cancelled(rig, opening.is_set, memory=0, partial=partial)
    assert may_open.is_set()
    assert rig.files() == {}


async def test_cancelled_while_a_new_beginning_is_spooled_elsewhere(rig: Rig) -> None:
    answer = Answer(Picture(SIZE), ranges=Ranges.IGNORED, end=Stall(40_000))
    rig.web.serve("/a", answer)
    other = rig.folder / "2.part"
    await cancelled(rig, other.exists, memory=0, partial=rig.kept(IMAGE[:9]), spool=other)
    assert rig.files() == {}

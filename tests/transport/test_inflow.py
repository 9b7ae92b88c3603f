"""Large bodies that are received right into their place: the same bytes, ends and connections."""

from __future__ import annotations

import asyncio
import itertools
import time
from pathlib import Path

import pytest

from fetcher.demo.images import picture
from fetcher.demo.steps import (
    Answer,
    Chunked,
    Close,
    Framing,
    Length,
    Picture,
    Reset,
    Stall,
    Step,
    Trickle,
)
from fetcher.model import Arrival
from fetcher.ports import FetchRequest
from fetcher.transport.exchange import Exchange
from fetcher.transport.intake import AT_ONCE
from fetcher.transport.requests import READ_AHEAD, Response
from fetcher.transport.wire import Wire
from tests.transport.harness import (
    LONG,
    MEMORY,
    MakeRig,
    Rig,
    bytes_of,
    head_of,
    served_by,
    stalling,
)

SIZE = 700_000
IMAGE = picture("", SIZE)
HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n"


@pytest.mark.parametrize("size", [SIZE, MEMORY])
async def test_a_large_body_that_fits_in_memory_is_not_moved(rig: Rig, size: int) -> None:
    rig.web.serve("/a", Answer(Picture(size)))
    for _ in range(3):
        arrival = await rig.arrival("/a")
        assert bytes_of(arrival) == picture("", size)
        assert isinstance(arrival.body.data, bytearray)
        assert arrival.received == size
    assert len({request.client for request in rig.web.requests}) == 1
    assert rig.files() == {}


@pytest.mark.parametrize(
    ("framing", "size", "memory"),
    [(Length(), AT_ONCE, MEMORY), (Chunked(), SIZE, MEMORY), (Length(), SIZE, SIZE - 1)],
    ids=["small", "in chunks", "beyond its allowance"],
)
async def test_others_come_as_ever(rig: Rig, framing: Framing, size: int, memory: int) -> None:
    rig.web.serve("/a", Answer(Picture(size), framing=framing))
    arrival = await rig.arrival("/a", memory=memory)
    assert bytes_of(arrival) == picture("", size)
    assert not isinstance(arrival.body.data, bytearray)


async def test_wherever_the_stream_is_cut(rig: Rig) -> None:
    """Between the head and the body, within the head, and in the body, however far."""
    head = HEAD % SIZE
    places = (1, len(head) - 1, len(head), len(head) + 1, 100_000, 256_000, SIZE, SIZE + 50)
    cuts = iter([(a, b) for a, b in itertools.product(places, repeat=2) if a < b])

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await head_of(reader)
            stream = head + IMAGE
            first, second = next(cuts)
            for piece in (stream[:first], stream[first:second], stream[second:]):
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(0.002)

    async with served_by(talk) as port:
        for _ in range(len(places) * (len(places) - 1) // 2):
            arrival = await rig.arrival(f"http://127.0.0.1:{port}/a")
            assert bytes_of(arrival) == IMAGE


@pytest.mark.parametrize("surplus", [b"x", b"\r\n", HEAD % 0])
@pytest.mark.parametrize("late", [False, True])
async def test_what_comes_behind_it_is_nobody_s_answer(
    rig: Rig,
    surplus: bytes,
    late: bool,  # noqa: FBT001  a column of the table
) -> None:
    connections = 0

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        while True:
            await head_of(reader)
            writer.write(HEAD % SIZE + IMAGE + (b"" if late else surplus))
            await writer.drain()
            if late:
                await asyncio.sleep(0.02)
                writer.write(surplus)
                await writer.drain()

    async with served_by(talk) as port:
        for _ in range(3):
            arrival = await rig.arrival(f"http://127.0.0.1:{port}/a")
            assert bytes_of(arrival) == IMAGE
            await asyncio.sleep(0.05 if late else 0)
    assert connections == 3


ENDS: dict[str, tuple[Step, str]] = {
    "closed": (Answer(Picture(SIZE), end=Close(600_000)), "truncated"),
    "reset": (Answer(Picture(SIZE), end=Reset(600_000)), "connection-reset"),
    "a byte too few": (Answer(Picture(SIZE), end=Close(SIZE - 1)), "truncated"),
    "too long a length": (Answer(Picture(SIZE), framing=Length(10)), "truncated"),
}


@pytest.mark.parametrize(("step", "code"), ENDS.values(), ids=ENDS)
async def test_what_came_is_kept_and_gone_on_with(rig: Rig, step: Step, code: str) -> None:
    rig.web.serve("/a", step, Answer(Picture(SIZE)))
    fault = await rig.fault("/a")
    assert fault.code == code
    assert fault.partial is not None
    assert fault.partial.size == fault.received
    assert rig.spool.read_bytes() == IMAGE[: fault.received]
    assert bytes_of(await rig.arrival("/a", partial=fault.partial)) == IMAGE


async def test_silence_is_told_and_what_came_is_kept(make_rig: MakeRig) -> None:
    async def holds(rig: Rig) -> None:
        rig.web.serve("/a", Answer(Picture(SIZE), end=Stall(650_000)))
        fault = await rig.fault("/a")
        assert (fault.code, fault.received) == ("stalled", 650_000)
        assert rig.spool.read_bytes() == IMAGE[:650_000]

    await stalling(make_rig, holds)


async def test_a_slow_body_that_goes_on_is_not_silent(make_rig: MakeRig) -> None:
    """Four pauses, together longer than the silence that is allowed."""
    rig = make_rig(stall_timeout=1.0)
    rig.web.serve("/a", Answer(Picture(SIZE), pace=Trickle(SIZE // 5, 0.4)))
    assert bytes_of(await rig.arrival("/a")) == IMAGE


async def test_one_that_never_ends_has_its_time(make_rig: MakeRig) -> None:
    rig = make_rig(total_timeout=0.3)
    rig.web.serve("/a", Answer(Picture(SIZE), pace=Trickle(1_000, 0.02)))
    fault = await rig.fault("/a")
    assert fault.code == "total-timeout"
    assert fault.partial is not None
    assert fault.partial.size == fault.received > 0


async def test_a_cancelled_one_costs_its_connection_and_nothing_else(rig: Rig) -> None:
    rig.web.serve("/a", Answer(Picture(SIZE), end=Stall(600_000)), Answer(Picture(SIZE)))
    fetching = asyncio.create_task(rig.fetch("/a"))
    await asyncio.sleep(0.1)
    fetching.cancel()
    with pytest.raises(asyncio.CancelledError):
        await fetching
    assert rig.files() == {}
    assert bytes_of(await rig.arrival("/a")) == IMAGE
    assert len({request.client for request in rig.web.requests}) == 2


async def test_two_at_once_have_a_place_each(rig: Rig) -> None:
    for name in "abcdef":
        rig.web.serve(f"/{name}", Answer(Picture(SIZE, name), pace=Trickle(SIZE // 7, 0.001)))
    got = await asyncio.gather(*(rig.fetch(f"/{name}") for name in "abcdef"))
    for name, result in zip("abcdef", got, strict=True):
        assert isinstance(result, Arrival), result
        assert bytes_of(result) == picture(name, SIZE)


async def test_an_idle_connection_does_not_keep_what_came_over_it(rig: Rig) -> None:
    rig.web.serve("/a", Answer(Picture(SIZE)))
    data = (await rig.arrival("/a")).body.data
    assert isinstance(data, bytearray)
    data.append(0)  # a BufferError if anybody has a view of it


# A connection by itself.


class Pipe(asyncio.Transport):
    """A transport that only knows whom it would tell."""

    def __init__(self, protocol: asyncio.BaseProtocol) -> None:
        super().__init__()
        self._protocol = protocol

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._protocol = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        return self._protocol

    def is_closing(self) -> bool:
        return False

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass


async def answered(size: int, came: bytes) -> tuple[Wire, Pipe, Response]:
    """A connection over which ``came`` of a body of ``size`` bytes, at once."""
    wire = Wire(loop=asyncio.get_running_loop())
    pipe = Pipe(wire)
    wire.connection_made(pipe)
    wire.begin(READ_AHEAD)
    wire.data_received(HEAD % size + came)
    message, content = await wire.read()
    return wire, pipe, Response(message.code, message.headers, content, wire)


@pytest.mark.parametrize("cancelled", [False, True])
async def test_a_flow_that_nobody_waits_for_gives_the_connection_back(
    cancelled: bool,  # noqa: FBT001  a column of the table
) -> None:
    """What still comes before it is closed may be more than there was room for."""
    wire, pipe, _ = await answered(SIZE, b"")
    flow = wire.flow_into(memoryview(bytearray(SIZE)))
    assert pipe.get_protocol() is flow
    if cancelled:
        flow.done.cancel()
    else:
        wire.set_exception(TimeoutError())
        assert pipe.get_protocol() is wire
        with pytest.raises(TimeoutError):
            await flow.done
    if cancelled:
        flow.buffer_updated(len(flow.get_buffer(-1)))
    assert pipe.get_protocol() is wire
    assert wire.should_close


async def test_a_body_that_came_at_once_beyond_what_may_wait(folder: Path) -> None:
    """The parser, told to wait, has passed all of it on and not seen its end. TLS may do that."""
    size = 2 * READ_AHEAD + 1
    _, _, response = await answered(size, IMAGE[:size])
    assert not response.content.is_eof()
    request = FetchRequest("http://a.test/", 1, MEMORY, folder / "1.part")
    async with asyncio.timeout(LONG):
        arrival = await Exchange(request, max_bytes=MEMORY, wall=time.time).take(response)
    assert isinstance(arrival, Arrival)
    assert bytes_of(arrival) == IMAGE[:size]
    assert not response.protocol.should_close

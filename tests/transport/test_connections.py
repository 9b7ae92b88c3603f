"""One fetch is one request on the wire, whatever happens to the connection that it goes over."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable

import pytest

from fetcher.demo.steps import (
    HANG_UP,
    RESET,
    Answer,
    Bytes,
    Chunked,
    Close,
    Length,
    Picture,
    Step,
    Trickle,
    UntilClose,
    redirect,
    status,
)
from fetcher.demo.web import Web
from fetcher.model import Arrival, Fault
from fetcher.transport import pool
from tests.transport.harness import (
    MakeRig,
    Rig,
    bytes_of,
    closed_port,
    head_of,
    real_socket,
    served_by,
)

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc"
IMAGE = Answer(Picture(600))


def clients(rig: Rig) -> int:
    return len({asked.client for asked in rig.web.requests})


# Connections are used again.

KEEPERS: dict[str, tuple[Step, bool]] = {
    "an image": (IMAGE, True),
    "an image in chunks": (Answer(Picture(600), framing=Chunked()), True),
    "nothing": (Answer(), True),
    "a page": (status(404), True),
    "a page in chunks": (Answer(Bytes(b"Sorry."), 404, framing=Chunked()), True),
    "a page in pieces": (Answer(Picture(600), 404, pace=Trickle(250, 0.01)), True),
    "a redirect": (redirect("/b"), True),
    "no content": (status(204), True),
    "a large page": (Answer(Picture(200_000), 404), False),
    "a large page in chunks": (Answer(Picture(2_000_000), 404, framing=Chunked()), False),
    "an image until the end": (Answer(Picture(600), framing=UntilClose()), False),
    "a page until the end": (Answer(Bytes(b"Sorry."), 404, framing=UntilClose()), False),
    "half an image": (Answer(Picture(600), end=Close(300)), False),
}


@pytest.mark.parametrize(("step", "kept"), KEEPERS.values(), ids=KEEPERS)
async def test_a_connection_is_used_again_if_nothing_is_left_on_it(
    rig: Rig,
    step: Step,
    kept: bool,  # noqa: FBT001  a column of the table
) -> None:
    rig.web.serve("/a", step, IMAGE)
    await rig.fetch("/a")
    assert len(rig.transport._requests.pool._longest_idle) == (1 if kept else 0)
    await rig.arrival("/a")
    assert clients(rig) == (1 if kept else 2)


async def test_the_bytes_of_a_page_that_nobody_wants_are_counted(rig: Rig) -> None:
    rig.web.serve("/a", Answer(Picture(600), 404, pace=Trickle(250, 0.01)))
    assert (await rig.fault("/a")).received == 600


async def test_too_large_costs_the_connection_and_no_more(make_rig: MakeRig) -> None:
    rig = make_rig(max_bytes=1_000)
    rig.web.serve("/a", Answer(Picture(5_000_000)), IMAGE)
    assert (await rig.fault("/a")).code == "too-large"
    await rig.arrival("/a")
    assert rig.web.count() == clients(rig) == 2


# And they may end as they are. What the server sees is what counts.

Ending = Callable[[asyncio.StreamWriter], Awaitable[None]]


async def close(writer: asyncio.StreamWriter) -> None:
    writer.close()


async def reset(writer: asyncio.StreamWriter) -> None:
    with real_socket(writer) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def half(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Le")
    await writer.drain()
    writer.close()


@pytest.mark.parametrize("end", [close, reset, half])
async def test_a_kept_connection_that_ends_as_the_request_arrives(rig: Rig, end: Ending) -> None:
    """The library would send it once more, on a new connection."""
    heads: list[bytes] = []
    connections = 0

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        heads.append(await head_of(reader))
        writer.write(OK)
        heads.append(await head_of(reader))
        await end(writer)

    async with served_by(talk) as port:
        url = f"http://127.0.0.1:{port}/a"
        assert bytes_of(await rig.arrival(url)) == b"abc"
        fault = await rig.fault(url)
        assert (fault.code, fault.received, fault.http_status) == ("connection-reset", 0, None)
        assert (len(heads), connections) == (2, 1)
        assert bytes_of(await rig.arrival(url)) == b"abc"
        assert (len(heads), connections) == (3, 2)


@pytest.mark.parametrize("step", [HANG_UP, RESET, status(503), status(429), Answer(end=Close(0))])
async def test_nothing_is_repeated(rig: Rig, step: Step) -> None:
    rig.web.serve("/a", IMAGE, step, IMAGE)
    await rig.arrival("/a")
    await rig.fetch("/a")
    assert rig.web.count() == 2


HALVES = (b"HTTP/1.1 200 OK\r\nContent-Length: 5", b"\r\n")
SURPLUS = {
    "an answer": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nWRONG",
    "408": b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
    "half an answer": HALVES[0],
    "garbage": b"\x00\x01",
    "an empty line": HALVES[1],
}


@pytest.mark.parametrize("seen", [False, True])
@pytest.mark.parametrize("surplus", SURPLUS.values(), ids=SURPLUS)
async def test_what_nobody_asked_for_answers_nothing(rig: Rig, surplus: bytes, seen: bool) -> None:  # noqa: FBT001
    """It came after the last answer; the next one to ask must not get it, nor anyone after."""
    come = asyncio.Event()
    second = asyncio.Event()
    asked: list[bytes] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await head_of(reader))
        if len(asked) == 1:
            writer.write(OK)
            await come.wait()
            writer.write(surplus)
            await writer.drain()
            second.set()
            asked.append(await head_of(reader))
        else:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nright")
            await writer.drain()

    async with served_by(talk) as port:
        assert bytes_of(await rig.arrival(f"http://127.0.0.1:{port}/1")) == b"abc"
        come.set()
        await second.wait()
        if seen:
            for _ in range(10):
                await asyncio.sleep(0)  # the client's side of the loop reads it, too
        result = await rig.fetch(f"http://127.0.0.1:{port}/2")
        if isinstance(result, Fault):
            # Swallowed, and waiting for its other half: an attempt may be lost, but no more.
            assert surplus in HALVES
            assert result.code == "connection-reset"
        else:
            assert isinstance(result, Arrival)
            assert bytes_of(result) == b"right"
    assert [head.split(b" ")[1] for head in asked] == [b"/1", b"/2"]


@pytest.mark.parametrize("kind", ["FIN", "RST"])
async def test_an_end_that_the_loop_has_not_seen_yet_is_seen(rig: Rig, kind: str) -> None:
    """Closed by the server while it was idle: not even an attempt is lost."""
    idle, ended = asyncio.Event(), asyncio.Event()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await head_of(reader)
        writer.write(OK)
        await idle.wait()
        if not ended.is_set():
            if kind == "RST":
                await reset(writer)
                await asyncio.sleep(0)
            else:
                with real_socket(writer) as connection:
                    connection.shutdown(socket.SHUT_WR)
            ended.set()
            await reader.read()

    async with served_by(talk) as port:
        url = f"http://127.0.0.1:{port}/"
        await rig.arrival(url)
        idle.set()
        await ended.wait()
        await rig.arrival(url)


async def test_a_wrong_length_does_not_spill_into_the_next_answer(rig: Rig) -> None:
    """A body of which more comes than was said: large, so that the surplus comes on its own."""
    rig.web.serve("/a", Answer(Picture(1_300_000), framing=Length(-600)), IMAGE)
    first, second = await rig.fetch("/a"), await rig.fetch("/a")
    assert isinstance(first, Arrival)
    assert first.body.size == 1_300_000 - 600
    assert isinstance(second, Arrival)
    assert bytes_of(second) == Picture(600).data()


async def test_many_at_once(rig: Rig) -> None:
    """As many connections as fetches, each with its own answer."""
    for number in range(50):
        rig.web.serve(f"/{number}", Answer(Picture(2_000, str(number)), gate="all"))
    fetches = [
        asyncio.ensure_future(rig.arrival(f"/{number}", spool=rig.folder / f"{number}.part"))
        for number in range(50)
    ]
    await rig.web.arrived(50)
    rig.web.open("all")
    for number, arrival in enumerate(await asyncio.gather(*fetches)):
        assert bytes_of(arrival) == Picture(2_000, str(number)).data()
    assert rig.web.count() == clients(rig) == 50


async def test_connections_that_nobody_uses_do_not_pile_up(
    make_rig: MakeRig, web: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each to another host, as in many a list: those that are idle for longest are closed."""
    monkeypatch.setattr(pool, "IDLE_AT_MOST", 5)
    rig = make_rig(connect_to={"*.example:80": f"127.0.0.1:{web.port}"})
    for number in range(20):
        await rig.arrival(f"http://{number}.example/pic/k/600.jpg")
    kept = rig.transport._requests.pool
    assert len(kept._longest_idle) == 5
    for number in range(15, 20):
        await rig.arrival(f"http://{number}.example/pic/k/600.jpg")
    assert clients(rig) == 20
    await rig.arrival("http://14.example/pic/k/600.jpg")
    assert clients(rig) == 21
    assert sum(map(len, kept._idle.values())) == len(kept._longest_idle) == 5


async def test_connections_are_kept_for_a_while_only(
    make_rig: MakeRig, web: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "KEEP_ALIVE", 0.05)
    rig = make_rig(connect_to={"*.example:80": f"127.0.0.1:{web.port}"})
    for number in range(3):
        await rig.arrival(f"http://{number}.example/pic/k/600.jpg")
    assert clients(rig) == 3
    kept = rig.transport._requests.pool
    while kept._idle:  # noqa: ASYNC110  no event tells
        await asyncio.sleep(0.01)
    assert not kept._longest_idle
    await rig.arrival("http://0.example/pic/k/600.jpg")
    assert clients(rig) == 4


async def test_a_place_that_ended_is_forgotten(rig: Rig) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await head_of(reader)
        writer.write(OK)
        await head_of(reader)

    async with served_by(talk) as port:
        for _ in range(2):
            await rig.fetch(f"http://127.0.0.1:{port}/")
    assert not rig.transport._requests.pool._idle
    assert not rig.transport._requests.pool._longest_idle


async def test_what_is_not_told_apart_by_address_is_by_name(make_rig: MakeRig, web: Web) -> None:
    """Two names at one address do not share connections."""
    rig = make_rig(connect_to={f"{name}.example:80": f"127.0.0.1:{web.port}" for name in "ab"})
    for name in "abab":
        await rig.arrival(f"http://{name}.example/pic/k/600.jpg")
    assert clients(rig) == 2
    assert [asked.host for asked in rig.web.requests] == [f"{name}.example" for name in "abab"]


async def test_a_transport_is_closed_once_and_for_all(make_rig: MakeRig) -> None:
    rig = make_rig()
    await rig.arrival("/pic/k/600.jpg")
    await rig.transport.close()
    await rig.transport.close()
    assert isinstance(await rig.fetch("/pic/k/600.jpg"), Fault)
    assert rig.web.count() == 1


async def test_whether_a_host_can_be_reached(make_rig: MakeRig, rig: Rig) -> None:
    """A connection is opened, no request is sent, and the next one goes over that connection."""
    rig.web.serve("/a", IMAGE)
    assert await rig.transport.reach(rig.web.url("/a"))
    assert rig.web.requests == []
    assert not await rig.transport.reach(f"http://127.0.0.1:{closed_port()}/")
    assert not await rig.transport.reach("ftp://127.0.0.1/")
    assert not await make_rig(allow_private=False).transport.reach(rig.web.url("/a"))
    waiting = [opened for idle in rig.transport._requests.pool._idle.values() for opened in idle]
    assert len(waiting) == 1
    await rig.arrival("/a")
    assert [o for idle in rig.transport._requests.pool._idle.values() for o in idle] == waiting

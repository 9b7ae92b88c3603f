"""Framings, ends and lives of connections: what a client sees, and that nothing is left."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable

import aiohttp
import pytest

from fetcher.demo.images import picture
from fetcher.demo.steps import (
    GARBAGE,
    HANG_UP,
    RESET,
    SILENCE,
    Answer,
    Bytes,
    Chunked,
    Close,
    Length,
    Picture,
    Raw,
    Reset,
    Stall,
    Step,
    Trickle,
    UntilClose,
    status,
)
from fetcher.demo.tls import Authority
from fetcher.demo.web import Web
from tests.demo.rawclient import ask, connect, hang_up, request

BIG = 300_000
IMAGE = picture("k", BIG)


def ended(web: Web) -> bool:
    return web.requests[0].ended_at is not None


CASES: list[tuple[Step, int, bool]] = [
    # step, body bytes that arrive, whether the connection is reset
    (Answer(Picture(BIG, "k")), BIG, False),
    (Answer(Picture(BIG, "k"), framing=UntilClose()), BIG, False),
    (Answer(Picture(BIG, "k"), framing=Length(+10)), BIG, False),
    (Answer(Picture(BIG, "k"), framing=Length(-10)), BIG, False),
    (Answer(Picture(BIG, "k"), end=Close(0)), 0, False),
    (Answer(Picture(BIG, "k"), end=Close(200_001)), 200_001, False),
    (Answer(Picture(BIG, "k"), end=Reset(0)), 0, True),
    (Answer(Picture(BIG, "k"), end=Reset(200_001)), 200_001, True),
    (Answer(Picture(BIG, "k"), end=Reset()), BIG, True),
    (Answer(Picture(BIG, "k"), framing=UntilClose(), end=Reset(99)), 99, True),
    (Answer(Picture(BIG, "k"), pace=Trickle(100_000, 0.0)), BIG, False),
    (Answer(Picture(BIG, "k"), pace=Trickle(100_000, 0.0), end=Reset(250_000)), 250_000, True),
]


@pytest.mark.parametrize(("step", "arriving", "reset"), CASES)
async def test_ends(web: Web, step: Step, arriving: int, reset: bool) -> None:  # noqa: FBT001
    web.serve("/a", step)
    heard = await ask(web, "/a")
    assert heard.body == IMAGE[:arriving]
    assert heard.reset == reset
    assert web.requests[0].completed == (isinstance(step, Answer) and step.end is None)


async def test_ends_over_tls(authority: Authority, trust: ssl.SSLContext) -> None:
    async with Web(tls=authority) as web:
        for step, arriving, reset in CASES:
            web.serve("/a", step)
            heard = await ask(web, "/a", trust=trust)
            assert heard.body == IMAGE[:arriving]
            assert heard.reset == reset


@pytest.mark.parametrize(
    ("step", "data", "reset"),
    [
        (HANG_UP, b"", False),
        (RESET, b"", True),
        (GARBAGE, GARBAGE.data, False),
        (Raw(b"HTTP/1.1 200 OK\r\nConte", Reset()), b"HTTP/1.1 200 OK\r\nConte", True),
        (Raw(IMAGE, Reset(200_001)), IMAGE[:200_001], True),
    ],
)
async def test_raw(web: Web, step: Step, data: bytes, reset: bool) -> None:  # noqa: FBT001
    web.serve("/a", step)
    heard = await ask(web, "/a")
    assert (heard.data, heard.reset) == (data, reset)


async def test_a_reset_is_to_the_byte_even_if_the_client_is_slow(web: Web) -> None:
    size = 20_000_000
    web.serve("/a", Answer(Picture(size, "k"), end=Reset(size - 1)))
    reader, writer = await connect(web)
    writer.write(request("/a"))
    await reader.readuntil(b"\r\n\r\n")
    received = 0
    try:
        while piece := await reader.read(10_000):
            received += len(piece)
    except ConnectionResetError:
        assert received == size - 1
    else:
        pytest.fail("not reset")
    finally:
        await hang_up(writer)


@pytest.mark.parametrize(
    "step",
    [
        SILENCE,
        Answer(Picture(BIG, "k"), end=Stall(0)),
        Answer(Picture(BIG, "k"), end=Stall(200_001)),
        Answer(Picture(BIG, "k"), framing=Chunked(), end=Stall(10)),
        Answer(Picture(BIG, "k"), gate="never"),
        Answer(Picture(BIG, "k"), delay=3_600),
        Answer(Picture(BIG, "k"), pace=Trickle(100_000, 3_600)),
        Answer(Picture(50 * 2**20, "k")),
    ],
    ids=str,
)
def test_a_stall_ends_when_the_web_stops(
    run: Callable[[Awaitable[None]], None], step: Step
) -> None:
    """And nothing is left of it, although the client is still there."""

    async def main() -> None:
        async with Web() as web:
            web.serve("/a", step)
            reader, writer = await connect(web)
            writer.write(request("/a"))
            await web.arrived(1, "/a")
            assert not ended(web)
        assert ended(web)
        assert not web.requests[0].completed
        with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
            await reader.readexactly(2**30)
        await hang_up(writer)

    run(main())


def test_a_stall_ends_when_the_client_leaves(run: Callable[[Awaitable[None]], None]) -> None:
    async def main() -> None:
        async with Web() as web:
            web.serve("/a", Answer(Picture(BIG, "k"), end=Stall(200_001)))
            reader, writer = await connect(web)
            writer.write(request("/a"))
            head = await reader.readuntil(b"\r\n\r\n")
            assert f"content-length: {BIG}".encode() in head.lower()
            assert await reader.readexactly(200_001) == IMAGE[:200_001]
            assert not ended(web)
            await hang_up(writer)
            while not ended(web):  # noqa: ASYNC110  that it comes is what is tested
                await asyncio.sleep(0)
            assert not web.requests[0].completed

    run(main())


def test_idle_and_half_open_clients_do_not_keep_it(
    run: Callable[[Awaitable[None]], None], authority: Authority
) -> None:
    async def main() -> None:
        writers = []
        async with Web(tls=authority) as web:
            for port, data in [
                (web.port, b""),
                (web.port, b"GET /half HTTP/1.1\r\nHos"),
                (web.tls_port, b""),
                (web.tls_port, b"\x16\x03\x01"),
                (web.port, request("/pic/k/600.jpg")),
            ]:
                reader, writer = await asyncio.open_connection(web.address, port)
                writers.append(writer)
                writer.write(data)
                await writer.drain()
            await reader.readuntil(b"\r\n\r\n")
        for writer in writers:
            await hang_up(writer)

    run(main())


async def test_a_gate_holds_answers_until_it_is_opened(web: Web) -> None:
    web.serve("/a", Answer(Bytes(b"x"), gate="g"))
    waiting = [asyncio.create_task(ask(web, "/a")) for _ in range(3)]
    await web.arrived(3)
    assert not any(served.completed for served in web.requests)
    web.open("g")
    assert [heard.body for heard in await asyncio.gather(*waiting)] == [b"x"] * 3
    assert (await ask(web, "/a")).body == b"x"


async def test_whole_answers_share_a_connection_and_broken_ones_end_it(web: Web) -> None:
    url = web.url("/a")
    web.serve("/a", Answer(Picture(600)), Answer(Picture(600), framing=Chunked()), status(404))
    web.serve("/cut", Answer(Picture(600), framing=Length(+100)))
    async with aiohttp.ClientSession() as session:
        for _ in range(4):
            async with session.get(url) as response:
                await response.read()
        async with session.get(web.url("/cut")) as response:
            with pytest.raises(aiohttp.ClientPayloadError):
                await response.read()
        async with session.get(url) as response:
            await response.read()
    clients = [served.client for served in web.requests]
    assert len(set(clients[:5])) == 1
    assert clients[5] != clients[4]


async def test_pipelined_requests_are_answered_in_turn(web: Web) -> None:
    reader, writer = await connect(web)
    writer.write(request("/pic/a/600.jpg") + request("/pic/b/600.jpg"))
    for key in "ab":
        await reader.readuntil(b"\r\n\r\n")
        assert await reader.readexactly(600) == picture(key, 600)
    await hang_up(writer)

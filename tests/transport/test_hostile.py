"""Servers that mean harm: what they send is bounded in bytes and time, and ends as a code."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fetcher.demo.steps import Raw, Stall
from fetcher.model import Arrival, Fault
from fetcher.transport.wire import EXPANSION, INTERIM_AT_MOST, OVERHEAD, Wire
from tests.transport.harness import (
    LONG,
    OPTIONS,
    SOON,
    MakeRig,
    Rig,
    bytes_of,
    head_of,
    served_by,
    stalling,
)

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
HINT = b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
WHOLE = OK + b"Content-Length: 3\r\n\r\nabc"


def length(value: bytes, *more: bytes) -> bytes:
    lines = b"".join(b"Content-Length: %b\r\n" % each for each in (value, *more))
    return OK + lines + b"\r\nabc"


def chunk(size: bytes, data: bytes = b"abc") -> bytes:
    return CHUNKED + size + b"\r\n" + data + b"\r\n0\r\n\r\n"


ENDINGS: dict[str, tuple[bytes, str]] = {
    # Lines and heads.
    "long status line": (b"HTTP/1.1 200 " + b"O" * 9_000 + b"\r\n\r\n", "protocol-error"),
    "long header line": (OK + b"X: " + b"a" * 9_000 + b"\r\n\r\n", "protocol-error"),
    "long header name": (OK + b"X" * 9_000 + b": a\r\n\r\n", "protocol-error"),
    "folded for ever": (OK + b"X: a\r\n" + b" a\r\n" * 9_000 + b"\r\n", "protocol-error"),
    "129 headers": (OK + b"X: a\r\n" * 129 + b"\r\n", "protocol-error"),
    "128 headers": (OK + b"X: a\r\n" * 127 + b"Content-Length: 3\r\n\r\nabc", ""),
    "a zero byte": (OK + b"X: a\0b\r\n\r\n", "protocol-error"),
    "129 trailers": (CHUNKED + b"0\r\n" + b"X: a\r\n" * 129 + b"\r\n", "protocol-error"),
    "long trailer": (CHUNKED + b"0\r\nX: " + b"a" * 9_000 + b"\r\n\r\n", "protocol-error"),
    "version 9": (b"HTTP/9.9 200 OK\r\nContent-Length: 3\r\n\r\nabc", "protocol-error"),
    "negative status": (b"HTTP/1.1 -20 OK\r\n\r\n", "protocol-error"),
    "status of four digits": (b"HTTP/1.1 2000 OK\r\n\r\n", "protocol-error"),
    # Interim answers.
    "many hints": (HINT * INTERIM_AT_MOST + WHOLE, ""),
    "too many hints": (HINT * (INTERIM_AT_MOST + 1) + WHOLE, "protocol-error"),
    "another protocol": (
        b"HTTP/1.1 101 Go\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n" + b"a" * 9_000,
        "http-unexpected",
    ),
    # Lengths.
    "length +3": (length(b"+3"), "protocol-error"),
    "length -3": (length(b"-3"), "protocol-error"),
    "length 0x3": (length(b"0x3"), "protocol-error"),
    "length 3 3": (length(b"3 3"), "protocol-error"),
    "length 3,3": (length(b"3,3"), "protocol-error"),
    "length 1e1": (length(b"1e1"), "protocol-error"),
    "length \u0663": (length("\u0663".encode()), "protocol-error"),
    "length 3 and 4": (length(b"3", b"4"), "protocol-error"),
    "length beyond 64 bits": (length(b"18446744073709551616"), "protocol-error"),
    "length of 200 digits": (length(b"9" * 200), "protocol-error"),
    "length of 64 bits": (length(b"18446744073709551615"), "too-large"),
    "length of 63 bits": (length(b"9223372036854775807"), "too-large"),
    "length, and chunks": (
        OK + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        "protocol-error",
    ),
    # Chunks.
    "chunk -3": (chunk(b"-3"), "protocol-error"),
    "chunk +3": (chunk(b"+3"), "protocol-error"),
    "chunk 0x3": (chunk(b"0x3"), "protocol-error"),
    "chunk 3 3": (chunk(b"3 3"), "protocol-error"),
    "no chunk size": (chunk(b""), "protocol-error"),
    "chunk beyond 64 bits": (chunk(b"1" + b"0" * 16), "protocol-error"),
    "chunk of 64 bits": (chunk(b"f" * 16), "truncated"),
    "an extension": (chunk(b"3;a=b"), ""),
    # The surplus.
    "two answers": (WHOLE + WHOLE, ""),
    "an answer and noise": (WHOLE + b"\0\0\0", ""),
    "chunks, and noise": (chunk(b"3") + b"\0\0\0", ""),
    "chunks, and an answer": (chunk(b"3") + WHOLE, ""),
}


async def test_how_it_ends(make_rig: MakeRig) -> None:
    for name, (data, code) in ENDINGS.items():

        async def holds(rig: Rig, name: str = name, data: bytes = data, code: str = code) -> None:
            rig.web.serve("/a", Raw(data, Stall()) if "64 bits" not in name else Raw(data))
            result = await rig.fetch("/a")
            await rig.transport.close()
            assert (result.code if isinstance(result, Fault) else "") == code, name
            assert code or bytes_of_any(result) == b"abc", name

        await stalling(make_rig, holds)


def bytes_of_any(result: object) -> bytes:
    assert isinstance(result, Arrival), result
    return bytes_of(result)


# Without end. What a server can get rid of is what the bounds allow, and what is on its way then.

UNDER_WAY = 16 << 20


def endless(first: bytes, again: bytes) -> Iterator[bytes]:
    yield first
    block = again * max(1, 65_536 // len(again))
    while True:
        yield block


ENDLESS = {
    "hints": (HINT, HINT),
    "blank lines": (b"", b"\r\n"),
    "a status line": (b"HTTP/1.1 200 ", b"O"),
    "a header": (OK + b"X: ", b"a"),
    "headers": (OK, b"X: a\r\n"),
    "a chunk extension": (CHUNKED + b"3;", b"a"),
    "zeros before a chunk size": (CHUNKED, b"0"),
    "trailers": (CHUNKED + b"0\r\n", b"X: a\r\n"),
    "bytes of no protocol": (b"", b"\0"),
}


@pytest.mark.parametrize("what", ENDLESS)
async def test_without_end(rig: Rig, what: str) -> None:
    first, again = ENDLESS[what]
    sent = 0

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await head_of(reader)
        for block in endless(first, again):
            writer.write(block)
            await writer.drain()
            sent += len(block)

    async with served_by(talk) as port:
        fault = await rig.fault(f"http://127.0.0.1:{port}/")
    assert fault.code == "protocol-error"
    assert fault.received == 0
    assert sent < UNDER_WAY
    assert rig.files() == {}


async def test_a_flood_when_nothing_was_asked(rig: Rig) -> None:
    """It would be kept for as long as the connection is idle."""
    sent = 0
    over = asyncio.Event()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await head_of(reader)
        writer.write(WHOLE)
        await writer.drain()
        try:
            for block in endless(b"", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"):
                writer.write(block)
                await writer.drain()
                sent += len(block)
                assert sent < UNDER_WAY, "still connected"
        finally:
            over.set()

    async with served_by(talk) as port:
        assert bytes_of(await rig.arrival(f"http://127.0.0.1:{port}/")) == b"abc"
        await over.wait()


async def test_a_greeting(make_rig: MakeRig) -> None:
    """Spoken before anything was asked: not the answer, whenever it comes."""
    greeted = asyncio.Event()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example ESMTP\r\n")
        await writer.drain()
        greeted.set()
        await reader.read()

    async with served_by(talk) as port:
        fault = await make_rig().fault(f"http://127.0.0.1:{port}/")
    assert fault.code == "protocol-error"


# Drips.

DRIPS = {
    "a status line": b"HTTP/1.1 200 ",
    "a head": OK,
    "hints": b"HTTP/1.1 103 Early Hints\r\n",
    "a body": OK + b"Content-Length: 100000\r\n\r\n",
    "a body without a length": OK + b"Connection: close\r\n\r\n",
    "a chunk": CHUNKED + b"fffff\r\n",
    "a chunk size": CHUNKED + b"3;",
    "a trailer": CHUNKED + b"0\r\nX: ",
    "a page of an error": b"HTTP/1.1 404 No\r\nContent-Length: 60000\r\n\r\n",
    "a page of a redirect": b"HTTP/1.1 302 No\r\nLocation: /\r\nContent-Length: 60000\r\n\r\n",
}


@pytest.mark.parametrize("what", DRIPS)
async def test_a_drip_holds_nothing_for_longer_than_the_total(make_rig: MakeRig, what: str) -> None:
    rig = make_rig(total_timeout=SOON * 3, stall_timeout=LONG)

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await head_of(reader)
        writer.write(DRIPS[what])
        while True:
            writer.write(b"a")
            await writer.drain()
            await asyncio.sleep(SOON / 5)

    async with served_by(talk) as port:
        result = await rig.fetch(f"http://127.0.0.1:{port}/")
    if isinstance(result, Fault):
        assert result.code == ("http-404" if what == "a page of an error" else "total-timeout")
    else:
        assert what == "a page of a redirect"


async def test_a_drip_of_a_tls_handshake(make_rig: MakeRig) -> None:
    rig = make_rig(connect_timeout=SOON * 3)

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"\x16\x03\x03\x40\x00")  # a handshake of 16 KB
        while True:
            writer.write(b"\x02")
            await writer.drain()
            await asyncio.sleep(SOON / 5)

    async with served_by(talk) as port:
        assert (await rig.fault(f"https://127.0.0.1:{port}/")).code == "connect-timeout"


# The cuts of TCP decide nothing.


class Pipe(asyncio.Transport):
    """A transport that only knows whether it was closed."""

    closed = False

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass


CASES = {
    "length": (WHOLE, b"abc"),
    "chunks": (chunk(b"3"), b"abc"),
    "hint": (HINT + WHOLE, b"abc"),
    "bare line feeds": (b"HTTP/1.1 200 OK\nContent-Length: 3\n\nabc", b"abc"),
    "nothing": (OK + b"Content-Length: 0\r\n\r\n", b""),
    "204": (b"HTTP/1.1 204 No\r\n\r\n", b""),
}
SURPLUS = [b"", b"d", b"\0\1", b"\r\n\r\n", WHOLE, b"HTTP/1.1 408 Late\r\n\r\n", HINT * 99]


async def _taken(pieces: list[bytes]) -> tuple[int, bytes, bool]:
    """Status and body of what came in ``pieces``, and whether the connection may be used again."""
    wire = Wire(loop=asyncio.get_running_loop())
    pipe = Pipe()
    wire.connection_made(pipe)
    wire.set_response_params(read_until_eof=True, auto_decompress=False)
    for piece in pieces:
        if not pipe.closed:
            wire.data_received(piece)
    message, payload = await wire.read()
    while message.code < 200:
        message, payload = await wire.read()
    body = await payload.read()
    return message.code, body, not wire.should_close and not pipe.closed


@given(st.sampled_from(sorted(CASES)), st.sampled_from(SURPLUS), st.data())
def test_the_cuts_decide_nothing(case: str, surplus: bytes, data: st.DataObject) -> None:
    raw, body = CASES[case]
    stream = raw + surplus
    places = st.lists(st.integers(0, len(stream)), max_size=5).map(sorted)
    cuts = [0, *data.draw(places), len(stream)]
    pieces = [stream[a:b] for a, b in pairwise(cuts) if a < b]
    status, taken, reusable = asyncio.run(_taken(pieces))
    assert status == (204 if case == "204" else 200)
    assert taken == body
    assert reusable or surplus
    # (A parser may pass over line ends between answers: RFC 9112 section 2.2.)
    assert not reusable or not surplus.strip(b"\r\n")


def test_what_may_come_beside_a_body_is_less_than_the_body_s_own_bound() -> None:
    assert OPTIONS.max_bytes > OVERHEAD + EXPANSION * 6

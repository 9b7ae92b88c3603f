"""A law for all bodies: whatever comes in whatever pieces, and however it ends, what is taken in is
what was sent of the body, to the last byte, and the next request has an answer of its own.

Against a server of bytes, with and without TLS, on both loops; in memory, where large bodies are
received right into their place, and spooled, where the connection is told to wait again and again.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from itertools import pairwise
from pathlib import Path

import pytest
import uvloop
from hypothesis import given, settings
from hypothesis import strategies as st

from fetcher.demo.images import picture
from fetcher.demo.tls import Authority
from fetcher.model import Arrival, Fault
from fetcher.ports import FetchRequest
from fetcher.transport.client import HttpTransport
from fetcher.transport.intake import AT_ONCE
from tests.transport.harness import MEMORY, bytes_of, options

PAUSE = 0.0005
"""Seconds between two pieces; nothing is expected of it but that the loop may turn."""
READ = 1 << 18
"""What the loops read at once."""
SIZES = (AT_ONCE, AT_ONCE + 1, READ - 1, READ + 5_000, 520_000)
LARGEST = 700_000
IMAGE = picture("", LARGEST)
SPOOLED = 10_000
"""Memory, for those that do not fit in it."""
HINT = b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
KEEP_ALIVE = (b"HTTP/1.1 200 OK\r\n", b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n")
HEADS = (*KEEP_ALIVE, b"HTTP/1.1 200 OK\r\nConnection: close\r\n", b"HTTP/1.0 200 OK\r\n")
MARK = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nmark"


class End(Enum):
    KEEP = "the connection stays"
    FIN = "no more is sent"
    NOTIFY = "likewise, and TLS says so"
    RESET = "reset"


@dataclass(frozen=True)
class Play:
    """What a server sends: ``before`` the body, the body in ``chunks`` or not, and ``behind`` it;
    up to its last cut, in pieces.
    """

    size: int
    hints: int = 0
    head: bytes = b"HTTP/1.1 200 OK\r\n"
    framing: str = "length"
    surplus: bytes = b""
    end: End = End.KEEP
    cuts: tuple[int, ...] = ()
    """Places in what would be sent; if it ends, at the last of them."""

    @property
    def before(self) -> bytes:
        more = {
            "length": b"Content-Length: %d\r\n" % self.size,
            "chunks": b"Transfer-Encoding: chunked\r\n",
            "until closed": b"",
        }[self.framing]
        return HINT * self.hints + self.head + more + b'ETag: "e"\r\n\r\n'

    def parts(self) -> Iterator[tuple[bytes, bool]]:
        """With whether it is the body's."""
        yield self.before, False
        if self.framing != "chunks":
            yield IMAGE[: self.size], True
        else:
            for start in range(0, self.size, 50_000):
                data = IMAGE[start : min(start + 50_000, self.size)]
                yield b"%x\r\n" % len(data), False
                yield data, True
                yield b"\r\n", False
            yield b"0\r\n\r\n", False
        yield self.surplus, False

    def stream(self) -> bytes:
        return b"".join(data for data, _ in self.parts())

    def pieces(self) -> list[bytes]:
        stream = self.stream()
        places = [0, *sorted(self.cuts)]
        if self.end is End.KEEP or not self.cuts:
            places.append(len(stream))
        return [stream[a:b] for a, b in pairwise(places) if a < b]

    def sent(self) -> int:
        """Bytes of the body."""
        left, count = sum(map(len, self.pieces())), 0
        for data, is_body in self.parts():
            count += min(left, len(data)) if is_body else 0
            left -= min(left, len(data))
        return count

    def is_whole(self) -> bool:
        sent = sum(map(len, self.pieces()))
        if self.framing == "until closed":
            return self.end is not End.RESET and sent >= len(self.before)
        return sent >= len(self.stream()) - len(self.surplus)

    def leaves_the_connection(self) -> bool:
        """To be used again."""
        return self.end is End.KEEP and not self.surplus and self.head in KEEP_ALIVE


class Server:
    """Each request has the next play, whatever it asks for."""

    def __init__(self, tls: ssl.SSLContext | None) -> None:
        self.connections = 0
        self._tls = tls
        self._plays: queue.Queue[tuple[list[bytes], End, threading.Event]] = queue.Queue()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def put(self, pieces: list[bytes], end: End = End.KEEP) -> threading.Event:
        """What is set when it has been sent."""
        played = threading.Event()
        self._plays.put((pieces, end, played))
        return played

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self.connections += 1
                threading.Thread(target=self._talk, args=(connection,), daemon=True).start()

    def _talk(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._tls is not None:
                connection = self._tls.wrap_socket(connection, server_side=True)
            with connection:
                while _asked(connection):
                    pieces, end, played = self._plays.get(timeout=10)
                    try:
                        _play(connection, pieces, end)
                    finally:
                        played.set()


def _asked(connection: socket.socket) -> bool:
    request = b""
    while not request.endswith(b"\r\n\r\n"):
        data = connection.recv(10_000)
        if not data:
            return False
        request += data
    return True


def _play(connection: socket.socket, pieces: list[bytes], end: End) -> None:
    for piece in pieces:
        connection.sendall(piece)
        time.sleep(PAUSE)
    if end is End.KEEP:
        return
    if end is End.RESET:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.close()
        return
    if end is End.NOTIFY and isinstance(connection, ssl.SSLSocket):
        connection.setblocking(False)
        with contextlib.suppress(ssl.SSLError):  # it wants to hear the same
            connection.unwrap()
    connection.shutdown(socket.SHUT_WR)


@st.composite
def plays(draw: st.DrawFn) -> Play:
    end = draw(st.sampled_from(End))
    framings = ["length", "length", "length", "chunks"]
    play = Play(
        draw(st.sampled_from(SIZES)),
        hints=draw(st.sampled_from([0, 0, 2])),
        head=draw(st.sampled_from(HEADS)),
        framing=draw(st.sampled_from(framings + ["until closed"] * (end is not End.KEEP))),
        end=end,
    )
    if end is End.KEEP and play.framing != "until closed":
        play = Play(**vars(play) | {"surplus": draw(st.sampled_from([b"", b"", b"x", MARK]))})
    head, whole = len(play.before), len(play.stream())
    edges = (1, head - 1, head, head + 1, head + AT_ONCE, head + AT_ONCE + 1, whole - 1, whole)
    places = st.one_of(st.sampled_from(edges), st.integers(1, whole))
    cuts = draw(st.lists(places, max_size=4))
    return Play(**vars(play) | {"cuts": tuple(cuts)})


def check(play: Play, result: object, spool: Path) -> None:
    sent = play.sent()
    if isinstance(result, Arrival):
        assert play.is_whole()
        assert bytes_of(result) == IMAGE[:sent]
        return
    assert isinstance(result, Fault), result
    assert result.code in ("truncated", "connection-reset")
    if play.end is End.RESET:
        assert result.received <= sent
    else:
        assert not play.is_whole()
        assert result.received == sent
    kept = spool.read_bytes() if result.partial is not None else b""
    assert kept == IMAGE[: result.received]


class Stage:
    """A server, and a transport that is there for many requests to it."""

    def __init__(self, server: Server, url: str, spool: Path, ca_file: Path) -> None:
        self._server = server
        self._url = url
        self._spool = spool
        self._options = options(ca_file=ca_file, stall_timeout=8.0)

    async def start(self) -> None:
        self._transport = HttpTransport(self._options)

    async def stop(self) -> None:
        await self._transport.close()

    async def holds(self, play: Play, memory: int) -> None:
        played = self._server.put(play.pieces(), play.end)
        check(play, await self._fetch(memory), self._spool)
        await asyncio.to_thread(played.wait, 10)
        known = self._server.connections
        self._server.put([MARK])
        marked = await self._fetch(memory)
        assert isinstance(marked, Arrival), marked
        assert bytes_of(marked) == b"mark"
        assert (self._server.connections == known) == play.leaves_the_connection()

    async def _fetch(self, memory: int) -> object:
        return await self._transport.fetch(FetchRequest(self._url, 1, memory, self._spool))


Law = Callable[[Play, int], None]


@pytest.fixture(params=[uvloop.new_event_loop, asyncio.new_event_loop], ids=["uvloop", "asyncio"])
def runner(request: pytest.FixtureRequest) -> Iterator[asyncio.Runner]:
    with asyncio.Runner(loop_factory=request.param) as running:
        yield running


@pytest.fixture
def law(
    request: pytest.FixtureRequest,
    runner: asyncio.Runner,
    authority: Authority,
    ca_file: Path,
    folder: Path,
) -> Iterator[Law]:
    """Of the scheme that it is asked for."""
    scheme = request.param
    server = Server(authority.server_context("127.0.0.1") if scheme == "https" else None)
    url = f"{scheme}://127.0.0.1:{server.port}/a"
    stage = Stage(server, url, folder / "1.part", ca_file)
    runner.run(stage.start())
    try:
        yield lambda play, memory: runner.run(stage.holds(play, memory))
    finally:
        runner.run(stage.stop())
        server.close()


@pytest.mark.parametrize("law", ["http", "https"], indirect=True)
def test_what_is_taken_in_is_what_was_sent(law: Law) -> None:
    @settings(max_examples=20)
    @given(plays(), st.sampled_from([MEMORY, MEMORY, SPOOLED]))
    def in_all_cases(play: Play, memory: int) -> None:
        law(play, memory)

    in_all_cases()


@pytest.mark.parametrize("law", ["https"], indirect=True)
@pytest.mark.parametrize("end", [End.FIN, End.NOTIFY])
@pytest.mark.parametrize("framing", ["length", "chunks", "until closed"])
def test_tls_that_ends_while_it_was_told_to_wait(law: Law, end: End, framing: str) -> None:
    for _ in range(4):  # it depends on who is faster
        law(Play(LARGEST, framing=framing, end=end), SPOOLED)

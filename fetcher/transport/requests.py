"""Requests and connections, with the client library's parts but without its session.

``ClientSession.get`` is made for everything: cookies, redirects, middlewares, repetition. None of
it is wanted here, and for a small image it is most of the work. So only connections are opened the
library's way (resolver, TLS, proxy, happy eyeballs); what goes over them is written here, and read
by the library's parser. It follows that nothing is ever sent twice, and nothing unasked.

A connection is used again if the last answer ended where it said it would, and nothing has come
since: what a server sends unasked (a 408 of its own accord, the surplus of a wrong length) would be
taken for the answer to the next request.
"""

from __future__ import annotations

import asyncio
import ctypes
import errno
import socket
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Final

import aiohttp
from aiohttp.connector import Connection
from multidict import CIMultiDictProxy
from yarl import URL

from fetcher.ports import Turn
from fetcher.transport.asking import Destination, Origin, Place
from fetcher.transport.intake import AT_ONCE
from fetcher.transport.wire import Wire

READ_AHEAD: Final = AT_ONCE
"""Bytes of a body that may wait to be taken before the connection is told to wait; at most twice
this is held."""
# recv(2) with these flags never blocks. PyDLL keeps the GIL meanwhile, unlike socket.recv: handing
# it over for each request would let the finishing threads in, which costs far more than the call.
_recv = ctypes.PyDLL(None, use_errno=True).recv
_PEEK: Final = socket.MSG_PEEK | socket.MSG_DONTWAIT
# One for all, as nobody reads it; and its type, made anew, would be a ring for the collector.
_byte: Final = ctypes.create_string_buffer(1)

KEEP_ALIVE: Final = 15.0
"""Seconds for which an idle connection is kept, or up to twice that."""
IDLE_AT_MOST: Final = 512
"""Connections: a list of many hosts leaves one behind at each, and descriptors are few."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds for a whole answer, and of silence, to be kept to within two ticks."""

    total: float
    stall: float

    @property
    def tick(self) -> float:
        return min(1.0, self.total / 32, self.stall / 32)


class Response:
    """The head of an answer; the body is read from ``content``."""

    __slots__ = ("content", "content_length", "headers", "protocol", "status")

    def __init__(
        self,
        status: int,
        headers: CIMultiDictProxy[str],
        content: aiohttp.StreamReader,
        protocol: Wire,
    ) -> None:
        self.status = status
        self.headers = headers
        self.content = content
        self.protocol = protocol
        length = headers.get("Content-Length")
        self.content_length = int(length) if length is not None else None


class _Open:
    """An open connection, and the headers that every request over it has."""

    __slots__ = ("_descriptor", "connection", "head", "idle_since", "place", "protocol")

    def __init__(
        self, place: Place, connection: Connection, request: aiohttp.ClientRequest
    ) -> None:
        assert isinstance(connection.protocol, Wire)  # noqa: S101  it has just been opened
        self.place = place
        self.connection = connection
        self.protocol = connection.protocol
        self.head = _lines(request.headers)
        self.idle_since = 0.0
        assert self.protocol.transport is not None  # noqa: S101  likewise
        self._descriptor = self.protocol.transport.get_extra_info("socket").fileno()

    def in_order(self) -> bool:
        """Whether its last answer left it as it should."""
        return self.protocol.is_connected() and not self.protocol.should_close

    def is_silent(self) -> bool:
        """Whether nothing has come, its end included, not even what the loop has yet to see."""
        pending: int = _recv(self._descriptor, _byte, 1, _PEEK)
        return pending < 0 and ctypes.get_errno() == errno.EAGAIN

    def close(self) -> None:
        """At once, and without the goodbye of TLS: a server that does not return it would have half
        a minute in which the connection is nobody's and still there, also for the end of the loop.
        """
        self.protocol.abort()
        self.connection.close()


class Requests:
    """``headers`` go out with every request. To be made inside of a running event loop."""

    def __init__(
        self,
        connector: aiohttp.BaseConnector,
        *,
        headers: Mapping[str, str],
        timeout: aiohttp.ClientTimeout,
        limits: Limits,
        proxy: str | None,
    ) -> None:
        self._connector = connector
        self._headers = dict(headers)
        self._timeout = timeout
        self._limits = limits
        self._watched: dict[Ask, None] = {}
        self._watch: asyncio.TimerHandle | None = None
        self._proxy = URL(proxy) if proxy is not None else None
        self._loop = asyncio.get_running_loop()
        self._idle: dict[Place, list[_Open]] = {}
        # All of them, in the order of idle_since.
        self._longest_idle: OrderedDict[_Open, None] = OrderedDict()
        self._sweeper: asyncio.TimerHandle | None = None

    async def close(self) -> None:
        for timer in (self._sweeper, self._watch):
            if timer is not None:
                timer.cancel()
        while self._longest_idle:
            self._close_longest_idle()
        await self._connector.close()
        await asyncio.sleep(0)  # what was closed is gone when the loop has turned

    def ask(
        self,
        destination: Destination,
        headers: Mapping[str, str],
        *,
        head: bool = False,
        turn: Turn | None = None,
    ) -> Ask:
        """One GET or HEAD, to be entered: ``async with requests.ask(…) as response``."""
        return Ask(self, destination, headers, head=head, turn=turn)

    async def reach(self, origin: Origin) -> None:
        """Open a new connection, and keep it for the next request there. Raises as the library."""
        self.give_back(await self._connect(origin))

    async def take(self, origin: Origin) -> _Open:
        """A connection: an idle one, or a new one."""
        return self._take_idle(origin.place) or await self._connect(origin)

    async def take_in_turn(self, origin: Origin, turn: Turn) -> _Open:
        """A connection, with leave to send over it."""
        opened = self._take_idle(origin.place)
        if opened is None or not turn.has_leave:
            opened = await self._wait(origin, turn, opened)
        if not opened.in_order():  # it has waited for longer than the server would, or was never
            opened.close()
            opened = await self._wait(origin, turn, None)
        return opened

    async def _wait(self, origin: Origin, turn: Turn, opened: _Open | None) -> _Open:
        if opened is None:
            turn.put_off()
            opened = await self._connect(origin)
        try:
            await turn.come()
        except BaseException:
            opened.close()
            raise
        return opened

    def _take_idle(self, place: Place) -> _Open | None:
        while place in self._idle:
            opened = self._no_longer_idle(self._idle[place][-1])
            if opened.in_order() and opened.is_silent():
                return opened
            opened.close()
        return None

    async def _connect(self, origin: Origin) -> _Open:
        request = aiohttp.ClientRequest(
            "GET", origin.url, headers=self._headers, loop=self._loop, proxy=self._proxy
        )
        try:
            connection = await self._connector.connect(request, traces=[], timeout=self._timeout)
        except TimeoutError as error:
            raise aiohttp.ConnectionTimeoutError(f"no connection to {request.host}") from error
        return _Open(origin.place, connection, request)

    def give_back(self, opened: _Open) -> None:
        """Keep it for the next request there, if it can be used again."""
        if not opened.in_order():
            opened.close()
            return
        opened.idle_since = self._loop.time()
        self._idle.setdefault(opened.place, []).append(opened)
        self._longest_idle[opened] = None
        if len(self._longest_idle) > IDLE_AT_MOST:
            self._close_longest_idle()
        if self._sweeper is None:
            self._sweeper = self._loop.call_later(KEEP_ALIVE, self._sweep)

    def target(self, destination: Destination) -> str:
        """What the request line asks for (RFC 9112 section 3.2)."""
        origin = destination.origin.url
        if self._proxy is not None and origin.scheme == "http":
            return f"{str(origin).removesuffix('/')}{destination.target}"
        return destination.target

    def watch(self, get: Ask) -> float:
        """See to it that ``get`` ends in time; the time now."""
        self._watched[get] = None
        if self._watch is None:
            self._watch = self._loop.call_later(self._limits.tick, self._look)
        return self._loop.time()

    def unwatch(self, get: Ask) -> None:
        self._watched.pop(get, None)

    def _look(self) -> None:
        """One timer for all: an image that comes at once has none of its own."""
        now = self._loop.time()
        for get in [get for get in self._watched if get.look(now, self._limits)]:
            del self._watched[get]
        self._watch = None
        if self._watched:
            self._watch = self._loop.call_later(self._limits.tick, self._look)

    def _sweep(self) -> None:
        """Close what has been idle for long."""
        oldest = self._loop.time() - KEEP_ALIVE
        while self._longest_idle and next(iter(self._longest_idle)).idle_since <= oldest:
            self._close_longest_idle()
        again = bool(self._longest_idle)
        self._sweeper = self._loop.call_later(KEEP_ALIVE, self._sweep) if again else None

    def _close_longest_idle(self) -> None:
        self._no_longer_idle(next(iter(self._longest_idle))).close()

    def _no_longer_idle(self, opened: _Open) -> _Open:
        del self._longest_idle[opened]
        there = self._idle[opened.place]
        if there[-1] is opened:
            there.pop()
        else:
            there.remove(opened)
        if not there:
            del self._idle[opened.place]
        return opened


class Ask:
    """From the request to the head of its answer; in the end, what becomes of the connection.

    Raises as the library does. ``TimeoutError`` itself is the total timeout, which goes on to hold
    while the body is read.
    """

    __slots__ = (
        "_began",
        "_content",
        "_destination",
        "_head",
        "_headers",
        "_heard_at",
        "_opened",
        "_requests",
        "_turn",
    )

    def __init__(
        self,
        requests: Requests,
        destination: Destination,
        headers: Mapping[str, str],
        *,
        head: bool,
        turn: Turn | None,
    ) -> None:
        self._requests = requests
        self._head = head
        self._turn = turn
        self._destination = destination
        self._headers = headers
        self._content: aiohttp.StreamReader | None = None
        self._began = 0.0
        self._heard_at = 0.0

    async def __aenter__(self) -> Response:
        requests, origin = self._requests, self._destination.origin
        if self._turn is None:
            opened = await requests.take(origin)
        else:
            opened = await requests.take_in_turn(origin, self._turn)
        self._opened = opened
        protocol = opened.protocol
        self._began = self._heard_at = requests.watch(self)
        try:
            protocol.begin(READ_AHEAD, head=self._head)
            self._send(opened)
            message, content = await protocol.read()
            while 100 <= message.code < 200 and message.code != 101:  # noqa: PLR2004  interim
                message, content = await protocol.read()
        except BaseException:
            self._end(reusable=False)
            raise
        self._content = content
        return Response(message.code, message.headers, content, protocol)

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end(reusable=kind is None)

    def _send(self, opened: _Open) -> None:
        protocol = opened.protocol
        method = "HEAD" if self._head else "GET"
        line = f"{method} {self._requests.target(self._destination)} HTTP/1.1\r\n".encode("ascii")
        if (spoken := protocol.exception()) is not None:
            raise spoken  # it broke, or was spoken over, before anything was asked
        if protocol.transport is None:
            raise aiohttp.ServerDisconnectedError
        more = _lines(self._headers) if self._headers else b""
        protocol.transport.write(line + opened.head + more + b"\r\n")
        if self._turn is not None:
            self._turn.taken()

    def look(self, now: float, limits: Limits) -> bool:
        """Whether it has run out of time at ``now``; whoever waits for it has been told then."""
        wire = self._opened.protocol
        if now - self._began >= limits.total:
            self._expire(TimeoutError())
        elif wire.heard or wire.is_held:
            wire.heard = False
            self._heard_at = now
            return False
        elif now - self._heard_at >= limits.stall:
            self._expire(aiohttp.SocketTimeoutError("no byte came"))
        else:
            return False
        return True

    def _expire(self, error: Exception) -> None:
        self._opened.protocol.set_exception(error)
        if self._content is not None:
            self._content.set_exception(error)

    def _end(self, *, reusable: bool) -> None:
        self._requests.unwatch(self)
        if reusable:
            self._requests.give_back(self._opened)
        else:
            self._opened.close()


def _lines(headers: Mapping[str, str]) -> bytes:
    """Header lines (RFC 9112 section 5). Raises ``ValueError`` for what would make more of them."""
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    if lines.count("\n") != len(headers) or lines.count("\r") != len(headers) or "\0" in lines:
        raise ValueError("a header has a line break")
    return lines.encode("utf-8")

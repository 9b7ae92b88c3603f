"""Requests and their answers, with the client library's parts but without its session.

``ClientSession.get`` is made for everything: cookies, redirects, middlewares, repetition. None of
it is wanted here, and for a small image it is most of the work. So only connections come from the
library (``fetcher.transport.pool``); what goes over them is written here, and read by its parser.
It follows that nothing is ever sent twice, and nothing unasked.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from types import TracebackType
from typing import Final

import aiohttp
from msgspec import Struct
from multidict import CIMultiDictProxy
from yarl import URL

from fetcher.ports import Turn
from fetcher.transport.asking import Destination, header_lines
from fetcher.transport.intake import AT_ONCE
from fetcher.transport.pool import Opened, Pool
from fetcher.transport.wire import Wire

READ_AHEAD: Final = AT_ONCE
"""Bytes of a body that may wait to be taken before the connection is told to wait; at most twice
this is held."""


class Limits(Struct, frozen=True):
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
        self._proxy = URL(proxy) if proxy is not None else None
        self.pool = Pool(connector, headers=headers, timeout=timeout, proxy=self._proxy)
        self._limits = limits
        self._watched: dict[Ask, None] = {}
        self._watch: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()

    async def close(self) -> None:
        if self._watch is not None:
            self._watch.cancel()
        await self.pool.close()

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

    def target(self, destination: Destination) -> str:
        """What the request line asks for (RFC 9112 section 3.2)."""
        origin = destination.origin.url
        if self._proxy is not None and origin.scheme == "http":
            return f"{str(origin).removesuffix('/')}{destination.target}"
        return destination.target

    def watch(self, ask: Ask) -> float:
        """See to it that ``ask`` ends in time; the time now."""
        self._watched[ask] = None
        if self._watch is None:
            self._watch = self._loop.call_later(self._limits.tick, self._look)
        return self._loop.time()

    def unwatch(self, ask: Ask) -> None:
        self._watched.pop(ask, None)

    def _look(self) -> None:
        """One timer for all: an image that comes at once has none of its own."""
        now = self._loop.time()
        for ask in [ask for ask in self._watched if ask.look(now, self._limits)]:
            del self._watched[ask]
        self._watch = None
        if self._watched:
            self._watch = self._loop.call_later(self._limits.tick, self._look)


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
            opened = await requests.pool.take(origin)
        else:
            opened = await requests.pool.take_in_turn(origin, self._turn)
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

    def _send(self, opened: Opened) -> None:
        protocol = opened.protocol
        method = "HEAD" if self._head else "GET"
        line = f"{method} {self._requests.target(self._destination)} HTTP/1.1\r\n".encode("ascii")
        if (spoken := protocol.exception()) is not None:
            raise spoken  # it broke, or was spoken over, before anything was asked
        if protocol.transport is None:
            raise aiohttp.ServerDisconnectedError
        more = header_lines(self._headers) if self._headers else b""
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
            self._requests.pool.give_back(self._opened)
        else:
            self._opened.close()

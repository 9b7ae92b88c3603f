"""Connections, opened and used again.

They are opened the client library's way (resolver, TLS, proxy, happy eyeballs), and kept for a
while when their answers have been read. One is used again if its last answer ended where it said it
would, and nothing has come since: what a server sends unasked (a 408 of its own accord, the surplus
of a wrong length) would be taken for the answer to the next request.
"""

from __future__ import annotations

import asyncio
import ctypes
import errno
import socket
from collections import OrderedDict
from collections.abc import Mapping
from typing import Final

import aiohttp
from aiohttp.connector import Connection
from yarl import URL

from fetcher.ports import Turn
from fetcher.transport.asking import Origin, Place, header_lines
from fetcher.transport.wire import Wire

KEEP_ALIVE: Final = 15.0
"""Seconds for which an idle connection is kept, or up to twice that."""
IDLE_AT_MOST: Final = 512
"""Connections: a list of many hosts leaves one behind at each, and descriptors are few."""

# recv(2) with these flags never blocks. PyDLL keeps the GIL meanwhile, unlike socket.recv: handing
# it over for each request would let the finishing threads in, which costs far more than the call.
_recv = ctypes.PyDLL(None, use_errno=True).recv
_PEEK: Final = socket.MSG_PEEK | socket.MSG_DONTWAIT
# One for all, as nobody reads it; and its type, made anew, would be a ring for the collector.
_byte: Final = ctypes.create_string_buffer(1)


class Opened:
    """An open connection, and the headers that every request over it has."""

    __slots__ = ("_descriptor", "connection", "head", "idle_since", "place", "protocol")

    def __init__(
        self, place: Place, connection: Connection, request: aiohttp.ClientRequest
    ) -> None:
        assert isinstance(connection.protocol, Wire)  # noqa: S101  it has just been opened
        self.place = place
        self.connection = connection
        self.protocol = connection.protocol
        self.head = header_lines(request.headers)
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


class Pool:
    """``headers`` go out with every request. To be made inside of a running event loop."""

    def __init__(
        self,
        connector: aiohttp.BaseConnector,
        *,
        headers: Mapping[str, str],
        timeout: aiohttp.ClientTimeout,
        proxy: URL | None,
    ) -> None:
        self._connector = connector
        self._headers = dict(headers)
        self._timeout = timeout
        self._proxy = proxy
        self._loop = asyncio.get_running_loop()
        self._idle: dict[Place, list[Opened]] = {}
        # All of them, in the order of idle_since.
        self._longest_idle: OrderedDict[Opened, None] = OrderedDict()
        self._sweeper: asyncio.TimerHandle | None = None

    async def close(self) -> None:
        """Those that are idle; the others are whoever's that took them."""
        if self._sweeper is not None:
            self._sweeper.cancel()
        while self._longest_idle:
            self._close_longest_idle()
        await self._connector.close()
        await asyncio.sleep(0)  # what was closed is gone when the loop has turned

    async def reach(self, origin: Origin) -> None:
        """Open a new connection, and keep it for the next request there. Raises as the library."""
        self.give_back(await self._connect(origin))

    async def take(self, origin: Origin) -> Opened:
        """A connection: an idle one, or a new one."""
        return self._take_idle(origin.place) or await self._connect(origin)

    async def take_in_turn(self, origin: Origin, turn: Turn) -> Opened:
        """A connection, with leave to send over it. Raises ``TurnedBackError``."""
        opened = self._take_idle(origin.place)
        if opened is None or not turn.has_leave:
            opened = await self._wait(origin, turn, opened)
        if not opened.in_order():  # it has waited for longer than the server would, or was never
            opened.close()
            opened = await self._wait(origin, turn, None)
        return opened

    async def _wait(self, origin: Origin, turn: Turn, opened: Opened | None) -> Opened:
        """Wait for leave; others may be sent while a connection is opened, if there is none."""
        if opened is None:
            turn.put_off()
            opened = await self._connect(origin)
        try:
            await turn.come()
        except BaseException:
            opened.close()
            raise
        return opened

    def _take_idle(self, place: Place) -> Opened | None:
        while place in self._idle:
            opened = self._no_longer_idle(self._idle[place][-1])
            if opened.in_order() and opened.is_silent():
                return opened
            opened.close()
        return None

    async def _connect(self, origin: Origin) -> Opened:
        request = aiohttp.ClientRequest(
            "GET", origin.url, headers=self._headers, loop=self._loop, proxy=self._proxy
        )
        try:
            connection = await self._connector.connect(request, traces=[], timeout=self._timeout)
        except TimeoutError as error:
            raise aiohttp.ConnectionTimeoutError(f"no connection to {request.host}") from error
        return Opened(origin.place, connection, request)

    def give_back(self, opened: Opened) -> None:
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

    def _sweep(self) -> None:
        """Close what has been idle for long."""
        oldest = self._loop.time() - KEEP_ALIVE
        while self._longest_idle and next(iter(self._longest_idle)).idle_since <= oldest:
            self._close_longest_idle()
        again = bool(self._longest_idle)
        self._sweeper = self._loop.call_later(KEEP_ALIVE, self._sweep) if again else None

    def _close_longest_idle(self) -> None:
        self._no_longer_idle(next(iter(self._longest_idle))).close()

    def _no_longer_idle(self, opened: Opened) -> Opened:
        del self._longest_idle[opened]
        there = self._idle[opened.place]
        if there[-1] is opened:
            there.pop()
        else:
            there.remove(opened)
        if not there:
            del self._idle[opened.place]
        return opened

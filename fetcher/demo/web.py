"""The little web: images over HTTP and HTTPS on a loopback address, each URL following a script.

    async with Web(tls=Authority.create()) as web:
        web.serve("/a.jpg", throttled(2), Answer(Picture(20_000), end=Reset(5_000)))
        ...  # the first request is answered 429, the second and all after it are cut short

The k-th request to a path gets the k-th step of its script; the last step repeats. A script may be
for one host only, so that the URLs of a real list, led here by ``network.connect_to``, have theirs.
What has no script is asked of ``fallback``; until that is replaced it is ``gallery``, which answers
``/pic/{key}/{size}.{jpg,png,gif}`` with that very picture, for any key and size.

aiohttp reads requests and keeps connections. What is sent is written by ``wire`` straight to the
transport, well-formed or not.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from http import HTTPStatus
from ipaddress import ip_address
from itertools import chain, repeat
from pathlib import Path
from types import TracebackType
from typing import Final, Literal, Self
from urllib.parse import urlsplit

from aiohttp import web

from fetcher.demo.images import Kind
from fetcher.demo.journal import Journal, Request, Served
from fetcher.demo.sending import send
from fetcher.demo.steps import Answer, Picture, Step, status
from fetcher.demo.tls import Authority
from fetcher.demo.wire import deliver

Fallback = Callable[[Request], Step]
Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]
Scheme = Literal["http", "https"]

NAMES: Final = ("localhost", "*.staticflickr.com", "s.yimg.com")
"""What the certificate is for besides the address, unless told otherwise."""

_PICTURE: Final = re.compile(r"/pic/([^/?]+)/(\d{1,9})\.(jpg|png|gif)")
_KINDS: Final[dict[str, Kind]] = {"jpg": "jpeg", "png": "png", "gif": "gif"}
_NOT_FOUND: Final = status(HTTPStatus.NOT_FOUND)
_BACKLOG: Final = 1_024


def gallery(request: Request, otherwise: Step = _NOT_FOUND) -> Step:
    """``/pic/{key}/{size}.{jpg,png,gif}`` is a picture; anything else is 404, or ``otherwise``."""
    match = _PICTURE.fullmatch(request.path)
    if match is None:
        return otherwise
    key, size, extension = match.groups()
    return Answer(Picture(int(size), key, _KINDS[extension]))


class Web:
    """See the module's text. One event loop owns it; all of it is usable from there only."""

    def __init__(
        self,
        *,
        address: str = "127.0.0.1",
        port: int = 0,
        tls: Authority | None = None,
        tls_port: int = 0,
        tls_names: tuple[str, ...] = NAMES,
        journal: Path | None = None,
        remember: int | None = None,
    ) -> None:
        """``journal`` is a file that every request is appended to; ``remember`` bounds how many
        of the latest requests stay in memory. Ports that are 0 are chosen by the system.

        Raises ``ValueError`` if ``address`` is not a loopback address: what it serves is lies.
        """
        if not ip_address(address).is_loopback:
            raise ValueError(f"the little web is for loopback addresses, not for {address}")
        self.fallback: Fallback = gallery
        self.address = address
        self._wanted_ports = (port, tls_port)
        self._tls = tls.server_context(address, *tls_names) if tls is not None else None
        self._journal = Journal(journal, remember=remember)
        self._scripts: dict[tuple[str | None, str], Iterator[Step]] = {}
        self._gates: dict[str, asyncio.Event] = {}
        self._waiting: list[_Waiting] = []
        self._bugs: list[Exception] = []
        self._listeners: dict[Scheme, asyncio.Server] = {}
        self._server: _Server | None = None

    # Scripts.

    def serve(self, path: str, *steps: Step, host: str | None = None) -> None:
        """Script ``path`` (with its query, if any), on all hosts or on ``host`` only, from here on.

        Raises ``ValueError`` if there is no step.
        """
        if not steps:
            raise ValueError(f"no step for {path}")
        key = (host.lower() if host is not None else None, path)
        self._scripts[key] = chain(steps, repeat(steps[-1]))

    def open(self, gate: str) -> None:
        """Let answers with this gate go, those that wait and those to come."""
        self._gate(gate).set()

    # Addresses.

    @property
    def port(self) -> int:
        return self._port("http")

    @property
    def tls_port(self) -> int:
        """Raises ``KeyError`` if it was not given an authority."""
        return self._port("https")

    def url(self, path: str, scheme: Scheme = "http") -> str:
        return f"{scheme}://{_netloc(self.address, self._port(scheme))}{path}"

    def connect_to(self, *hosts: str) -> dict[str, str]:
        """A ``network.connect_to`` that leads ``hosts`` (or ``*.suffix``) here from their ports."""
        usual: dict[Scheme, int] = {"http": 80, "https": 443}
        return {
            f"{host}:{usual[scheme]}": _netloc(self.address, self._port(scheme))
            for host in hosts
            for scheme in self._listeners
        }

    # What was asked.

    @property
    def requests(self) -> list[Served]:
        """All that are remembered, in order of arrival: a copy, of values that do not change."""
        return self._journal.requests

    def requests_to(self, path: str) -> list[Served]:
        return [request for request in self._journal.requests if request.path == path]

    def count(self, path: str | None = None) -> int:
        """How many requests arrived for ``path``, or at all."""
        return self._journal.count(path)

    async def arrived(self, count: int, path: str | None = None) -> None:
        """Wait until ``count`` requests have arrived for ``path``, or at all."""
        waiting = _Waiting(count, path)
        self._waiting.append(waiting)
        self._wake_waiting()
        try:
            await waiting.event.wait()
        finally:
            self._waiting.remove(waiting)

    # Its life.

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._server = _Server(self._handle)
        plain_port, tls_port = self._wanted_ports
        self._journal.open()
        try:
            self._listeners["http"] = await loop.create_server(
                self._server, self.address, plain_port, backlog=_BACKLOG
            )
            if self._tls is not None:
                self._listeners["https"] = await loop.create_server(
                    self._server, self.address, tls_port, ssl=self._tls, backlog=_BACKLOG
                )
        except BaseException:
            await self._stop()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop at once, whoever is being served. Raises what a fallback raised, if nothing else."""
        await self._stop()
        if error is None and self._bugs:
            raise self._bugs[0]

    async def _stop(self) -> None:
        for listener in self._listeners.values():
            listener.close()
        await asyncio.sleep(0)  # what was accepted just now becomes a connection
        if self._server is not None:
            await self._server.abort_all()
        self._journal.close()

    # One request.

    async def _handle(self, asked: web.BaseRequest) -> web.StreamResponse:
        loop = asyncio.get_running_loop()
        request = self._received(asked, loop.time())
        completed = False
        try:
            step = self._next_step(request)
            self._journal.answering(request, step)
            if isinstance(step, Answer):
                await self._hold(step)
            delivery = deliver(step, request.method, request.headers, time.time())
            await send(asked, delivery)
            completed = delivery.end is None
        except ConnectionError:
            return _LAST  # the client left, which is its right
        except Exception as bug:
            self._bugs.append(bug)
            raise
        finally:
            self._journal.ended(request, at=loop.time(), completed=completed)
        return _MORE if delivery.keep_alive and asked.keep_alive else _LAST

    def _received(self, asked: web.BaseRequest, at: float) -> Request:
        # A target in absolute form, as a proxy is given, names the host too (RFC 9112 3.2.2).
        path = asked.raw_path if asked.raw_path.startswith("/") else asked.rel_url.raw_path_qs
        address, port, *_ = asked.get_extra_info("peername", ("", 0))
        request = Request(
            number=self._journal.count() + 1,
            at=at,
            wall=time.time(),
            client=_netloc(address, port),
            scheme="https" if asked.secure else "http",
            host=_host_name(asked.host),
            method=asked.method,
            path=path,
            headers={name.lower(): value for name, value in asked.headers.items()},
        )
        self._journal.arrived(request)
        self._wake_waiting()
        return request

    def _next_step(self, request: Request) -> Step:
        script = self._scripts.get((request.host, request.path)) or self._scripts.get(
            (None, request.path)
        )
        return next(script) if script is not None else self.fallback(request)

    async def _hold(self, step: Answer) -> None:
        if step.gate is not None:
            await self._gate(step.gate).wait()
        if step.delay:
            await asyncio.sleep(step.delay)

    def _gate(self, name: str) -> asyncio.Event:
        return self._gates.setdefault(name, asyncio.Event())

    def _wake_waiting(self) -> None:
        for waiting in self._waiting:
            if self._journal.count(waiting.path) >= waiting.count:
                waiting.event.set()

    def _port(self, scheme: Scheme) -> int:
        port: int = self._listeners[scheme].sockets[0].getsockname()[1]
        return port


@dataclass(frozen=True, slots=True, eq=False)
class _Waiting:
    count: int
    path: str | None
    event: asyncio.Event = field(default_factory=asyncio.Event)


@lru_cache(maxsize=1_024)
def _host_name(header: str) -> str:
    return urlsplit(f"//{header}").hostname or ""


def _netloc(address: str, port: int) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


class _Server(web.Server):
    """aiohttp's server, which also remembers connections that are closing but not yet closed."""

    def __init__(self, handler: Handler) -> None:
        # A client that leaves cancels what it was being served: a stall holds nothing for longer.
        super().__init__(handler, handler_cancellation=True, access_log=None)
        self._transports: dict[web.RequestHandler, asyncio.Transport] = {}

    def connection_made(self, handler: web.RequestHandler, transport: asyncio.Transport) -> None:
        super().connection_made(handler, transport)
        self._transports[handler] = transport

    def connection_lost(
        self, handler: web.RequestHandler, exc: BaseException | None = None
    ) -> None:
        super().connection_lost(handler, exc)
        self._transports.pop(handler, None)

    async def abort_all(self) -> None:
        """Return when no connection and no task of one is left."""
        while self._transports or self.connections:
            for transport in self._transports.values():
                transport.abort()
            await asyncio.sleep(0)


class _Sent(web.StreamResponse):
    """What a handler returns to aiohttp when all has been sent behind its back."""

    def __init__(self, *, more: bool) -> None:
        super().__init__()
        self._more = more

    @property
    def keep_alive(self) -> bool:
        return self._more

    async def prepare(self, request: web.BaseRequest) -> None:
        """Nothing is left to send."""

    async def write_eof(self, data: bytes | bytearray | memoryview = b"") -> None:
        """Nothing is left to send."""


_MORE: Final = _Sent(more=True)
_LAST: Final = _Sent(more=False)

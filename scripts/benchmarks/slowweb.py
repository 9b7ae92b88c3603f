"""A server that takes its time: each answer comes so much later than its request.

    slowweb.py OPTIONS    as JSON

nginx cannot wait. This can, for thousands at once, on one loopback address, and with as little work
for each request as Python allows: one timer for all answers that are due, and what is sent was put
together before. It keeps a journal, which it prints as one line of JSON several times a second and
at its end, when its standard input is closed. Times are the machine's monotonic clock's.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from time import monotonic, process_time
from typing import Any, Final, cast

import uvloop

ADDRESS: Final = "127.0.0.1"
_ROBOTS: Final = b"/robots.txt"
MARK: Final = 500
_EVERY: Final = 0.1  # seconds between two lines
_BACKLOG: Final = 4_096
_MISSING: Final = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
_GOLDEN: Final = 0.618_033_988_749_894_9
"""Its multiples, less their whole part, lie evenly between 0 and 1."""
_LARGEST_REQUEST: Final = 65_536


@dataclass(frozen=True, slots=True)
class Options:
    latency: float
    """Seconds from a request to its answer."""
    directory: str | None = None
    """Of the images, which are read into memory; the last part of a URL's path names one."""
    image: str | None = None
    """A file that is the answer to whatever is not robots.txt."""
    pieces: int = 1
    """An image's body is sent in so many."""
    pause: float = 0.0
    """Seconds between two of them, on average over the images."""
    spread: float = 0.0
    """Share by which an image's pauses are shorter or longer than that, evenly over the images."""
    mute: bool = False
    """Requests are taken, and never answered."""


@dataclass(slots=True)
class Journal:
    """What was asked and answered; robots.txt apart."""

    first: float | None = None
    """When the first request came, whatever it was for."""
    first_image: float | None = None
    images: int = 0
    """Requests for images."""
    answered: int = 0
    """Of them."""
    in_flight: int = 0
    most_in_flight: int = 0
    robots: int = 0
    cpu: float = 0.0
    """Seconds that the server itself took since it was ready."""
    marks: list[float] = field(default_factory=list)
    """When each ``MARK``th image was answered."""


class _Web:
    def __init__(self, options: Options, loop: asyncio.AbstractEventLoop) -> None:
        self.options = options
        self.loop = loop
        self.journal = Journal()
        self._answers = _answers(options)
        self._due: deque[tuple[float, _Client, bytes]] = deque()
        self._timed = False
        self._sent = 0

    def asked(self, client: _Client, path: bytes) -> None:
        now, journal = monotonic(), self.journal
        if journal.first is None:
            journal.first = now
        if path == _ROBOTS:
            journal.robots += 1
        else:
            if journal.first_image is None:
                journal.first_image = now
            journal.images += 1
            journal.in_flight += 1
            journal.most_in_flight = max(journal.most_in_flight, journal.in_flight)
            client.fetching += 1
        if self.options.mute:
            return
        self._due.append((now + self.options.latency, client, path))
        if not self._timed:
            self._timed = True
            self.loop.call_later(self.options.latency, self._answer_those_due)

    def _answer_those_due(self) -> None:
        due, now = self._due, monotonic()
        while due and due[0][0] <= now:
            _, client, path = due.popleft()
            if path == _ROBOTS:
                client.send(_MISSING)
            else:
                self._send(client, self._answers(path))
        self._timed = bool(due)
        if due:
            self.loop.call_later(due[0][0] - now, self._answer_those_due)

    def _send(self, client: _Client, answer: bytes) -> None:
        if self.options.pieces == 1:
            client.send(answer)
            self.done(client)
            return
        options = self.options
        step = -(-len(answer) // options.pieces)
        self._sent += 1
        lot = self._sent * _GOLDEN % 1
        pause = options.pause * (1 + options.spread * (2 * lot - 1))
        self._drip(client, memoryview(answer), step, pause)

    def _drip(self, client: _Client, rest: memoryview, step: int, pause: float) -> None:
        client.send(bytes(rest[:step]))
        if len(rest) <= step:
            self.done(client)
        elif client.transport is not None:
            self.loop.call_later(pause, self._drip, client, rest[step:], step, pause)

    def done(self, client: _Client) -> None:
        if client.fetching:
            client.fetching -= 1
            journal = self.journal
            journal.in_flight -= 1
            journal.answered += 1
            if journal.answered % MARK == 0:
                journal.marks.append(monotonic())

    def left(self, client: _Client) -> None:
        self.journal.in_flight -= client.fetching
        client.fetching = 0


class _Client(asyncio.Protocol):
    def __init__(self, web: _Web) -> None:
        self._web = web
        self._read = b""
        self.transport: asyncio.Transport | None = None
        self.fetching = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # of a TCP server

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  the library's
        self.transport = None
        self._web.left(self)

    def data_received(self, data: bytes) -> None:
        self._read += data
        while (end := self._read.find(b"\r\n\r\n")) >= 0:
            line, self._read = self._read[:end], self._read[end + 4 :]
            self._web.asked(self, line.split(b" ", 2)[1])
        if len(self._read) > _LARGEST_REQUEST and self.transport is not None:
            self.transport.abort()

    def send(self, data: bytes) -> None:
        if self.transport is not None:
            self.transport.write(data)


def _answers(options: Options) -> Callable[[bytes], bytes]:
    if options.image is not None:
        same = _answer(Path(options.image))
        return lambda _: same
    files = Path(options.directory).iterdir() if options.directory is not None else ()
    known = {path.name.encode(): _answer(path) for path in files}
    return lambda path: known.get(path[path.rfind(b"/") + 1 :], _MISSING)


def _answer(path: Path) -> bytes:
    body = path.read_bytes()
    head = f"HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


async def _serve(options: Options) -> None:
    loop = asyncio.get_running_loop()
    web = _Web(options, loop)
    server = await loop.create_server(lambda: _Client(web), ADDRESS, 0, backlog=_BACKLOG)
    _print({"port": server.sockets[0].getsockname()[1]})
    ready = process_time()
    ended = asyncio.Event()
    loop.add_reader(sys.stdin, ended.set)
    while not ended.is_set():
        web.journal.cpu = process_time() - ready
        _print(asdict(web.journal))
        try:
            async with asyncio.timeout(_EVERY):
                await ended.wait()
        except TimeoutError:
            continue
    web.journal.cpu = process_time() - ready
    _print(asdict(web.journal))
    server.close()


def _print(line: dict[str, Any]) -> None:
    print(json.dumps(line), flush=True)


if __name__ == "__main__":
    uvloop.run(_serve(Options(**json.loads(sys.argv[1]))))

"""A transport on a little web, with a folder to spool into; and servers that are no web at all."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from fetcher.demo.web import Web
from fetcher.model import Arrival, Fault, Found, Partial, Redirect, Validators
from fetcher.ports import FetchRequest
from fetcher.transport.client import HttpTransport
from fetcher.transport.options import TransportOptions

LONG = 30.0
"""Seconds: a timeout that does not strike in a test."""
SOON = 0.05
"""Seconds: one that does."""
STALLS = (0.1, 1.0, 8.0)
"""Seconds: ones that do, but not before what was sent at once has come; see ``stalling``."""
MEMORY = 1 << 20
AGENT = "fetcher/1.2 (+https://example.org/bot)"

OPTIONS = TransportOptions(
    user_agent=AGENT,
    max_bytes=10_000_000,
    connect_timeout=LONG,
    stall_timeout=LONG,
    total_timeout=LONG,
    allow_private=True,
)


@dataclass
class Rig:
    web: Web
    folder: Path
    transport: HttpTransport

    @property
    def spool(self) -> Path:
        return self.folder / "1.part"

    async def fetch(
        self,
        url: str,
        *,
        memory: int = MEMORY,
        expected_size: int | None = None,
        partial: Partial | None = None,
        spool: Path | None = None,
    ) -> Arrival | Found | Redirect | Fault:
        """``url`` may be a path of the web's."""
        whole = self.web.url(url) if url.startswith("/") else url
        return await self.transport.fetch(
            FetchRequest(whole, 1, memory, spool or self.spool, expected_size, partial)
        )

    async def arrival(self, url: str, **more: Any) -> Arrival:
        result = await self.fetch(url, **more)
        assert isinstance(result, Arrival), result
        return result

    async def fault(self, url: str, **more: Any) -> Fault:
        result = await self.fetch(url, **more)
        assert isinstance(result, Fault), result
        return result

    def kept(self, data: bytes, validators: Validators = Validators()) -> Partial:  # noqa: B008  a frozen value
        """As if an earlier fetch had been cut after ``data``."""
        self.spool.write_bytes(data)
        return Partial(self.spool, len(data), validators)

    def files(self) -> dict[str, int]:
        """What lies in the spool folder, with sizes."""
        return {path.name: path.lstat().st_size for path in self.folder.iterdir()}


MakeRig = Callable[..., Rig]


async def stalling(make_rig: MakeRig, holds: Callable[[Rig], Awaitable[None]]) -> None:
    """``holds`` of a rig whose stall timeout strikes; it asserts how much had come by then.

    A machine that has other things to do may pass on what was sent after the timeout only, and no
    timeout is so long that it could not. So what does not hold with a short one is tried anew with
    longer ones: what is wrong is wrong with all of them.
    """
    for stall in STALLS[:-1]:
        rig = make_rig(stall_timeout=stall)
        try:
            return await holds(rig)
        except AssertionError:
            for path in rig.folder.iterdir():
                path.unlink()
    return await holds(make_rig(stall_timeout=STALLS[-1]))


async def at_some_pace(holds: Callable[[float], Awaitable[None]]) -> None:
    """``holds`` with all times as they are, or several times as long: likewise."""
    for factor in (1.0, 5.0):
        try:
            return await holds(factor)
        except AssertionError:
            continue
    return await holds(25.0)


def options(**changes: Any) -> TransportOptions:
    return replace(OPTIONS, **changes)


def bytes_of(arrival: Arrival) -> bytes:
    body = arrival.body
    assert (body.data is None) != (body.path is None)
    data = bytes(body.data) if body.data is not None else Path(body.path or "").read_bytes()
    assert len(data) == body.size
    return data


# Names.


class Names:
    """A look-up that answers from a table, and counts. An error is raised; a missing name too."""

    def __init__(self, table: Mapping[str, Iterable[str] | Exception]) -> None:
        self.table = dict(table)
        self.asked: list[str] = []

    def __call__(self, name: str) -> list[str]:
        self.asked.append(name)
        answer = self.table[name]
        if isinstance(answer, Exception):
            raise answer
        return list(answer)


# Servers of bytes.


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


Conversation = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def served_by(talk: Conversation, **more: Any) -> AsyncIterator[int]:
    """A port on which each connection has ``talk``; connections are closed after it."""
    tasks: set[asyncio.Task[None]] = set()
    bugs: list[Exception] = []

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            await talk(reader, writer)
        except (asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError):
            return
        except Exception as bug:  # noqa: BLE001  it is the test's, and shown at the end of it
            bugs.append(bug)
        finally:
            tasks.discard(task)
            writer.transport.abort()

    server = await asyncio.start_server(connected, "127.0.0.1", 0, **more)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks)
        for bug in bugs:
            raise bug


async def head_of(reader: asyncio.StreamReader) -> bytes:
    return await reader.readuntil(b"\r\n\r\n")


def real_socket(writer: asyncio.StreamWriter) -> socket.socket:
    """The connection's, for what the loops' own kinds do not do; closing it closes nothing else."""
    return socket.socket(fileno=os.dup(writer.get_extra_info("socket").fileno()))

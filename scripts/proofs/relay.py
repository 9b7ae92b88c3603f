"""A way to a web that takes its time: TCP connections, passed on byte for byte.

What is held up are the first bytes of a connection, which are TLS's: so it takes long until a
client has a connection that it could send a request over, and some take longer than others.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

_PIECE: Final = 1 << 16


@dataclass(frozen=True, slots=True)
class Relay:
    """``hold`` is awaited for each connection, before its first byte is passed on."""

    port: int
    """Of the web, at 127.0.0.1."""
    hold: Callable[[], Awaitable[None]]

    async def serve(self) -> asyncio.Server:
        """Listens at a port of 127.0.0.1 that the system chooses."""
        return await asyncio.start_server(self._connected, "127.0.0.1", 0)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        first = await reader.read(_PIECE)
        await self.hold()
        there, back = await asyncio.open_connection("127.0.0.1", self.port)
        back.write(first)
        ways = [
            asyncio.ensure_future(self._pass_on(reader, back)),
            asyncio.ensure_future(self._pass_on(there, writer)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            for end in (back, writer):
                end.close()  # what was written is sent before

    @staticmethod
    async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while piece := await reader.read(_PIECE):
                writer.write(piece)
                await writer.drain()

"""Sending a delivery over a connection, to the byte, and ending as it says."""

from __future__ import annotations

import asyncio
import fcntl
import socket
import struct
import sys
from collections.abc import Iterator
from typing import Final

from aiohttp import web

from fetcher.demo.steps import Reset, Stall
from fetcher.demo.wire import Delivery

_PIECE: Final = 65_536
"""Bytes that are written before the client's pace is looked at."""
_CAREFUL_PIECE: Final = 16_384
"""The same before a reset: what even the smallest send buffer of a kernel takes at once."""
_SIOCOUTQNSD: Final = 0x894B
"""Linux's request for the number of bytes that a socket has not sent yet (sockios.h)."""
_POLL: Final = 0.001
"""Seconds."""


async def send(request: web.BaseRequest, delivery: Delivery) -> None:
    """Return when all is sent, and ``Reset`` is done; ``Stall`` is cancelled or lasts for ever.

    The caller closes the connection where the delivery says so. Raises ``ConnectionError`` if the
    client leaves before.
    """
    resetting = isinstance(delivery.end, Reset)
    pieces = _pieces(delivery, _CAREFUL_PIECE if resetting else _PIECE)
    for index, piece in enumerate(pieces):
        if index and delivery.pace is not None:
            await asyncio.sleep(delivery.pace.every)
        transport = _open_transport(request)
        transport.write(piece)
        await request.writer.drain()
        if resetting:
            await _taken_in(transport)
    match delivery.end:
        case Reset():
            _reset(_open_transport(request))
        case Stall():
            await asyncio.get_running_loop().create_future()
        case _:
            pass


def _pieces(delivery: Delivery, size: int) -> Iterator[bytes | memoryview]:
    if delivery.pace is not None:
        size = delivery.pace.size
    body = memoryview(delivery.body)
    first = delivery.head + body[:size]
    if first:
        yield first
    for start in range(size, len(body), size):
        yield body[start : start + size]


def _open_transport(request: web.BaseRequest) -> asyncio.Transport:
    transport = request.transport
    if transport is None or transport.is_closing():
        raise ConnectionResetError("the client has left")
    return transport


async def _taken_in(transport: asyncio.Transport) -> None:
    """Wait until the client's machine holds all that was written: a reset discards the rest.

    Only Linux tells. Elsewhere a reset may come some bytes early.
    """
    while _unsent(transport) and not transport.is_closing():  # noqa: ASYNC110  no event tells
        await asyncio.sleep(_POLL)


def _unsent(transport: asyncio.Transport) -> int:
    if sys.platform != "linux":
        return transport.get_write_buffer_size()
    descriptor: int = transport.get_extra_info("socket").fileno()
    unsent: int = struct.unpack("i", fcntl.ioctl(descriptor, _SIOCOUTQNSD, bytes(4)))[0]
    return transport.get_write_buffer_size() + unsent


def _reset(transport: asyncio.Transport) -> None:
    """Close with RST in place of FIN: lingering for no time (socket(7), SO_LINGER)."""
    on, seconds = 1, 0
    connection = transport.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", on, seconds))
    transport.abort()

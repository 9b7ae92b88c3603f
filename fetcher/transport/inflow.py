"""The rest of a body, received right into its place.

On its usual way a body is copied four times: out of the kernel, into the object that the protocol
is given, into the one that the parser makes of it, and together with all others into one piece. For
2 MB that is more work than hashing them in company. So once the head has said how long the body is,
and that nothing is wrapped around it, there is nothing to parse any more: an ``Inflow`` takes the
protocol's place at the transport, and lends it the very room that the body is to stay in, until
that is full. It is as long as the body, so what a server sends beyond is not read here.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from fetcher.transport.wire import Wire

_NOWHERE: Final = memoryview(b"")


class Inflow(asyncio.BufferedProtocol):
    """Between a transport and the ``wire`` that it belongs to; all but bytes is passed on."""

    def __init__(self, wire: Wire, room: memoryview, done: asyncio.Future[None]) -> None:
        """``room`` has at least a byte; ``done`` is set when it is full."""
        self._wire = wire
        self._room = room
        self.done = done
        self.received = 0

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002  as much as there is room for
        return self._room[self.received :]

    def buffer_updated(self, nbytes: int) -> None:
        self.received += nbytes
        self._wire.flowed(self, whole=self.received == len(self._room))

    def let_go(self) -> None:
        """Of the room: a loop may know its connection's last protocol for as long as it lasts."""
        self._room = _NOWHERE

    def eof_received(self) -> None:
        self._wire.eof_received()

    def connection_lost(self, exc: BaseException | None) -> None:
        self._wire.connection_lost(exc)

    def pause_writing(self) -> None:
        self._wire.pause_writing()

    def resume_writing(self) -> None:
        self._wire.resume_writing()

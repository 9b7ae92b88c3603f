"""Messages between a run and its worker processes: plain values over a socket, in batches.

A batch is a pickled list behind its length. Whatever is sent during one turn of an event loop goes
out as one batch at the turn's end: alone when there is little to do, many together under load.

Both ends are of the same program on the same machine, one the child of the other: that, and only
that, is why what is received may be unpickled.
"""

from __future__ import annotations

import asyncio
import pickle
import struct
from collections.abc import Callable, Sequence
from socket import socket
from typing import Any, Final, cast

_LENGTH: Final = struct.Struct("!I")


class Courier(asyncio.Protocol):
    """One end. ``receive`` is called with the messages of each batch, ``lost`` when the other end
    has gone: with an error if it did not take its leave in good order.
    """

    def __init__(
        self,
        receive: Callable[[Sequence[Any]], None],
        lost: Callable[[], None],
    ) -> None:
        self._receive = receive
        self._lost = lost
        self._outbox: list[Any] = []
        self._inbox = bytearray()
        self._transport: asyncio.Transport | None = None
        self._loop = asyncio.get_running_loop()

    @classmethod
    async def over(
        cls,
        end: socket,
        receive: Callable[[Sequence[Any]], None],
        lost: Callable[[], None],
    ) -> Courier:
        """A courier over one end of a socket pair, which is the courier's from now on."""
        loop = asyncio.get_running_loop()
        end.setblocking(False)
        _, courier = await loop.create_unix_connection(lambda: cls(receive, lost), sock=end)
        return courier

    def send(self, message: Any) -> None:
        """Never blocks, and never fails: ``lost`` is what tells that nobody reads it."""
        self._outbox.append(message)
        if len(self._outbox) == 1:
            self._loop.call_soon(self.flush)

    def close(self) -> None:
        """Send what is waiting, then hang up."""
        self.flush()
        if self._transport is not None:
            self._transport.close()

    def flush(self) -> None:
        """Send what is waiting now: who knows that nothing will join it in this turn need not wait
        for its end, behind all that the loop hears of meanwhile.
        """
        if not self._outbox:
            return
        batch = pickle.dumps(self._outbox, pickle.HIGHEST_PROTOCOL)
        self._outbox = []
        if self._transport is not None:
            self._transport.write(_LENGTH.pack(len(batch)) + batch)

    # What the event loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        inbox = self._inbox
        inbox += data
        at = 0
        while len(inbox) - at >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(inbox, at)
            end = at + _LENGTH.size + length
            if len(inbox) < end:
                break
            with memoryview(inbox) as view, view[at + _LENGTH.size : end] as batch:
                messages = pickle.loads(batch)  # noqa: S301  see the module's text
            at = end
            self._receive(messages)
        del inbox[:at]

    def connection_lost(self, error: Exception | None) -> None:  # noqa: ARG002  it says no more
        self._transport = None
        lost, self._lost, self._receive = self._lost, _nobody, _nobody
        lost()  # and no ring of the courier and who listened is left


def _nobody(*_: Any) -> None:
    """Who listens to a connection that is lost."""

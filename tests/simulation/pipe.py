"""A pair of connected sockets, in memory and virtual time: bytes arrive late, in order, and perhaps
in pieces; when an end's process is killed, the last of what it wrote may be torn.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from typing import Any


class End(asyncio.Transport):
    """One end; also the transport of whoever is attached to it."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, delay: float, chance: random.Random, *, torn: bool
    ) -> None:
        super().__init__()
        self.peer: End
        self._loop = loop
        self._delay = delay
        self._chance = chance
        self._torn = torn
        self._protocol: asyncio.Protocol | None = None
        self._early: list[bytes] = []
        self._coming: deque[tuple[asyncio.TimerHandle, bytes | None]] = deque()
        self._due = 0.0
        """When the last of what is on its way here arrives."""
        self._open = True
        self._cut_off = False

    @classmethod
    def pair(
        cls, loop: asyncio.AbstractEventLoop, delay: float, chance: random.Random, *, torn: bool
    ) -> tuple[End, End]:
        one, other = (cls(loop, delay, chance, torn=torn) for _ in range(2))
        one.peer, other.peer = other, one
        return one, other

    # As a socket.

    def setblocking(self, flag: bool) -> None:  # noqa: FBT001  as a socket has it
        del flag

    # As a transport.

    def attach(self, protocol: asyncio.Protocol) -> None:
        self._protocol = protocol
        protocol.connection_made(self)
        early, self._early = self._early, []
        for data in early:
            self._loop.call_soon(self._take, data)
        if not self._open:
            self._loop.call_soon(protocol.connection_lost, None)

    def write(self, data: Any) -> None:
        if not self._open or self._cut_off:
            return
        pieces = [bytes(data)]
        if self._torn and len(data) > 1:
            at = self._chance.randrange(1, len(data))
            pieces = [pieces[0][:at], pieces[0][at:]]
        for piece in pieces:
            self.peer._expect(piece)

    def close(self) -> None:
        if self._open:
            self._open = False
            self.peer._expect(None)
            if self._protocol is not None:
                self._loop.call_soon(self._protocol.connection_lost, None)

    def cut_off(self) -> None:
        """Its process is killed: what it wrote is on its way, but the last of it may be torn."""
        if not self._open:
            return
        self._cut_off = True
        self._open = False
        coming = self.peer._coming
        if coming and self._chance.random() < 0.5:
            timer, data = coming.pop()
            timer.cancel()
            if data:
                self.peer._expect(data[: self._chance.randrange(len(data))])
        self.peer._expect(None)

    def _expect(self, data: bytes | None) -> None:
        """``None`` is the end."""
        late = self._loop.time() + self._delay * self._chance.random()
        self._due = max(self._due, late)
        self._coming.append((self._loop.call_at(self._due, self._arrive), data))

    def _arrive(self) -> None:
        # Of what is due at the same instant, a loop may call any first.
        _, data = self._coming.popleft()
        if data is None:
            self._hang_up()
        elif self._protocol is None:
            self._early.append(data)
        else:
            self._take(data)

    def _take(self, data: bytes) -> None:
        if self._open and self._protocol is not None:
            self._protocol.data_received(data)

    def _hang_up(self) -> None:
        if self._open:
            self._open = False
            if self._protocol is not None:
                self._protocol.connection_lost(None)

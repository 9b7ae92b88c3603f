"""One end of what a run and a process that reads a list tell each other by: pickles, over a socket.

One is the fork of a child of the other: that, and only that, is why what is received may be
unpickled.
"""

from __future__ import annotations

import pickle
import socket
from contextlib import suppress
from typing import Any, Final

_HELD: Final = 1 << 20
"""Bytes that may be under way, if the system lets us: a batch or so, or each side would wake the
other several times for one."""


class Link:
    """``aside.Link`` over a socket. Its methods block. ``receive`` raises ``EOFError`` when the
    other end has closed, ``OSError``, and ``pickle.UnpicklingError``; ``send`` ``OSError``.
    """

    def __init__(self, end: socket.socket) -> None:
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _HELD)
        self._in = end.makefile("rb")
        self._out = end.makefile("wb")

    def send(self, message: Any) -> None:
        pickle.dump(message, self._out, protocol=pickle.HIGHEST_PROTOCOL)
        self._out.flush()

    def receive(self) -> Any:
        return pickle.load(self._in)  # noqa: S301  see above

    def close(self) -> None:
        """When the other end has closed, or is about to: who receives is waited for."""
        for stream in (self._in, self._out):
            with suppress(OSError):  # it would still send
                stream.close()

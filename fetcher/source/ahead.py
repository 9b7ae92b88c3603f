"""Unpacking ahead: a thread of its own that is some chunks in front of who takes lines apart.

zlib does its work without the interpreter, so on a second core it costs nobody any time. For a
process that does nothing else: where a loop answers others, the thread would take turns from it.
"""

from __future__ import annotations

from collections.abc import Iterator
from queue import SimpleQueue
from threading import Semaphore, Thread
from typing import Final

DEPTH: Final = 16
"""Chunks that wait at most."""


def ahead(chunks: Iterator[bytes], size: int) -> Iterator[bytes]:
    """The same bytes in chunks of up to ``size``, and the same error at their end."""
    read: SimpleQueue[bytes | BaseException | None] = SimpleQueue()
    room = Semaphore(DEPTH)
    given_up = False

    def work() -> None:
        try:
            for chunk in chunks:
                room.acquire()
                if given_up:
                    return
                read.put(chunk)
        except BaseException as error:  # noqa: BLE001 - it is raised where the bytes are read
            read.put(error)
        else:
            read.put(None)

    Thread(target=work, name="unpack", daemon=True).start()
    try:
        while (item := read.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            room.release()
            for at in range(0, len(item), size):
                yield item[at : at + size]
    finally:
        given_up = True
        room.release()

"""Where an image's bytes lie: a file of their own, or a part of a shard.

A part is read through ``Window``, a file in which nothing else is to be seen, so that a decoder
meets the end of the image where it ends.
"""

from __future__ import annotations

import io
import os
from typing import IO, Final, NamedTuple

from fetcher.checking.files import Record

_OPEN: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class Bytes(NamedTuple):
    """``offset`` is ``None`` of a file of its own, which is read to its end."""

    path: str
    offset: int | None = None
    size: int = 0

    @classmethod
    def of(cls, root: str, record: Record) -> Bytes:
        if record.offset is None:
            return cls(f"{root}/{record.path}")
        shard = record.path.rpartition("/")[0]
        return cls(f"{root}/{shard}", record.offset, record.size or 0)

    def open(self) -> IO[bytes]:
        """For reading, from the first byte on. Links are not followed. Raises ``OSError``."""
        file = open(self.path, "rb", opener=lambda name, _: os.open(name, _OPEN))  # noqa: SIM115  the caller's
        if self.offset is None:
            return file
        return io.BufferedReader(Window(file, self.offset, self.size))

    def beginning(self, most: int) -> tuple[int, bytes]:
        """How many bytes there are, and the first of them."""
        with self.open() as file:
            head = file.read(most)
            return file.seek(0, os.SEEK_END), head


class Window(io.RawIOBase):
    """``size`` bytes of ``file`` from ``offset`` on, as a file; closing it closes both."""

    def __init__(self, file: IO[bytes], offset: int, size: int) -> None:
        self._file = file
        self._offset = offset
        self._size = size
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        self._at = max(0, start + offset)
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]  # as it is called
        view = memoryview(buffer)[: max(0, self._size - self._at)]
        count = os.preadv(self._file.fileno(), (view,), self._offset + self._at) if view else 0
        self._at += count
        return count

    def close(self) -> None:
        self._file.close()
        super().close()

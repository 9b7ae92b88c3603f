"""One shard that is being written: what lies in it for good, and behind that a batch that may yet
be taken back.

A batch is held in memory until ``write``, so that it costs a system call for hundreds of images.
Until ``commit`` all of it lies behind ``end`` and can be cut off. The end of the archive is written
with each batch, and overwritten by the next.

Whoever writes a shard holds a lock on it (flock), which a kill gives up. Nothing here is safe to
use from two threads at once.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from fetcher.killpoints import Point, reached
from fetcher.model import Body, Slot
from fetcher.policy import tar
from fetcher.store.system import Bytes, System

_OPEN: Final = os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW: Final = _OPEN | os.O_CREAT | os.O_EXCL
_READ: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
_MODE: Final = 0o644
_PARKED: Final = -1
_PARTS: Final = 1_000
"""Buffers in one call; IOV_MAX is 1,024 on Linux and macOS."""
_CHUNK: Final = 1 << 20
"""Bytes."""


class Entry(Struct, eq=False):
    """An image that was staged."""

    member: str
    front: bytes
    body: Body
    rest: bytes
    slot: Slot
    dead: bool = False
    """It was given up: only its room is left, which readers pass over."""


class Shard:
    """``key`` is its path relative to DIR. Methods raise ``OSError``."""

    def __init__(self, key: str, path: str, descriptor: int, end: int, system: System) -> None:
        self.key = key
        self.path = path
        self.end = end
        """Of what lies in it for good, without the end of the archive."""
        self.fresh = end == 0
        """Its name may not be on the disk yet."""
        self.spoilt = False
        """It could not be cut back, and is not written to any more."""
        self._descriptor = descriptor
        self._system = system
        self._entries: list[Entry] = []
        self._next = end

    @classmethod
    def make(cls, key: str, path: str, system: System) -> Shard:
        """Raises ``FileExistsError`` if it is there."""
        descriptor = system.open(path, _NEW, _MODE)
        reached(Point.SHARD_MADE)
        _lock(descriptor)
        return cls(key, path, descriptor, 0, system)

    @classmethod
    def take_up(cls, key: str, path: str, system: System, *, before: float) -> Shard | None:
        """Go on with a shard that nobody has written to since ``before`` (seconds since the epoch)
        and that is whole to its last byte.
        """
        try:
            descriptor = system.open(path, _OPEN)
        except OSError:
            return None
        found = os.fstat(descriptor)
        if (
            stat.S_ISREG(found.st_mode)
            and found.st_nlink == 1
            and found.st_mtime < before
            and _lock(descriptor)
        ):
            end = tar.end_of_whole(
                lambda count, offset: os.pread(descriptor, count, offset), found.st_size
            )
            if end is not None:
                return cls(key, path, descriptor, end, system)
        system.close(descriptor)
        return None

    @property
    def length(self) -> int:
        """With all that is staged."""
        return self._next

    @property
    def busy(self) -> bool:
        """Something is staged."""
        return bool(self._entries)

    def append(self, member: str, body: Body, text: bytes) -> Entry:
        """Put an image behind what is staged already. Nothing is written yet."""
        front, rest = tar.header(member, body.size), tar.beside(member, body.size, text)
        offset = self._next + len(front)
        self._next = offset + body.size + len(rest)
        entry = Entry(member, front, body, rest, Slot(offset, self._next))
        self._entries.append(entry)
        return entry

    def tidy(self) -> None:
        """Forget a batch of which nothing is left."""
        if all(entry.dead for entry in self._entries):
            self._entries, self._next = [], self.end

    def keep_only(self, entries: Sequence[Entry]) -> None:
        """Give up what is staged besides."""
        if len(self._entries) > len(entries):
            kept = set(map(id, entries))
            for entry in self._entries:
                entry.dead |= id(entry) not in kept

    def write(self) -> None:
        """All that is staged, and the end of the archive."""
        at, parts = self.end, list[Bytes]()
        for entry in self._entries:
            size = entry.body.size
            if entry.dead:
                parts += [tar.dropped(entry.member, size), bytes(size)]
                json_size = entry.slot.end - entry.slot.offset - size - tar.padding(size)
                name = tar.json_of(entry.member)
                head = len(tar.header(name, 0))
                parts += [bytes(tar.padding(size)), tar.dropped(name, json_size - head)]
                parts.append(bytes(json_size - head))
            elif entry.body.data is not None:
                parts += [entry.front, entry.body.data, entry.rest]
            else:
                at = self._copy(self._put([*parts, entry.front], at), entry.body)
                parts = [entry.rest]
            if len(parts) >= _PARTS - 8:
                at, parts = self._put(parts, at), []
        self._put([*parts, tar.END], at)

    def commit(self) -> None:
        """What was written is on the disk, and stays."""
        self.end, self._entries, self.fresh = self._next, [], False

    def withdraw(self) -> None:
        """Cut off what was written; nothing of it is referred to anywhere."""
        self._entries, self._next = [], self.end
        try:
            cut(self._descriptor, self.end, self._system)
        except OSError:
            self.spoilt = True  # the next run cuts it

    def park(self) -> None:
        """Give its descriptor up for a while. What has been written to since the run began, nobody
        else takes up.
        """
        descriptor, self._descriptor = self._descriptor, _PARKED
        self._system.close(descriptor)

    def wake(self) -> None:
        if self._descriptor == _PARKED:
            self._descriptor = self._system.open(self.path, _OPEN)
            _lock(self._descriptor)

    def close(self) -> None:
        """Remove it if there is nothing in it."""
        try:
            if self.end == 0:
                self._system.unlink(self.path)
        finally:
            if self._descriptor != _PARKED:
                self.park()

    def _put(self, parts: Sequence[Bytes], at: int) -> int:
        """Write ``parts`` at ``at``; where they end."""
        left = list(parts)
        while left:
            written = self._system.pwritev(self._descriptor, left, at)
            if written == 0 and any(left):
                raise OSError(errno.EIO, os.strerror(errno.EIO), self.path)
            at += written
            while left and written >= len(left[0]):
                written -= len(left.pop(0))
            if left and written:
                left[0] = memoryview(left[0])[written:]
        return at

    def _copy(self, at: int, body: Body) -> int:
        assert body.path is not None  # noqa: S101  a body is in memory or in a file
        source, copied = self._system.open(str(body.path), _READ), 0
        try:
            while chunk := os.read(source, _CHUNK):
                at, copied = self._put([chunk], at), copied + len(chunk)
        finally:
            self._system.close(source)
        if copied != body.size:
            raise OSError(errno.EIO, os.strerror(errno.EIO), str(body.path))
        return at


def cut(descriptor: int, end: int, system: System) -> None:
    """Take away what lies behind ``end``, and put the end of the archive there."""
    system.ftruncate(descriptor, end)
    if end:
        system.ftruncate(descriptor, end + len(tar.END))


def _lock(descriptor: int) -> bool:
    """Whether nobody else writes it. Where there are no locks, it is not taken up again."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True

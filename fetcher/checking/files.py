"""One file against what is recorded of it, told in as few system calls as it takes.

A good file of up to ``SMALL`` bytes costs three: open, read, close. The read asks for more than is
recorded, so that what is longer shows; a regular file that gives less than was asked for has ended.
Whatever does not match is looked at again, at leisure, to say what it is. A link is never followed,
be it the file or a folder that leads to it; nothing here waits for a pipe's other end.

Nothing here knows the manifest, and nothing is written.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from binascii import b2a_base64
from typing import Final, NamedTuple

from fetcher.checking.members import Place, Shards

SMALL: Final = 1 << 20
"""Bytes that are read at once, and the size of further reads."""

_OPEN: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
_REMEMBERED: Final = 65_536
_NOT_THERE: Final = frozenset({errno.ENOENT, errno.ENOTDIR})


class Record(NamedTuple):
    """What the manifest says of a stored file; ``None`` is "it does not say"."""

    path: str
    size: int | None
    md5: str | None
    offset: int | None = None
    """If ``path`` leads into a shard: where the image begins there."""


class Observation(NamedTuple):
    """``kind`` is one of ``policy.findings.Kind``'s words, or ``""`` if all is well."""

    kind: str
    detail: str
    size: int | None
    md5: str | None


class Examiner:
    """Looks at files below ``root``; for one thread."""

    def __init__(self, root: str) -> None:
        self._root = root
        self._buffer = bytearray(SMALL)
        self._view = memoryview(self._buffer)
        self._folders: dict[str, Observation | None] = {"": None}
        self._shards = Shards(_OPEN)
        self._read = 0

    @property
    def read(self) -> int:
        """Bytes."""
        return self._read + self._shards.read

    def examine(self, record: Record) -> Observation | None:
        """``None`` if the file is what is recorded."""
        path, size, md5, offset = record
        if offset is not None:
            return self._in_shard(record, offset)
        folder = path.rpartition("/")[0]
        amiss = self._folders[folder] if folder in self._folders else self._enter(folder)
        if amiss is not None:
            return amiss
        try:
            descriptor = os.open(f"{self._root}/{path}", _OPEN)
        except OSError as error:
            return self._unopened(path, error)
        try:
            found, digest = self._measure(descriptor)
            if digest == md5 and (size is None or found == size):
                return None
            # Some file systems give less than is there when a signal comes in between.
            os.lseek(descriptor, 0, os.SEEK_SET)
            found, digest = self._measure(descriptor, to_end=True)
        except OSError as error:
            return self._unread(record, descriptor, error)
        finally:
            os.close(descriptor)
        return self._judge(record, found, digest)

    def forget(self) -> None:
        """Folders may have changed, and shards."""
        self._folders = {"": None}
        self._shards.forget()

    def _in_shard(self, record: Record, offset: int) -> Observation | None:
        shard, _, member = record.path.rpartition("/")
        folder = shard.rpartition("/")[0]
        amiss = self._folders[folder] if folder in self._folders else self._enter(folder)
        if amiss is not None:
            return amiss
        path = f"{self._root}/{shard}"
        try:
            found = self._shards.look(path, Place(member, offset, record.size or 0, record.md5))
        except OSError as error:
            seen = _lstat(path)
            if seen is not None and stat.S_ISREG(seen.st_mode):
                return Observation("unreadable", _reason(error), None, None)
            return self._unopened(shard, error)
        return None if found is None else Observation(*found)

    def _measure(self, descriptor: int, *, to_end: bool = False) -> tuple[int, str]:
        """Size and MD5. Without ``to_end``, a read that gives less than asked for is the last."""
        buffer, view = self._buffer, self._view
        count = os.readv(descriptor, (buffer,))
        size = count
        if count == SMALL and not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.ESPIPE, os.strerror(errno.ESPIPE))  # a device may have no end
        digest = hashlib.md5(view[:count], usedforsecurity=False)
        while count == SMALL or (to_end and count):
            count = os.readv(descriptor, (buffer,))
            digest.update(view[:count])
            size += count
        self._read += size
        return size, b2a_base64(digest.digest(), newline=False).decode("ascii")

    def _judge(self, record: Record, size: int, md5: str) -> Observation | None:
        if record.md5 is None and record.size in (None, size):
            return None  # nothing more is recorded of it
        if size == record.size and md5 == record.md5:
            return None
        if record.size is None or size == record.size:
            return Observation("altered", f"MD5 {md5}, recorded {record.md5}", size, md5)
        kind = "overlong" if size > record.size else "truncated" if size else "empty"
        return Observation(kind, f"{size:,} bytes, recorded {record.size:,}", size, md5)

    def _unopened(self, path: str, error: OSError) -> Observation:
        """Not even opened: a link and a socket are not."""
        at = f"{self._root}/{path}"
        if error.errno in _NOT_THERE:
            self._folders.pop(path.rpartition("/")[0], None)
            return Observation("missing", "", None, None)
        found = _lstat(at)
        if found is not None and not stat.S_ISREG(found.st_mode):
            return _other(at, found)
        return Observation("unreadable", _reason(error), None, None)

    def _unread(self, record: Record, descriptor: int, error: OSError) -> Observation:
        """Opened, and then not read: so folders end, and pipes, which cannot be sought in."""
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            return _other(f"{self._root}/{record.path}", found)
        return Observation("unreadable", _reason(error), None, None)

    def _enter(self, folder: str) -> Observation | None:
        """What is amiss with a folder, or one above it: then its files are not where they belong.

        A folder that is simply not there is nothing of its own: its files are missing.
        """
        parent = folder.rpartition("/")[0]
        amiss = self._folders[parent] if parent in self._folders else self._enter(parent)
        if amiss is None:
            amiss = self._look(folder)
        if len(self._folders) >= _REMEMBERED:
            self.forget()
        self._folders[folder] = amiss
        return amiss

    def _look(self, folder: str) -> Observation | None:
        try:
            mode = os.lstat(f"{self._root}/{folder}").st_mode
        except OSError as error:
            if error.errno in _NOT_THERE:
                return Observation("missing", f"there is no folder {folder}", None, None)
            return Observation("unreadable", f"{folder}: {_reason(error)}", None, None)
        if stat.S_ISLNK(mode):
            return Observation("link", f"its folder {folder} is a link", None, None)
        if not stat.S_ISDIR(mode):
            return Observation("missing", f"{folder} is no folder", None, None)
        return None


def _other(path: str, found: os.stat_result) -> Observation:
    """What lies there instead of a file."""
    if stat.S_ISLNK(found.st_mode):
        try:
            target = os.readlink(path)  # noqa: PTH115  paths are str here
        except OSError:
            target = "?"
        return Observation("link", f"a link to {target}", None, None)
    if stat.S_ISDIR(found.st_mode):
        return Observation("directory", "", None, None)
    return Observation("special", "a pipe, socket or device", None, None)


def _lstat(path: str) -> os.stat_result | None:
    try:
        return os.lstat(path)
    except OSError:
        return None


def _reason(error: OSError) -> str:
    return error.strerror or str(error)

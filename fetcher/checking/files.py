"""One file against what is recorded of it, told in as few system calls as it takes.

A good file of less than a piece (``fetcher.checking.together``) costs four: open, a hint, read,
close. The read asks for more than is recorded, so that what is longer shows; a regular file that
gives less than was asked for has ended. Whatever does not match is looked at again, at leisure, to
say what it is. A link is never followed, be it the file or a folder that leads to it; nothing here
waits for a pipe's other end.

Nothing here knows the manifest, and nothing is written.
"""

from __future__ import annotations

import errno
import os
import stat
import sys
from binascii import b2a_base64
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Final, NamedTuple

from fetcher.checking.members import Image, Place, Shards
from fetcher.checking.together import ROOM, Together
from fetcher.digests import new

_OPEN: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
_REMEMBERED: Final = 65_536
"""Folders that need no second look."""
_PIECE: Final = 1 << 20
"""Bytes of a second look that are read at once."""
_HINTED: Final = 2 * ROOM
"""Bytes of a file up to which it is asked for as a whole when it is opened, so that the disk gets
several at a time. Further ahead of larger ones the system reads by itself, and better."""
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

    def __init__(self, root: str, together: Together | None = None) -> None:
        self._root = root
        self._together = together or Together()
        self._folders: dict[str, Observation | None] = {"": None}
        self._shards = Shards(_OPEN)
        self.read = 0
        """Bytes."""

    def examine(self, record: Record) -> Observation | None:
        """``None`` if the file is what is recorded."""
        return self.examine_all([record])[0]

    def examine_all(self, records: Sequence[Record]) -> list[Observation | None]:
        """The same of each, in their order; several are read at the same time."""
        found: list[Observation | None] = [None] * len(records)
        for reading, digest in self._together.digests(self._readings(records, found)):
            self.read += reading.size
            md5 = b2a_base64(digest, newline=False).decode("ascii")
            if isinstance(reading, Image):
                found[reading.at] = self._of_image(reading, records[reading.at], md5)
            elif reading.error is not None:
                found[reading.at] = self._unread(reading, reading.error)
            elif md5 != reading.record.md5 or reading.record.size not in (None, reading.size):
                found[reading.at] = self._look_again(reading)
        return found

    def forget(self) -> None:
        """Folders may have changed, and shards."""
        self._folders = {"": None}
        self._shards.forget()

    def _readings(
        self, records: Sequence[Record], found: list[Observation | None]
    ) -> Iterator[_File | Image]:
        """What can be opened; ``found`` is told of the rest."""
        for at, record in enumerate(records):
            path, _, _, offset = record
            folder, _, member = path.rpartition("/")
            if offset is not None:
                path = folder
                folder = path.rpartition("/")[0]
            amiss = self._folders[folder] if folder in self._folders else self._enter(folder)
            if amiss is not None:
                found[at] = amiss
                continue
            reading: _File | Image
            try:
                if offset is None:
                    reading = _File(at, record, os.open(f"{self._root}/{path}", _OPEN))
                    if record.size is not None and record.size <= _HINTED:
                        _hint(reading.descriptor)
                else:
                    place = Place(member, offset, record.size or 0, record.md5)
                    reading = self._shards.image(at, f"{self._root}/{path}", place)
            except OSError as error:
                found[at] = self._unopened(path, error)
            else:
                yield reading

    def _of_image(self, reading: Image, record: Record, md5: str) -> Observation | None:
        try:
            amiss = reading.judge(md5)
        except OSError as error:
            return self._unopened(record.path.rpartition("/")[0], error)
        return None if amiss is None else Observation(*amiss)

    def _look_again(self, reading: _File) -> Observation | None:
        """It is not what is recorded, as far as one look at it can tell."""
        try:
            size, md5 = reading.again()
        except OSError as error:
            return self._unread(reading, error)
        self.read += size
        return self._judge(reading.record, size, md5)

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

    def _unread(self, reading: _File, error: OSError) -> Observation:
        """Opened, and then not read: so folders end, and pipes, which cannot be sought in."""
        found = os.fstat(reading.descriptor)
        if not stat.S_ISREG(found.st_mode):
            return _other(f"{self._root}/{reading.record.path}", found)
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
            self._folders = {"": None}
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


class _File:
    """One that is read to where a read gives less than asked for; ``at`` is its record's number."""

    __slots__ = ("at", "descriptor", "ended", "error", "record", "size")

    def __init__(self, at: int, record: Record, descriptor: int) -> None:
        self.at = at
        self.record = record
        self.descriptor = descriptor
        self.size = 0
        self.ended = False
        self.error: OSError | None = None

    def more(self, room: memoryview) -> memoryview:
        try:
            count = os.readv(self.descriptor, (room,))
            if count == len(room) and not self.size:
                self._require_regular()
        except OSError as error:
            self.error, self.ended = error, True
            return room[:0]
        self.size += count
        self.ended = count < len(room)
        return room[:count]

    def again(self) -> tuple[int, str]:
        """Size and MD5, at leisure: some file systems give less than is there when a signal comes
        in between.
        """
        self._require_regular()
        os.lseek(self.descriptor, 0, os.SEEK_SET)
        md5, size = new(), 0
        while piece := os.read(self.descriptor, _PIECE):
            md5.update(piece)
            size += len(piece)
        return size, b2a_base64(md5.digest(), newline=False).decode("ascii")

    def close(self) -> None:
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1

    def _require_regular(self) -> None:
        """A device may have no end, or be empty."""
        if not stat.S_ISREG(os.fstat(self.descriptor).st_mode):
            raise OSError(errno.ESPIPE, os.strerror(errno.ESPIPE))


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


def _hint(descriptor: int) -> None:
    """It will be read soon, and to its end. What is no file takes no hints."""
    if sys.platform == "linux":
        with suppress(OSError):
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_WILLNEED)


def _lstat(path: str) -> os.stat_result | None:
    try:
        return os.lstat(path)
    except OSError:
        return None


def _reason(error: OSError) -> str:
    return error.strerror or str(error)

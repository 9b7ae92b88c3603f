"""One image in a shard against what is recorded of it: its header, its bytes and its JSON.

What a header has to be follows from the name and the size, to the byte; the JSON carries a checksum
of its own text. So whatever is changed of an image in a shard is found, but for the zeros that fill
up a block. A small image costs one read; shards stay open, as an asset's neighbours are in the same
few.
"""

from __future__ import annotations

import hashlib
import os
from binascii import b2a_base64
from typing import Final, NamedTuple

from fetcher.policy import tar

SMALL: Final = 1 << 20
"""Bytes that are read at once."""
_BESIDE: Final = 4_096
"""Bytes behind an image that most probably hold its JSON."""
_KEPT_OPEN: Final = 16


class Place(NamedTuple):
    """An image of ``size`` bytes from ``offset`` on."""

    member: str
    offset: int
    size: int
    md5: str | None


class Amiss(NamedTuple):
    kind: str
    detail: str
    size: int | None = None
    md5: str | None = None


class Shards:
    """Reads below ``root``; for one thread."""

    def __init__(self, flags: int) -> None:
        self._flags = flags
        self._view = memoryview(bytearray(SMALL))
        self._open: dict[str, int] = {}
        self.read = 0
        """Bytes of images."""

    def look(self, path: str, place: Place) -> Amiss | None:
        """``None`` if all is well with it in the shard at ``path``. Raises ``OSError``."""
        descriptor = self._descriptor(path)
        front = tar.header(place.member, place.size)
        start = place.offset - len(front)
        behind = len(front) + place.size + tar.padding(place.size)
        view = self._view
        count = os.preadv(descriptor, (view[: len(front) + place.size + _BESIDE],), start)
        found, beside = bytes(view[: min(count, len(front))]), bytes(view[behind:count])
        part = view[len(front) : min(count, len(front) + place.size)]
        digest = hashlib.md5(part, usedforsecurity=False)
        size = len(part)
        while size < place.size:
            at = place.offset + size
            count = os.preadv(descriptor, (view[: place.size - size],), at)
            if not count:
                break
            digest.update(view[:count])
            size += count
        self.read += size
        if size < place.size:
            return Amiss("truncated", "the shard ends before it does", size)
        if found != front:
            if found == tar.dropped(place.member, place.size):
                return Amiss("missing", "it was taken out of the shard")
            return Amiss("altered", "its header in the shard")
        md5 = b2a_base64(digest.digest(), newline=False).decode("ascii")
        if place.md5 is not None and md5 != place.md5:
            return Amiss("altered", "", size, md5)
        if not self._described(descriptor, place, beside):
            return Amiss("altered", "its JSON in the shard", size, md5)
        return None

    def forget(self) -> None:
        """Shards may have changed."""
        while self._open:
            os.close(self._open.popitem()[1])

    def _descriptor(self, path: str) -> int:
        found = self._open.get(path)
        if found is None:
            if len(self._open) == _KEPT_OPEN:
                os.close(self._open.pop(next(iter(self._open))))
            found = self._open[path] = os.open(path, self._flags)
        return found

    def _described(self, descriptor: int, place: Place, read: bytes) -> bool:
        """Whether the JSON is there and whole; ``read`` is the beginning of it."""
        name = tar.json_of(place.member)
        at = place.offset + place.size + tar.padding(place.size)
        length = len(tar.header(name, 0))
        if len(read) < length:
            read = os.pread(descriptor, _BESIDE, at)
        told = tar.parsed(read[length - tar.BLOCK : length])
        if told is None or read[:length] != tar.header(name, told[1]):
            return False
        if len(read) < length + told[1]:
            read = os.pread(descriptor, length + told[1], at)
        return tar.is_intact(read[length : length + told[1]])

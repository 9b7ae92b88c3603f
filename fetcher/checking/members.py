"""One image in a shard against what is recorded of it: its header, its bytes and its JSON.

What a header has to be follows from the name and the size, to the byte; the JSON carries a checksum
of its own text. So whatever is changed of an image in a shard is found, but for the zeros that fill
up a block. A small image costs one read; shards stay open, as an asset's neighbours are in the same
few.
"""

from __future__ import annotations

import os
from typing import Final, NamedTuple

from fetcher.policy import tar

_BESIDE: Final = 4_096
"""Bytes behind an image that most probably hold its JSON."""
_KEPT_OPEN: Final = 16
"""Shards."""


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
        self._open: dict[str, Shard] = {}

    def image(self, at: int, path: str, place: Place) -> Image:
        """For reading it in the shard at ``path``; ``at`` is the caller's. Raises ``OSError``."""
        shard = self._open.get(path)
        if shard is None:
            if len(self._open) >= _KEPT_OPEN:
                self._close_one()
            shard = self._open[path] = Shard(os.open(path, self._flags))
        return Image(at, shard, place)

    def forget(self) -> None:
        """Shards may have changed. Nothing is under way."""
        while self._open:
            os.close(self._open.popitem()[1].descriptor)

    def _close_one(self) -> None:
        for path, shard in self._open.items():
            if not shard.readers:
                os.close(shard.descriptor)
                del self._open[path]
                return


class Shard:
    """An open one; ``readers`` are under way in it."""

    __slots__ = ("descriptor", "readers")

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self.readers = 0


class Image:
    """One in a shard, as something to be read; then it is judged."""

    __slots__ = ("_beside", "_front", "_place", "_shard", "at", "ended", "error", "size")

    def __init__(self, at: int, shard: Shard, place: Place) -> None:
        shard.readers += 1
        self._shard: Shard | None = shard
        self._place = place
        self._front = b""
        self._beside = b""
        self.at = at
        self.size = 0
        self.ended = False
        self.error: OSError | None = None

    def more(self, room: memoryview) -> memoryview:
        try:
            piece = self._on(room) if self.size else self._begin(room)
        except OSError as error:
            self.error, self.ended = error, True
            return room[:0]
        self.size += len(piece)
        self.ended = self.size >= self._place.size or not piece
        return piece

    def judge(self, md5: str) -> Amiss | None:
        """``None`` if all is well with it. Raises ``OSError``, also for what came in reading."""
        if self.error is not None:
            raise self.error
        place = self._place
        if self.size < place.size:
            return Amiss("truncated", "the shard ends before it does", self.size)
        if self._front != tar.header(place.member, place.size):
            if self._front == tar.dropped(place.member, place.size):
                return Amiss("missing", "it was taken out of the shard")
            return Amiss("altered", "its header in the shard")
        if place.md5 is not None and md5 != place.md5:
            return Amiss("altered", "", self.size, md5)
        if not self._described():
            return Amiss("altered", "its JSON in the shard", self.size, md5)
        return None

    def close(self) -> None:
        if self._shard is not None:
            self._shard.readers -= 1
            self._shard = None

    def _begin(self, room: memoryview) -> memoryview:
        """The header and what is behind the image come with the image, if that is small."""
        size = self._place.size
        front = bytearray(len(tar.header(self._place.member, size)))
        asked = room[: size + tar.padding(size) + _BESIDE]
        start = self._place.offset - len(front)
        count = os.preadv(self._descriptor, (front, asked), start) - len(front)
        self._front = bytes(front)
        self._beside = bytes(room[size + tar.padding(size) : max(0, count)])
        return room[: max(0, min(count, size))]

    def _on(self, room: memoryview) -> memoryview:
        asked = room[: self._place.size - self.size]
        count = os.preadv(self._descriptor, (asked,), self._place.offset + self.size)
        return room[:count]

    @property
    def _descriptor(self) -> int:
        assert self._shard is not None  # noqa: S101  it is not closed yet
        return self._shard.descriptor

    def _described(self) -> bool:
        """Whether the JSON is there and whole."""
        name = tar.json_of(self._place.member)
        at = self._place.offset + self._place.size + tar.padding(self._place.size)
        length = len(tar.header(name, 0))
        read = self._beside
        if len(read) < length:
            read = os.pread(self._descriptor, _BESIDE, at)
        told = tar.parsed(read[length - tar.BLOCK : length])
        if told is None or read[:length] != tar.header(name, told[1]):
            return False
        if len(read) < length + told[1]:
            read = os.pread(self._descriptor, length + told[1], at)
        return tar.is_intact(read[length : length + told[1]])

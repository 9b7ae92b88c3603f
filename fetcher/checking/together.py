"""Digests of many files at a time: a piece of each, then the digests of all pieces side by side.

``fetcher.digests`` says why several at once take hardly longer than one. Whatever comes to its end
makes room for the next in line, so small files go through by the dozen, and a large one holds up
nobody. Memory is ``WIDTH`` times ``ROOM``, whatever the files' size.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable
from itertools import chain
from typing import Final, Protocol, TypeVar

from fetcher.digests import LANES, Md5, new, update_together

WIDTH: Final = max(8, LANES)
"""Files under way. More than there are lanes gain nothing; a few at least save rounds."""
ROOM: Final = 1 << 17
"""Bytes of a piece."""


class Reading(Protocol):
    """Bytes that come piece by piece. Trouble with them is their own matter, and an end."""

    @property
    def ended(self) -> bool:
        """Nothing more will come."""

    def more(self, room: memoryview) -> memoryview:
        """Read on into ``room``; what of it counts, which may be nothing."""

    def close(self) -> None:
        """Does nothing the second time."""


R = TypeVar("R", bound=Reading)


class Together:
    """For one thread."""

    def __init__(self, width: int = WIDTH, room: int = ROOM) -> None:
        self._rooms = [memoryview(bytearray(room)) for _ in range(width)]

    def digests(self, readings: Iterable[R]) -> Generator[tuple[R, bytes], None, None]:
        """Each with its MD5, in the order in which they end, and open until the next is asked for.

        ``readings`` is asked for one more when there is room for it.
        """
        line = iter(readings)
        free = list(self._rooms)
        under_way: list[tuple[R, Md5, memoryview]] = []
        ended: list[tuple[R, Md5, memoryview]] = []
        try:
            while True:
                while free and (reading := next(line, None)) is not None:
                    under_way.append((reading, new(), free.pop()))
                if not under_way:
                    return
                update_together([(md5, one.more(room)) for one, md5, room in under_way])
                ended = [lane for lane in under_way if lane[0].ended]
                under_way = [lane for lane in under_way if not lane[0].ended]
                for reading, md5, room in ended:
                    yield reading, md5.digest()
                    reading.close()
                    free.append(room)
        finally:
            for reading, _, _ in chain(ended, under_way):
                reading.close()

"""How an image is taken out of a shard without moving the others: its members get a name that
WebDataset passes over.

The JSON's header is overwritten first and the image's last, each with one write that stays within
its sectors; a kill in between leaves an image without a JSON, which the next check finds.
"""

from __future__ import annotations

import os
from typing import Final

from fetcher.policy import tar
from fetcher.store.shard import cut
from fetcher.store.system import System

_NOTHING: Final = bytes(tar.BLOCK)


def take_out(descriptor: int, member: str, offset: int, size: int, system: System) -> None:
    """Of a shard that is open for reading and writing. Raises ``OSError``.

    Where the file ends before the image and its JSON do, it is cut off before them: nothing whole
    can lie behind.
    """
    front = len(tar.header(member, 0))
    beside = offset + size + tar.padding(size)
    end = os.fstat(descriptor).st_size
    after = _after(descriptor, beside, end)
    if after is None:
        if end > offset - front:
            cut(descriptor, offset - front, system)
        return
    name = tar.json_of(member)
    length = len(tar.header(name, 0))
    if after - beside < length:  # a damaged header, and it is not known how long it was
        name, length = "", tar.BLOCK
    system.pwritev(descriptor, [tar.dropped(name, after - beside - length)], beside)
    system.pwritev(descriptor, [tar.dropped(member, size)], offset - front)


def _after(descriptor: int, beside: int, end: int) -> int | None:
    """Where the JSON at ``beside`` ends, though its header be damaged: before the next member, or
    before the end of the archive. ``None`` if the file ends earlier.
    """
    for whole in tar.members(lambda count, at: os.pread(descriptor, count, at), beside, end):
        return whole.end if whole.name.endswith(tar.SUFFIX) else whole.start
    for at in range(beside + tar.BLOCK, end - tar.BLOCK + 1, tar.BLOCK):
        block = os.pread(descriptor, tar.BLOCK, at)
        if tar.parsed(block) is not None or block == _NOTHING:
            return at
    return None

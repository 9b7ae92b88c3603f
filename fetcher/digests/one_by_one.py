"""MD5 by ``hashlib``, one after the other: what there is without the extension."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Final

from fetcher.digests.interface import Buffer, Md5

LANES: Final = 1


def new() -> Md5:
    return hashlib.md5(usedforsecurity=False)


def update_together(pairs: Sequence[tuple[Md5, Buffer]], /) -> None:
    if len({id(digest) for digest, _ in pairs}) < len(pairs):
        raise ValueError("one digest twice in a call")
    views = [(digest, _whole(data)) for digest, data in pairs]
    for digest, view in views:
        digest.update(view)


def digest_together(bodies: Sequence[Buffer], /) -> list[bytes]:
    views = [_whole(body) for body in bodies]
    return [hashlib.md5(view, usedforsecurity=False).digest() for view in views]


def _whole(data: Buffer) -> memoryview:
    """Holds it, so that it cannot change its size meanwhile."""
    view = memoryview(data)
    if not view.c_contiguous:
        raise BufferError("the bytes are not in one piece")
    return view

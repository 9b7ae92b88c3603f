"""Tails of shards: what lies behind the last image that the manifest knows of, or in no shard that
it knows of. A kill leaves one, as does a worker that died; it is cut off, and its images are
fetched again.

They were in flight, so there are few. Where many would be cut, the manifest is not the one that the
shards were written with, or an old copy of it, and nothing is touched: bytes whose hosts may be
gone are not removed on the word of a file that knows nothing of them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Final

from msgspec import Struct

from fetcher.errors import UsageError
from fetcher.killpoints import Point, reached
from fetcher.policy import tar
from fetcher.store.shard import cut
from fetcher.store.shards import FOLDER, shards_in
from fetcher.store.system import System
from fetcher.store.trouble import store_error

_OPEN: Final = os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC


class Tail(Struct, frozen=True):
    key: str
    """Of the shard, relative to DIR."""
    behind: int
    """Where it begins; 0 is all of the shard."""
    size: int
    """Bytes, and an end of the archive with them."""


def tails(root: str, known: Mapping[str, int]) -> Iterator[Tail]:
    """What is behind the ends that ``known`` gives of shards by their path. Raises ``StoreError``.

    Looks at regular files with the name of a shard only, and follows no links.
    """
    for key, size in shards_in(root):
        behind = known.get(key, 0)
        if size > behind + len(tar.END) or not behind:
            yield Tail(key, behind, size - behind)


def cut_tails(
    root: str, known: Mapping[str, int], *, most: int | None, system: System | None = None
) -> int:
    """Cut them off; how many there were. ``most``: images in all of them together; ``None`` asks
    for no limit. Raises ``UsageError`` if there are more, and then nothing was cut.
    """
    found = list(tails(root, known))
    calls = system or System()
    try:
        if most is not None and found:
            _require_few(root, found, most)
        for tail in found:
            _cut(root, tail, calls)
            reached(Point.TAIL_CUT)
    except OSError as error:
        raise store_error(error, error.filename or f"{root}/{FOLDER}") from error
    return len(found)


def _require_few(root: str, found: list[Tail], most: int) -> None:
    images = 0
    for tail in found:
        images += _images(f"{root}/{tail.key}", tail)
        if images > most:
            raise UsageError(
                f"{root}/{FOLDER} holds more than {most:,} images that the manifest does not know "
                "of: more than a run that was killed can have left.",
                hint="Name the manifest that they were fetched with (--manifest), or a newer copy "
                f"of it. To fetch them again, move {FOLDER} out of DIR.",
            )


def _images(path: str, tail: Tail) -> int:
    descriptor = os.open(path, _OPEN)
    try:
        found = tar.members(
            lambda count, offset: os.pread(descriptor, count, offset),
            tail.behind,
            tail.behind + tail.size,
        )
        return sum(not one.name.endswith(tar.SUFFIX) and one.name != tar.DROPPED for one in found)
    finally:
        os.close(descriptor)


def _cut(root: str, tail: Tail, system: System) -> None:
    path = f"{root}/{tail.key}"
    if not tail.behind:
        system.unlink(path)
        return
    descriptor = system.open(path, _OPEN)
    try:
        cut(descriptor, tail.behind, system)
        system.fsync(descriptor)
    finally:
        system.close(descriptor)

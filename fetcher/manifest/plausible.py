"""What a manifest may say of an image before anything is done about it.

Rows are judged when a list is read, so none that breaks these rules is ever written. But a manifest
is a file: it may come from somebody else, or have been worked on by hand, and SQLite's own checks
find nothing wrong with an id that leads out of DIR. So what becomes a path, a request or a
judgement is looked at once more on its way out. What breaks a rule here is damage, and ends the
command before anything is touched.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

from fetcher.policy.expectations import MD5, MOST_BYTES
from fetcher.policy.paths import id_fault

_LEAVING: Final = re.compile(r"(?:^|/)\.{0,2}(?:/|$)|\0")
"""A part of a path that is empty, or this folder, or the one above."""


class ImplausibleError(ValueError):
    """No list has said this. Internal: ``manifest.faults`` makes damage of it."""


def require_asset(
    image_id: str, subset: str, size: int | None, md5: str | None, attempts: tuple[int, int]
) -> None:
    """Raises ``ImplausibleError``. What is wrong with a URL, the engine tells as of any other."""
    if fault := id_fault(image_id):
        raise ImplausibleError(f"the image id {image_id[:80]!r}: {fault}")
    if fault := _subset_fault(subset):
        raise ImplausibleError(f"the subset {subset[:80]!r}: {fault}")
    if size is not None and not 0 <= size <= MOST_BYTES:
        raise ImplausibleError(f"image {image_id} has {size} bytes")
    if md5 is not None and not MD5.fullmatch(md5):
        raise ImplausibleError(f"image {image_id} has {md5[:80]!r} for an MD5")
    if min(attempts) < 0:
        raise ImplausibleError(f"image {image_id} was tried {min(attempts)} times")


def require_inside(paths: Iterable[str | None]) -> None:
    """That they are below DIR, as far as a text can tell. Raises ``ImplausibleError``."""
    for path in paths:
        if path and _LEAVING.search(path):
            raise ImplausibleError(f"an image is at {path[:200]!r}")


@lru_cache(1024)
def _subset_fault(subset: str) -> str | None:
    return id_fault(subset) if subset else None

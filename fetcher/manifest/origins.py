"""Where an asset stands by its URL alone, judged once for each origin.

``policy.urls.judge`` looks at all of a URL, but what it says follows from two things: whether there
is a control character or a space anywhere, and what comes before the path. Lists repeat a few of
the latter millions of times.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from msgspec import Struct

from fetcher.manifest.states import PENDING, STATE_IDS
from fetcher.model import State
from fetcher.policy.urls import judge

_INVALID: Final = STATE_IDS[State.INVALID]
_SCHEMES: Final = ("https://", "http://")
_PATH_FROM: Final = len("https://")
_LONGEST: Final = 300
"""Characters of an origin worth remembering."""


class Standing(Struct, frozen=True):
    """``host`` is empty if the URL has none that could be asked."""

    state: int
    code: str | None
    host: str


def standing(url: str) -> Standing:
    """Pending, or invalid with the code that ``judge`` gives."""
    if not url.startswith(_SCHEMES) or " " in url or not url.isprintable():
        return _standing(url)
    end = url.find("/", _PATH_FROM)
    origin = url if end < 0 else url[:end]
    return _of_origin(origin) if len(origin) <= _LONGEST else _standing(url)


def _standing(url: str) -> Standing:
    target = judge(url)
    if isinstance(target, str):
        return Standing(_INVALID, target, "")
    return Standing(PENDING, None, target.host)


_of_origin: Final = lru_cache(maxsize=16_384)(_standing)

"""MD5 of many bodies at a time.

One MD5 is a chain: each step needs the one before, so no processor can do a single one faster than
it is done already. Many can advance side by side, one in each lane of a vector register; that is
what the extension ``_lanes`` does. It is made where there is a C compiler; everywhere else
``hashlib`` does the same, one after the other. Which of the two it is shows in ``LANES`` only.
"""

from __future__ import annotations

from typing import Final

from fetcher.digests.interface import Buffer, Digests, Md5

__all__ = ["LANES", "Buffer", "Digests", "Md5", "digest_together", "new", "update_together"]


def _best() -> Digests:
    try:
        from fetcher.digests import _lanes  # noqa: PLC0415  it may not be there
    except ImportError:
        from fetcher.digests import one_by_one  # noqa: PLC0415  takes time to load

        return one_by_one
    return _lanes


_BEST: Final = _best()

LANES: Final = _BEST.LANES
new: Final = _BEST.new
update_together: Final = _BEST.update_together
digest_together: Final = _BEST.digest_together

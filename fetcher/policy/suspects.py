"""Which asset kills worker processes, told from who was there each time.

A worker that dies takes along all that it was at work on. Mostly none of that is why: somebody
killed it, or the machine ran out of memory. But there may be an image that a library cannot stand,
and that kills whoever gets it, over and over. So whatever was there is suspected, and is worked on
in smaller company each time:

    deaths   company
    1        a few
    2        nobody: if the worker dies now, it is the culprit

What comes through is cleared: it has landed, or an answer has spent one of its attempts. A redirect
has only led on to what may be deadly, and clears nobody. Nobody is found guilty for having been
near, and one culprit among hundreds is found with three deaths.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

DEATHS: Final = 3
"""Of workers, that make a culprit."""
FEW: Final = 8


class Suspects:
    """Of one run."""

    def __init__(self) -> None:
        self.deaths: dict[int, int] = {}
        """By asset: how many of those that had it have died. Who ends without having come through
        stays here, which costs it nothing: at most what was in flight at each death.
        """

    def company(self, asset_id: int) -> int:
        """Of how many at most it may be one, in one worker."""
        return 1 if self.deaths.get(asset_id, 0) == DEATHS - 1 else FEW

    def died(self, held: Collection[int]) -> int | None:
        """A worker has died that had these assets; the culprit, if that is known now."""
        for asset_id in held:
            deaths = self.deaths.get(asset_id, 0) + 1
            if deaths == DEATHS and len(held) == 1:
                del self.deaths[asset_id]
                return asset_id
            self.deaths[asset_id] = min(deaths, DEATHS - 1)
        return None

    def cleared(self, asset_id: int) -> None:
        """It came through."""
        self.deaths.pop(asset_id, None)

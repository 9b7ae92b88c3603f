"""Which asset kills worker processes, told from who was there each time, and from how they ended.

A worker that dies takes along all that it was at work on. Mostly none of that is why: somebody
killed it, or the machine ran out of memory. But there may be an image that a library cannot stand,
and that kills whoever gets it, over and over. So whatever was there is suspected, and is worked on
in smaller company each time:

    deaths   company
    1        a few
    2        nobody

Having been near is no evidence. What counts is what a worker had to itself when it died, and how:

    it ended                                                                evidence
    by itself, or by a signal that the kernel sends for what a process does    3
    by any other signal, or nobody knows how                                   1

``GUILT`` of it makes a culprit: two crashes, or six kills. Nobody crashes for somebody else's sake;
but the kernel also kills for the sake of memory, be it an image that takes all of it or another
process, and whoever sends a SIGKILL says nothing of why. Six of these with one and the same image,
and not once was it left alone for as long as it takes: where kills strike by chance, and each image
by itself is struck as often as every third time, that befalls one of some 700 images that are
suspected at all.

What comes through is cleared: it has landed, or an answer has spent one of its attempts. A redirect
has only led on to what may be deadly, and clears nobody. Whoever kills all that get it is found
with at most ``APART + GUILT`` deaths, one by one, among however many.
"""

from __future__ import annotations

from collections.abc import Collection
from signal import Signals
from typing import Final

APART: Final = 2
"""Deaths after which an asset is worked on alone."""
FEW: Final = 8
"""Suspects that are worked on together until then."""
BY_CRASH: Final = 3
BY_KILL: Final = 1
"""Evidence, by how the worker ended."""
GUILT: Final = 6
"""Evidence that is enough."""
CRASHES: Final = frozenset(
    {
        Signals.SIGILL,
        Signals.SIGTRAP,
        Signals.SIGABRT,
        Signals.SIGBUS,
        Signals.SIGFPE,
        Signals.SIGSEGV,
        Signals.SIGSYS,
    }
)


def crashed(exit_code: int | None) -> bool:
    """Whether a process ended for a reason of its own. ``exit_code`` as of ``subprocess``: minus
    the signal's number, if one ended it.
    """
    return exit_code is not None and (exit_code >= 0 or -exit_code in CRASHES)


class Suspects:
    """Of one run."""

    def __init__(self) -> None:
        self.deaths: dict[int, int] = {}
        """By asset: how many of those that had it have died, up to ``APART``. Who ends without
        having come through stays here, which costs it nothing: at most what was in flight at each
        death.
        """
        self._evidence: dict[int, int] = {}

    def company(self, asset_id: int) -> int:
        """Of how many at most it may be one, in one worker."""
        return 1 if self.deaths.get(asset_id, 0) >= APART else FEW

    def evidence(self, asset_id: int) -> int:
        """Who has most of it is best looked at first: so it is known soonest."""
        return self._evidence.get(asset_id, 0)

    def died(self, held: Collection[int], exit_code: int | None) -> int | None:
        """A worker has ended like that, and had these assets; the culprit, if that is known now."""
        for asset_id in held:
            self.deaths[asset_id] = min(self.deaths.get(asset_id, 0) + 1, APART)
        if len(held) != 1:
            return None
        [asset_id] = held
        evidence = self.evidence(asset_id) + (BY_CRASH if crashed(exit_code) else BY_KILL)
        self._evidence[asset_id] = evidence
        if evidence < GUILT:
            return None
        self.cleared(asset_id)
        return asset_id

    def cleared(self, asset_id: int) -> None:
        """It came through, or is found out."""
        self.deaths.pop(asset_id, None)
        self._evidence.pop(asset_id, None)

"""What it means that nothing grows.

A run may take what its configuration allows: at once, or as its caches fill. What it may not do is
to take more for each image, as there is no end of images. So of each process that lives through the
whole of the watched run (the one that decides, and a worker that is never killed), the growth of
its own memory and of its descriptors is measured:

    warm-up      the first third, in which caches fill, is left out
    slope        Theil and Sen's over the rest, the median over all pairs of samples: peaks that
                 pass do not move it
    carried on   that slope, for as long as all of Open Images would take at the pace at which the
                 watched run settled images

and it is flat if, carried on, it came to no more than the configuration has room for: the default
of ``fetch.memory`` for memory, and for descriptors those that a run reserves for itself beyond what
its requests take (``fetcher.cli.mirroring``).

The largest cache is the manifest's page cache, 8 MiB, which takes some 50,000 images to fill by
settling alone. So that this is warm-up, too, the watched run begins with a list that has grown:
reading it fills the cache within seconds, if it has 50,000 images or more, as one of 30 minutes
has. A soak that is much shorter cannot tell that cache from a leak, and does not hold.

Own memory is what a process has written itself: unlike its share of what it has in common with
others, it does not change when one of these ends.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Final

from fetcher.config.schema import Fetch
from scripts.proofs.family import Held
from scripts.proofs.soak.sampling import Sample

OPEN_IMAGES: Final = 9_178_275
"""Images of the longest list that we know."""
MEMORY: Final[int] = Fetch().memory
"""Bytes by which a process may grow over all of these."""
DESCRIPTORS: Final = 960
EARLY: Final = 5 * 60.0
"""Seconds into the run, at which is told what a process had."""
_WARM_UP: Final = 1 / 3


@dataclass(frozen=True, slots=True)
class Flatness:
    """How what one process has went on."""

    name: str
    memory: float
    """Bytes per minute, after the warm-up."""
    descriptors: float
    """Per minute, likewise."""
    minutes: float
    """That all of Open Images would take."""
    early: Held
    """At ``EARLY``, or as soon after as there is a sample."""
    first: Held
    last: Held

    @property
    def holds(self) -> bool:
        return (
            self.memory * self.minutes <= MEMORY and self.descriptors * self.minutes <= DESCRIPTORS
        )

    def line(self) -> str:
        early, last = self.early, self.last
        return (
            f"{self.name}: {_mib(early.own)} of its own after {EARLY / 60:.0f} minutes, "
            f"{_mib(last.own)} in the end (with its share of the common {_mib(early.memory)} and "
            f"{_mib(last.memory)}), {self.memory / 1024:+.1f} KiB a minute: "
            f"{_mib(self.memory * self.minutes)} over all of Open Images; "
            f"{self.first.descriptors} descriptors at first, {last.descriptors} in the end, "
            f"{self.descriptors:+.3f} a minute"
        )


def flatness(samples: Sequence[Sample], pace: float) -> list[Flatness]:
    """``pace``: images settled per minute. Empty without enough samples to tell."""
    after = samples[int(len(samples) * _WARM_UP) :]
    if len(after) < 3 or pace <= 0:  # noqa: PLR2004  a line through two points proves nothing
        return []
    whose: tuple[tuple[str, Callable[[Sample], Held]], ...] = (
        ("the process that decides", lambda sample: sample.parent),
        ("a worker", lambda sample: sample.worker),
    )
    early = next((sample for sample in samples if sample.at >= EARLY), samples[-1])
    return [
        Flatness(
            name,
            slope([(sample.at / 60, of(sample).own) for sample in after]),
            slope([(sample.at / 60, of(sample).descriptors) for sample in after]),
            OPEN_IMAGES / pace,
            of(early),
            of(samples[0]),
            of(samples[-1]),
        )
        for name, of in whose
    ]


def slope(points: Sequence[tuple[float, float]]) -> float:
    """By Theil and Sen: the median slope over all pairs of points, none at the same time."""
    return statistics.median(
        (late[1] - early[1]) / (late[0] - early[0]) for early, late in combinations(points, 2)
    )


def _mib(size: float) -> str:
    return f"{size / 2**20:.1f} MiB"

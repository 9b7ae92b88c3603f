"""Which images a sample has, and what it says of all of them.

A sample is stratified: so many images from each stratum (a subset of a host group) as its share of
the population comes to, and at least one. Which ones follows from the seed and their ids alone,
through a hash, so a list that is split, sorted or read anew gives the same sample.

A share is estimated as the sum of the strata's shares, each weighted with its part of the
population. Its interval is Wilson's score interval (E. B. Wilson, 1927, J. Am. Stat. Assoc. 22,
209-212) with an effective sample size in place of the number of images (L. Kish, 1965, Survey
Sampling, section 11.7), which is 1 / sum(W² / n) over the strata, W a stratum's part of the
population and n the images settled in it. With proportional strata that is their number; where
small strata are overrepresented it is less.

Of one, two or three images that were found, or that were not, Wilson's end on their side comes too
near: of what one image in 3,000 is, a sample of 300 would cover the truth 90 times in 100. So there
it is set back to the Poisson limit, scaled to the estimate, as L. D. Brown, T. T. Cai and
A. DasGupta modify it (2001, Stat. Sci. 16, 101-133, section 4.1.1).

What strata that differ, and a sample that is a large part of the population, gain in precision is
left out. That widens the interval (at half of the population by two fifths); a correction for it
was measured to cover as little as 87 % for rare kinds. A census has no interval: both of its ends
are the share itself. ``scripts/prove audit`` measures how often intervals cover the truth.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from hashlib import blake2b
from types import MappingProxyType
from typing import Final, NamedTuple

from msgspec import Struct

Z: Final = 1.959963984540054
"""The 97.5 % quantile of the normal distribution: intervals of 95 %."""
FEW: Final = {1: 0.051293294387550516, 2: 0.35536151069866184, 3: 0.817691447163953}
"""Of so many events, the mean below which as many or more come in less than 5 % of all cases: half
of the 5 % quantile of chi square with twice as many degrees of freedom."""
_LARGEST_COUNT: Final = 10**12


class SampleSize(Struct, frozen=True):
    """A number of images, or a share of them: exactly one is given."""

    count: int | None = None
    share: float | None = None

    def of(self, population: int) -> int:
        """How many images that is."""
        if self.count is not None:
            return min(self.count, population)
        assert self.share is not None  # noqa: S101  one of them is given
        # The correction is for shares that are not exact in binary.
        return min(population, math.ceil(self.share * population - 1e-9))


def parse_size(text: str) -> SampleSize:
    """``1000`` or ``1%``. Raises ``ValueError``."""
    text = text.strip()
    if text.endswith("%"):
        share = float(text[:-1]) / 100
        if not 0 < share <= 1:
            raise ValueError(text)
        return SampleSize(share=share)
    count = int(text)
    if not 0 < count <= _LARGEST_COUNT:
        raise ValueError(text)
    return SampleSize(count=count)


def draw(seed: int, image_id: str) -> int:
    """An image's lot: the least ones of a stratum are its sample. 63 bits, as SQLite's numbers."""
    text = f"{seed}:{image_id}".encode(errors="surrogatepass")
    return int.from_bytes(blake2b(text, digest_size=8).digest(), "big") >> 1


def allocate(listed: Sequence[int], total: int) -> list[int] | None:
    """How many of each stratum's ``listed`` images make a sample of ``total``, in proportion, by
    largest remainders, but at least one. ``None`` if that is not to be had: more strata than
    images.
    """
    if total < len(listed):
        return None
    asked = [0] * len(listed)
    open_ones = set(range(len(listed)))
    left, population = total, sum(listed)
    # Strata whose part comes to less than one image get one, which leaves less for the others.
    while small := {i for i in open_ones if listed[i] * left < population}:
        for i in small:
            asked[i] = 1
        left -= len(small)
        population -= sum(listed[i] for i in small)
        open_ones -= small
    if not open_ones:
        return asked
    left = min(left, population)
    for i in open_ones:
        asked[i] = listed[i] * left // population
    over = left - sum(asked[i] for i in open_ones)
    by_remainder = sorted(open_ones, key=lambda i: (-(listed[i] * left % population), i))
    for i in by_remainder[:over]:
        asked[i] += 1
    return asked


class StratumCount(NamedTuple):
    """What was found in one stratum so far."""

    listed: int
    found: Mapping[str, int]
    """Settled images by state."""
    codes: Mapping[str, int] = MappingProxyType({})
    """Those of them that have one, by code."""


class Rate(NamedTuple):
    """A share of the population, as a sample tells it: all are between 0 and 1."""

    share: float
    low: float
    high: float
    n: int
    """Images in the sample, or settled of it so far, that it is a share of."""


def wilson(share: float, n: float, z: float = Z) -> tuple[float, float]:
    """The score interval of a share that was found in a sample of (effective) size ``n``."""
    centre = share + z * z / (2 * n)
    half = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    whole = 1 + z * z / n
    return max(0.0, (centre - half) / whole), min(1.0, (centre + half) / whole)


def rate(strata: Sequence[StratumCount], states: frozenset[str]) -> Rate | None:
    """The share of the population that is in one of ``states``; ``None`` if nothing is settled.

    Strata of which nothing is settled (yet) are left out, as if they were not there.
    """
    return _rate(
        (s.listed, sum(s.found.values()), sum(s.found.get(state, 0) for state in states))
        for s in strata
    )


def code_rate(strata: Sequence[StratumCount], code: str) -> Rate | None:
    """The same of what has ``code``."""
    return _rate((s.listed, sum(s.found.values()), s.codes.get(code, 0)) for s in strata)


def _rate(counts: Iterable[tuple[int, int, int]]) -> Rate | None:
    """``counts`` are, of each stratum, images listed, settled, and found to be so."""
    strata = list(counts)
    told = [(listed, n, found) for listed, n, found in strata if n]
    population = sum(listed for listed, _, _ in told)
    if not population:
        return None
    share = spread = 0.0
    for listed, n, found in told:
        weight = listed / population
        share += weight * found / n
        spread += weight * weight / n
    share = min(1.0, share)  # not a rounding error more
    size = sum(n for _, n, _ in told)
    if size == sum(listed for listed, _, _ in strata):
        return Rate(share, share, share, size)
    low, high = wilson(share, 1 / spread)
    images = sum(found for _, _, found in told)
    if images in FEW:
        low = min(low, share * FEW[images] / images)
    if size - images in FEW:
        high = max(high, 1 - (1 - share) * FEW[size - images] / (size - images))
    return Rate(share, low, high, size)

"""Which images a sample has, and what it says of all of them.

A sample is stratified: so many images from each stratum (a subset of a host group) as its share of
the population comes to, and at least one. Which ones follows from the seed and their ids alone,
through a hash, so a list that is split, sorted or read anew gives the same sample.

A share is estimated as the sum of the strata's shares, each weighted with its part of the
population. Its interval is Wilson's score interval (E. B. Wilson, 1927, J. Am. Stat. Assoc. 22,
209-212) with an effective sample size in place of the number of images (L. Kish, 1965, Survey
Sampling, section 11.7), which is 1 / sum(W² / n) over the strata, W a stratum's part of the
population and n the images settled in it. With proportional strata that is their number; where
small strata are overrepresented it is less. What strata that differ, and a sample that is a large
part of the population, gain in precision is left out, so the interval covers the truth at least as
often as it says. A census has no interval: both of its ends are the share itself.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final, NamedTuple

Z: Final = 1.959963984540054
"""The 97.5 % quantile of the normal distribution: intervals of 95 %."""
_LARGEST_COUNT: Final = 10**12


@dataclass(frozen=True, slots=True)
class SampleSize:
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
    told = [(s.listed, sum(s.found.values()), s) for s in strata]
    told = [(listed, n, s) for listed, n, s in told if n]
    population = sum(listed for listed, _, _ in told)
    if not population:
        return None
    share = spread = 0.0
    for listed, n, stratum in told:
        weight = listed / population
        share += weight * sum(stratum.found.get(state, 0) for state in states) / n
        spread += weight * weight / n
    share = min(1.0, share)  # not a rounding error more
    size = sum(n for _, n, _ in told)
    if size == sum(s.listed for s in strata):
        return Rate(share, share, share, size)
    return Rate(share, *wilson(share, 1 / spread), size)

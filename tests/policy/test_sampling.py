"""Samples are of the right size, drawn by seed and id alone; their intervals cover the truth."""

from __future__ import annotations

import math
import random
from collections import Counter
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fetcher.policy.sampling import (
    SampleSize,
    StratumCount,
    allocate,
    code_rate,
    draw,
    parse_size,
    rate,
    wilson,
)

STRATA = st.lists(st.integers(1, 10**7), min_size=1, max_size=40)


@given(listed=STRATA, part=st.floats(0, 1))
def test_a_sample_has_its_size_and_something_of_every_stratum(
    listed: list[int], part: float
) -> None:
    total = int(part * sum(listed))
    asked = allocate(listed, total)
    if asked is None:
        assert total < len(listed)
        return
    assert sum(asked) == total
    assert all(1 <= n <= of for n, of in zip(asked, listed, strict=True))


@given(listed=STRATA, part=st.floats(0.001, 1))
def test_strata_that_are_large_enough_have_their_share(listed: list[int], part: float) -> None:
    """Off by less than one image, unless the least ones take theirs from the others."""
    population = sum(listed)
    total = int(part * population)
    asked = allocate(listed, total)
    if asked is None or min(listed) * total < population:
        return
    for n, of in zip(asked, listed, strict=True):
        assert abs(n - total * of / population) < 1


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("1000", SampleSize(count=1000)),
        (" 7 ", SampleSize(count=7)),
        ("1%", SampleSize(share=0.01)),
        ("0.5%", SampleSize(share=0.005)),
        ("100%", SampleSize(share=1.0)),
    ],
)
def test_sizes(text: str, size: SampleSize) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "0", "-1", "1.5", "0%", "101%", "-1%", "nan%", "x", "1/10"])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  its text is told by the command
        parse_size(text)


@pytest.mark.parametrize(
    ("size", "population", "n"),
    [
        (SampleSize(count=10), 4, 4),
        (SampleSize(share=0.1), 3_000, 300),
        (SampleSize(share=0.01), 9_178_275, 91_783),
        (SampleSize(share=0.29), 100, 29),
        (SampleSize(share=0.01), 5, 1),
    ],
)
def test_how_many_that_is(size: SampleSize, population: int, n: int) -> None:
    assert size.of(population) == n


def test_lots_are_of_the_seed_and_the_id_alone() -> None:
    assert draw(1, "a") == draw(1, "a")
    assert len({draw(seed, name) for seed in (1, 2) for name in "ab"}) == 4
    lots = [draw(3, f"{n:016x}") for n in range(20_000)]
    assert all(0 <= lot < 2**63 for lot in lots)
    halves = Counter(lot >> 62 for lot in lots)
    assert abs(halves[0] - 10_000) < 5 * math.sqrt(5_000)


@pytest.mark.parametrize(
    ("share", "n", "low", "high"),
    [
        # R, prop.test(x, n, correct = FALSE), to four places.
        (0.5, 10, 0.2366, 0.7634),
        (0.0, 10, 0.0, 0.2775),
        (0.1, 100, 0.0552, 0.1744),
    ],
)
def test_intervals_of_the_books(share: float, n: int, low: float, high: float) -> None:
    assert wilson(share, n) == pytest.approx((low, high), abs=5e-5)


def test_one_stratum_is_wilson_and_a_census_is_exact() -> None:
    found = rate([StratumCount(10_000, {"gone": 10, "alive": 90})], frozenset({"gone"}))
    assert found is not None
    assert (found.low, found.high) == pytest.approx(wilson(0.1, 100))
    whole = rate([StratumCount(100, {"gone": 10, "alive": 90})], frozenset({"gone"}))
    assert whole is not None
    assert whole.low == whole.share == whole.high == 0.1
    assert rate([StratumCount(100, {})], frozenset({"gone"})) is None


def test_strata_count_with_their_weight() -> None:
    strata = [
        StratumCount(900, {"gone": 0, "alive": 10}, {"robots": 3}),
        StratumCount(100, {"gone": 10}, {"http-404": 10}),
    ]
    found = rate(strata, frozenset({"gone"}))
    assert found is not None
    assert found == code_rate(strata, "http-404")
    assert found.share == pytest.approx(0.1)
    effective = 1 / (0.9**2 / 10 + 0.1**2 / 10)
    assert (found.low, found.high) == pytest.approx(wilson(0.1, effective))


def coverage(population: int, so: int, n: int) -> float:
    """How often a sample of ``n`` has an interval that has the true share, to the last digit."""
    ways = math.comb(population, n)
    covered = 0
    for found in range(max(0, n - (population - so)), min(so, n) + 1):
        told = rate([StratumCount(population, {"so": found, "no": n - found})], frozenset({"so"}))
        assert told is not None
        if told.low <= so / population <= told.high:
            covered += math.comb(so, found) * math.comb(population - so, n - found)
    return covered / ways


@pytest.mark.parametrize("n", [30, 100, 300, 1_500])
@pytest.mark.parametrize("so", [*range(1, 25), 45, 60, 75, 120, 200, 270, 420, 900, 1_500])
def test_every_share_is_covered_however_rare_it_is_and_so_is_what_it_leaves(
    n: int, so: int
) -> None:
    """By exact summation over the hypergeometric distribution. Without what is done for few images
    an image of a kind in 3,000 was covered by 90 % of the intervals of 300.
    """
    assert coverage(3_000, so, n) >= 0.925
    assert coverage(3_000, 3_000 - so, n) >= 0.925


def test_one_to_three_images_reach_down_to_the_poisson_limit() -> None:
    """Of 300, as chi square tables have it: 0.103, 0.711 and 1.635, by 2 and by 300."""
    for images, table in {1: 0.103, 2: 0.711, 3: 1.635}.items():
        found = rate(
            [StratumCount(9_000, {"gone": images, "alive": 300 - images})], frozenset({"gone"})
        )
        assert found is not None
        assert found.low == pytest.approx(table / 600, rel=5e-3)
        assert found.high == wilson(images / 300, 300)[1]


SEEDS: Final = 300


def test_a_tenth_covers_the_truth() -> None:
    """3,000 rows in three subsets and 16 hosts of unequal size, with the rot of the little web: of
    each kind, at least 93 % of the seeds' intervals have the true share in them.
    """
    chance = random.Random(11)
    shares = {"placeholder": 9, "404": 4, "410": 1, "403": 1, "size": 2, "html": 0.5}
    rot = [kind for kind, share in shares.items() for _ in range(round(30 * share))]
    fates = rot + ["present"] * (3_000 - len(rot))
    chance.shuffle(fates)
    hosts = chance.choices(range(16), weights=[2.0 ** (n % 8) for n in range(16)], k=3_000)
    strata: dict[tuple[int, int], list[tuple[str, str]]] = {}
    for n, (fate, host) in enumerate(zip(fates, hosts, strict=True)):
        strata.setdefault((n // 1_000, host), []).append((f"{n:016x}", fate))
    asked = allocate([len(members) for members in strata.values()], 300)
    assert asked is not None
    covered = Counter[str]()
    for seed in range(SEEDS):
        counts = []
        for members, n in zip(strata.values(), asked, strict=True):
            lots = sorted((draw(seed, name), fate) for name, fate in members)
            counts.append(StratumCount(len(members), Counter(fate for _, fate in lots[:n])))
        for kind in (*shares, "present"):
            found = rate(counts, frozenset({kind}))
            assert found is not None
            covered[kind] += found.low <= fates.count(kind) / 3_000 <= found.high
    assert {kind: n for kind, n in covered.items() if n < 0.93 * SEEDS} == {}
    assert len(covered) == 7

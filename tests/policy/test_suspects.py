"""A culprit is found with few deaths, and nobody else: neither for having been near, nor because
kills strike at random.
"""

from __future__ import annotations

import random
import signal
from collections import Counter, deque

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fetcher.policy.cell import Cell
from fetcher.policy.suspects import APART, CRASHES, FEW, GUILT, Suspects, crashed

MANY = 120
KILLED, SEGFAULT = -signal.SIGKILL, -signal.SIGSEGV
ALONE = {KILLED: 6, -signal.SIGTERM: 6, SEGFAULT: 2, -signal.SIGABRT: 2, 1: 2, 0: 2}
"""Deaths alone that make a culprit, by how a worker ended."""


@given(
    st.dictionaries(st.integers(0, MANY - 1), st.sampled_from(sorted(ALONE)), max_size=5),
    st.sets(st.integers(0, MANY - 1), max_size=40),
    st.integers(0, 2**32),
    st.sampled_from((0.0, 0.1, 0.3)),
)
def test_exactly_the_culprits_are_found_and_soon(
    culprits: dict[int, int], there: set[int], seed: int, kills: float
) -> None:
    """``there``: what the first worker has; then workers have what they may. Besides, each worker
    is killed with a chance of ``kills``, but none ``GUILT`` times over one image alone.
    """
    chance = random.Random(seed)
    suspects, found = Suspects(), set[int | None]()
    line = deque(range(MANY))

    def next_company() -> list[int]:
        cell, company = Cell(suspects), list[int]()
        for asset_id in line:
            cell.queue(asset_id)
        while (entered := cell.admit(len(company))) is not None:
            company.append(entered)
        return company

    alone, together, struck = Counter[int](), Counter[int](), Counter[int]()
    company = sorted(there | culprits.keys()) or [0]
    while company:
        for asset_id in company:
            line.remove(asset_id)
        killers = [asset_id for asset_id in company if asset_id in culprits]
        one = company[0] if len(company) == 1 else None
        stray = chance.random() < kills and (one is None or struck[one] < GUILT - 1)
        if killers or stray:
            code = culprits[killers[0]] if killers else KILLED
            (together if one is None else alone).update(company)
            struck.update([] if killers else company)
            culprit = suspects.died(company, code)
            found |= {culprit} - {None}
            line.extendleft(asset_id for asset_id in company if asset_id != culprit)
        else:
            for asset_id in company:
                suspects.cleared(asset_id)
                struck.pop(asset_id, None)
        company = next_company()
    assert found == culprits.keys()
    assert suspects.deaths == {}
    for culprit, code in culprits.items():
        assert alone[culprit] <= ALONE[code]
        if not struck[culprit]:
            assert alone[culprit] == ALONE[code]
        # What strikes at random may strike what is together, and then it is apart.
        assert together[culprit] <= APART


@pytest.mark.parametrize(("code", "deaths"), ALONE.items())
def test_a_crash_speaks_louder_than_a_kill(code: int, deaths: int) -> None:
    suspects = Suspects()
    for _ in range(deaths - 1):
        assert suspects.died([7], code) is None
    assert suspects.died([7], code) == 7


def test_kills_at_random_find_nobody_guilty() -> None:
    """At a rate far above any real one: every third worker that has but one image is killed."""
    chance, guilty, images = random.Random(7), 0, 20_000
    for n in range(images):
        suspects, guilt = Suspects(), None
        while guilt is None and chance.random() < 1 / 3:
            guilt = suspects.died([n], KILLED)
        guilty += guilt is not None
    assert guilty <= images // 300


def test_company_gets_smaller() -> None:
    suspects = Suspects()
    assert suspects.died(range(100), KILLED) is None
    assert suspects.company(7) == FEW
    assert suspects.died([7, 8], KILLED) is None
    assert suspects.company(7) == suspects.company(8) == 1
    suspects.cleared(8)
    assert suspects.company(8) == FEW
    assert suspects.died([7], SEGFAULT) is None
    assert suspects.evidence(7) > suspects.evidence(8) == 0
    assert suspects.died([7], SEGFAULT) == 7
    assert (suspects.company(7), suspects.evidence(7)) == (FEW, 0)


def test_who_was_not_alone_is_not_found_however_often() -> None:
    suspects = Suspects()
    for _ in range(10):
        assert suspects.died([7, 8], SEGFAULT) is None
    assert suspects.evidence(7) == 0


def test_a_worker_that_had_nothing_tells_nothing() -> None:
    suspects = Suspects()
    assert suspects.died([], SEGFAULT) is None
    assert suspects.deaths == {}


def test_who_comes_through_begins_anew() -> None:
    suspects = Suspects()
    suspects.died([7], SEGFAULT)
    suspects.cleared(7)
    assert suspects.died([7], SEGFAULT) is None


@pytest.mark.parametrize(
    ("exit_code", "own"),
    [
        (None, False),
        (0, True),
        (1, True),
        (139, True),
        (-signal.SIGTERM, False),
        (-signal.SIGKILL, False),
        (-signal.SIGHUP, False),
        *((-number, True) for number in CRASHES),
    ],
)
def test_what_a_crash_is(exit_code: int | None, own: bool) -> None:  # noqa: FBT001
    assert crashed(exit_code) is own

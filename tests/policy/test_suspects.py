"""A culprit is found with few deaths, and nobody else for having been near."""

from __future__ import annotations

from collections import Counter, deque

from hypothesis import given
from hypothesis import strategies as st

from fetcher.policy.suspects import DEATHS, FEW, Suspects

MANY = 120


@given(
    st.sets(st.integers(0, MANY - 1), max_size=5),
    st.sets(st.integers(0, MANY - 1), max_size=40),
    st.integers(0, 3),
)
def test_exactly_the_culprits_are_found(culprits: set[int], there: set[int], strays: int) -> None:
    """``there``: what the first worker has; then workers have what they may. ``strays``: workers
    that are killed besides, the first ones.
    """
    suspects, found = Suspects(), set[int]()
    line = deque(range(MANY))
    deaths = Counter[int]()
    company = sorted(there | culprits) or [0]
    while True:
        for asset_id in company:
            line.remove(asset_id)
        stray = strays > 0 and len(company) > 1
        strays -= stray
        if stray or culprits.intersection(company):
            deaths.update(company)
            culprit = suspects.died(company)
            if culprit is not None:
                found.add(culprit)
            line.extend(asset_id for asset_id in company if asset_id != culprit)
        else:
            for asset_id in company:
                suspects.cleared(asset_id)
        if not line:
            break
        # As a cell is filled: from the line's beginning, as far as each allows.
        company = []
        for asset_id in line:
            if len(company) >= min(map(suspects.company, [*company, asset_id])):
                break
            company.append(asset_id)
    assert found == culprits
    assert suspects.deaths == {}
    assert all(deaths[culprit] >= DEATHS for culprit in culprits)


def test_company_gets_smaller() -> None:
    suspects = Suspects()
    assert suspects.died(range(100)) is None
    assert suspects.company(7) == FEW
    assert suspects.died([7, 8]) is None
    assert suspects.company(7) == suspects.company(8) == 1
    suspects.cleared(8)
    assert suspects.company(8) == FEW
    assert suspects.died([7]) == 7
    assert suspects.company(7) == FEW


def test_who_was_not_alone_is_not_found_however_often() -> None:
    suspects = Suspects()
    for _ in range(10):
        assert suspects.died([7, 8]) is None
    assert suspects.died([7]) == 7


def test_who_comes_through_begins_anew() -> None:
    suspects = Suspects()
    suspects.died([7])
    suspects.died([7])
    suspects.cleared(7)
    assert suspects.died([7]) is None

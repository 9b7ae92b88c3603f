"""Photo numbers and the years that they are dated to."""

from __future__ import annotations

from datetime import date
from itertools import pairwise

import pytest

from fetcher.policy.uploads import LATER, MILESTONES, STEP, boundaries


def year_of(number: int) -> str:
    return next((year for below, year in boundaries() if number < below), LATER)


def test_boundaries_rise_and_no_year_is_missing() -> None:
    numbers = [below for below, _ in boundaries()]
    assert numbers == sorted(set(numbers))
    assert all(number % STEP == 0 for number in numbers)
    assert [int(year) for _, year in boundaries()] == list(range(2004, 2011))


@pytest.mark.parametrize(("number", "day"), MILESTONES[:-1])
def test_a_milestone_is_of_its_own_year(number: int, day: date) -> None:
    assert year_of(number) == str(day.year)


def test_nothing_is_guessed_beyond_the_last() -> None:
    last, _ = MILESTONES[-1]
    assert year_of(last - 1) == "2010"
    assert year_of(last) == LATER == "after 2010-09-18"


def test_a_year_begins_where_its_share_of_the_way_is_gone() -> None:
    """2,000 million on 13 November 2007, 2,500 million 186 days later; 49 days to the new year."""
    (new_year,) = [below for below, year in boundaries() if year == "2007"]
    assert new_year == 2_000_000_000 + round(500 * 49 / 186) * 1_000_000
    days = [day for _, day in MILESTONES]
    assert all(a < b for a, b in pairwise(days))

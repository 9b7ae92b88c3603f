"""A run gives up when workers only die, and not over one image, nor when others come through."""

from __future__ import annotations

import pytest

from fetcher.policy.deaths import GIVE_UP, Deaths


def after(deaths: list[list[int]], *, explained: bool = False) -> Deaths:
    counted = Deaths()
    for held in deaths:
        counted.died(held, explained=explained)
    return counted


@pytest.mark.parametrize("held", [[], [1, 2], [1, 2, 3]])
def test_workers_that_die_with_several_or_none(held: list[int]) -> None:
    assert not after([held] * (GIVE_UP - 1)).too_many
    assert after([held] * GIVE_UP).too_many


def test_errands_that_workers_die_over_alone_count_once_each() -> None:
    assert not after([[n % (GIVE_UP - 1)] for n in range(9 * GIVE_UP)]).too_many
    assert after([[n] for n in range(GIVE_UP)]).too_many


def test_workers_that_cannot_be_started_count_with_those_that_died() -> None:
    counted = after([[1, 2]])
    for _ in range(GIVE_UP - 2):
        counted.not_started()
    assert not counted.too_many
    counted.not_started()
    assert counted.too_many


def test_a_culprit_explains_the_deaths_of_whoever_had_more() -> None:
    counted = after([[1, 2]] * (GIVE_UP - 1))
    counted.died([1], explained=True)
    counted.died([3, 4], explained=False)
    assert not counted.too_many


def test_with_what_ends_all_is_forgotten() -> None:
    counted = after([[n] for n in range(GIVE_UP)] + [[]] * GIVE_UP)
    counted.forget()
    assert not counted.too_many
    for held in ([1], []):
        counted.died(held, explained=False)
        assert not counted.too_many


def test_whether_there_were_any_is_known_without_a_call() -> None:
    some = [Deaths().some, after([[]]).some, after([[1]], explained=True).some]
    counted = after([[1]])
    counted.forget()
    assert [*some, counted.some] == [False, True, True, False]

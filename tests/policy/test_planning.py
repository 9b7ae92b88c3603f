"""From counts to time and room: sums that are done by hand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fetcher.model import HostBudget, RowTally
from fetcher.policy import planning
from fetcher.policy.limits import HEADROOM
from fetcher.policy.planning import Amount, Kind, Survey

BUDGETS = {
    "one.test": HostBudget(rate=5.0, burst=5, concurrency=4),
    "two.test": HostBudget(rate=None, burst=1, concurrency=1, bandwidth=1_000.0),
    "free.test": HostBudget(rate=None, burst=1, concurrency=1),
}


def survey() -> Survey:
    return Survey(
        rows=RowTally(18, 16, 1, 1),
        amounts={
            Kind("train", "a.one.test", None): Amount(10, 100_000, 0),
            Kind("test", "b.one.test", None): Amount(2, 10_000, 1),
            Kind("train", "a.two.test", None): Amount(1, 30_000, 0),
            Kind("train", "free.test", None): Amount(2, 500, 1),
            Kind("train", "", "bad-url"): Amount(1, 5_000, 0),
        },
        rounded=150_000,
        text=200.0,
    )


def group_of(host: str) -> str:
    return ".".join(host.split(".")[-2:])


def test_groups_add_up_their_hosts_and_take_what_their_limits_say() -> None:
    plans = planning.by_group(survey(), group_of, BUDGETS.__getitem__)
    assert [(plan.name, plan.hosts, plan.requests, plan.bytes) for plan in plans] == [
        ("two.test", 1, 1, 30_000),
        ("one.test", 2, 12, 110_000),
        ("free.test", 1, 2, 500),
    ]
    assert [plan.seconds for plan in plans] == [30.0, pytest.approx(12 / 5 * (1 + HEADROOM)), None]


def test_what_is_never_asked_for_is_in_its_subset_and_in_no_host() -> None:
    subsets = planning.by_subset(survey())
    assert {name: amount.images for name, amount in subsets.items()} == {"train": 14, "test": 2}
    assert planning.invalid(survey()) == {"bad-url": 1}
    assert "" not in planning.by_host(survey())


def test_the_disk_takes_whole_blocks_and_the_mean_of_what_is_not_known() -> None:
    need = planning.need(survey())
    assert (need.files, need.guessed) == (15, 2)
    assert need.images == 150_000 + round(2 * 150_000 / 13)
    assert need.bytes == need.images + need.manifest + need.folders


def test_nothing_is_known_of_no_rows() -> None:
    empty = Survey()
    assert planning.need(empty).bytes == 0
    assert planning.quantiles(empty) == {}
    assert planning.by_group(empty, group_of, BUDGETS.__getitem__) == []


def test_nothing_is_known_of_images_without_sizes() -> None:
    unsized = Survey(
        rows=RowTally(2, 2, 0, 0), amounts={Kind("", "a.two.test", None): Amount(2, 0, 2)}
    )
    need = planning.need(unsized)
    assert (need.files, need.images, need.bytes, need.guessed) == (2, None, None, 0)
    (plan,) = planning.by_group(unsized, group_of, BUDGETS.__getitem__)
    assert (plan.bytes, plan.seconds) == (None, None)


@given(st.integers(1, 2**53))
def test_a_bin_is_as_narrow_as_it_says(size: int) -> None:
    lower = planning.bin_of(size)
    assert lower <= size
    assert abs(planning._middle(lower) - size) <= max(0.002 * size, 0)
    assert planning.bin_of(lower) == lower


@given(st.sampled_from(planning.SIZE_CLASSES), st.integers(-3, 3))
def test_a_class_ends_where_a_bin_ends(bound: int, off: int) -> None:
    assert (planning.bin_of(bound + off) >= bound) == (off >= 0)

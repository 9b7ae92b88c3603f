"""Which hosts share a budget."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fetcher.model import HostBudget
from fetcher.policy.hosts import GroupRule, HostGroups

DEFAULT = HostBudget(rate=5.0, burst=5, concurrency=4)
FLICKR = HostBudget(rate=20.0, burst=10, concurrency=16)
FARM = HostBudget(rate=1.0, burst=1, concurrency=1)


def last_two_labels(host: str) -> str | None:
    labels = host.split(".")
    return ".".join(labels[-2:]) if len(labels) > 1 else None


def groups(*rules: GroupRule) -> HostGroups:
    return HostGroups(DEFAULT, rules, registrable_domain=last_two_labels)


CONFIGURED = groups(
    GroupRule("farm", ("farm1.staticflickr.com", "farm2.staticflickr.com"), FARM),
    GroupRule("flickr", ("*.staticflickr.com", "192.0.2.*", "2001:db8::*"), FLICKR),
)


@pytest.mark.parametrize(
    ("host", "group"),
    [
        ("c1.staticflickr.com", "flickr"),
        ("c8.staticflickr.com", "flickr"),
        ("farm1.staticflickr.com", "farm"),
        ("farm3.staticflickr.com", "flickr"),
        ("staticflickr.com", "staticflickr.com"),
        ("evilstaticflickr.com", "evilstaticflickr.com"),
        ("images.a.example", "a.example"),
        ("a.example", "a.example"),
        ("localhost", "localhost"),
        ("192.0.2.7", "flickr"),
        ("198.51.100.7", "198.51.100.7"),
        ("2001:db8::7", "flickr"),
        ("2001:db9::7", "2001:db9::7"),
    ],
)
def test_groups(host: str, group: str) -> None:
    assert CONFIGURED.group_of(host) == group


@pytest.mark.parametrize(
    ("group", "budget"),
    [("farm", FARM), ("flickr", FLICKR), ("a.example", DEFAULT), ("", DEFAULT)],
)
def test_budgets(group: str, budget: HostBudget) -> None:
    assert CONFIGURED.budget(group) == budget


def test_without_rules_the_shards_of_a_service_are_one_group() -> None:
    hosts = [f"{shard}{n}.staticflickr.com" for shard in ("c", "farm") for n in range(1, 9)]
    assert {groups().group_of(host) for host in hosts} == {"staticflickr.com"}


def test_an_address_is_a_group_of_its_own_whatever_the_domain_list_says() -> None:
    assert groups().group_of("198.51.100.7") != groups().group_of("198.51.100.8")
    asked: list[str] = []
    HostGroups(DEFAULT, registrable_domain=asked.append).group_of("192.0.2.1")
    assert asked == []


@given(st.text(min_size=1))
def test_every_host_has_a_group_with_a_budget(host: str) -> None:
    group = CONFIGURED.group_of(host)
    assert group
    assert CONFIGURED.group_of(host) == group
    assert CONFIGURED.budget(group) in (DEFAULT, FLICKR, FARM)

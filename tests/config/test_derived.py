"""What the other parts are given is made of the configuration as its keys say."""

from __future__ import annotations

import pytest

from fetcher import __version__
from fetcher.config import (
    DEFAULTS,
    host_groups,
    load,
    redirect_rule,
    registrable_domain,
    retry_rule,
    user_agent,
)
from fetcher.model import HostBudget


@pytest.mark.parametrize(
    ("sets", "agent"),
    [
        ([], f"fetcher/{__version__}"),
        (["fetch.contact=me@example.org"], f"fetcher/{__version__} (+me@example.org)"),
        (
            ["fetch.contact=https://example.org/bot"],
            f"fetcher/{__version__} (+https://example.org/bot)",
        ),
        (["fetch.user_agent=mine/2"], "mine/2"),
        (
            ["fetch.user_agent=mine/2 (by {contact}; x) fetcher/{version}"],
            f"mine/2 fetcher/{__version__}",
        ),
        (["fetch.user_agent=mine/2 {contact}", "fetch.contact=a@b.org"], "mine/2 a@b.org"),
    ],
)
def test_user_agent(sets: list[str], agent: str) -> None:
    assert user_agent(load(sets=sets).config) == agent


def test_hosts_map_to_the_first_group_that_matches_else_to_their_registrable_domain() -> None:
    sets = [
        "hosts.groups.farm.match=farm*.StaticFlickr.com",
        "hosts.groups.flickr.match=['*.staticflickr.com', '2001:DB8::1']",
        "hosts.groups.flickr.rate=unlimited",
        "hosts.groups.flickr.bandwidth=1KB/s",
    ]
    groups = host_groups(load(sets=sets).config)
    assert groups.group_of("farm1.staticflickr.com") == "farm"
    assert groups.group_of("c1.staticflickr.com") == "flickr"
    assert groups.group_of("2001:db8::1") == "flickr"
    assert groups.group_of("images.example.co.uk") == "example.co.uk"
    assert groups.budget("flickr") == HostBudget(None, 5, 4, 1000, adapt=True)
    assert groups.budget("example.co.uk") == HostBudget(5.0, 5, 4, None, adapt=True)


@pytest.mark.parametrize(
    ("host", "domain"),
    [
        ("c1.staticflickr.com", "staticflickr.com"),
        ("a.b.example.co.uk", "example.co.uk"),
        ("someone.github.io", "someone.github.io"),
        ("images.intranet", "images.intranet"),
        ("localhost", None),
        ("co.uk", None),
    ],
)
def test_registrable_domain(host: str, domain: str | None) -> None:
    assert registrable_domain(host) == domain


@pytest.mark.parametrize(
    ("target", "code"),
    [
        ("https://s.yimg.com/pw/images/en-us/photo_unavailable.png", "placeholder"),
        ("https://s.yimg.com/pw/images/en-us/photo_unavailable_l.png", "placeholder"),
        ("http://l.yimg.com/g/images/photo_unavailable.gif", "placeholder"),
        ("https://live.staticflickr.com/1/2_o.jpg", None),
        ("http://live.staticflickr.com/1/2_o.jpg", "insecure-redirect"),
    ],
)
def test_redirects_to_flickrs_placeholders_are_known(target: str, code: str | None) -> None:
    assert redirect_rule(DEFAULTS).judge("https://c1.staticflickr.com/x.jpg", target, 0) == code


def test_retry_rule() -> None:
    rule = retry_rule(load(sets=["retry.attempts=2", "retry.first_delay=100ms"]).config)
    assert (rule.attempts, rule.first_delay, rule.max_delay, rule.max_retry_after) == (
        2,
        0.1,
        300.0,
        3600.0,
    )

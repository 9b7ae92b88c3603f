"""Who is asked, as whom, and what is one origin."""

from __future__ import annotations

import pytest

from fetcher.policy.consent import ConsentRule, Origin, origin_of, product_token


@pytest.mark.parametrize(
    ("agent", "token"),
    [
        ("fetcher/1.2 (+https://example.org)", "fetcher"),
        ("fetcher", "fetcher"),
        ("mine-two/2 fetcher/1", "mine-two"),
        ("mine (x)", "mine"),
        ("(odd)", ""),
    ],
)
def test_we_are_named_by_the_first_product(agent: str, token: str) -> None:
    assert product_token(agent) == token


@pytest.mark.parametrize(
    ("url", "origin", "host"),
    [
        ("https://example.org/a/b", "https://example.org", "example.org"),
        ("https://example.org", "https://example.org", "example.org"),
        ("HTTPS://Example.ORG:443/a", "https://example.org", "example.org"),
        ("http://example.org/a", "http://example.org", "example.org"),
        ("http://example.org:8080/a", "http://example.org:8080", "example.org"),
        ("https://example.org:80/", "https://example.org:80", "example.org"),
        ("http://me:secret@example.org/a", "http://example.org", "example.org"),
        ("http://example.org./a", "http://example.org", "example.org"),
        ("http://example.org?a/b", "http://example.org", "example.org"),
        ("http://example.org#a/b", "http://example.org", "example.org"),
        ("http://bücher.example/a", "http://xn--bcher-kva.example", "xn--bcher-kva.example"),
        ("http://[2001:DB8::1]:81/a", "http://[2001:db8::1]:81", "2001:db8::1"),
    ],
)
def test_an_origin_is_scheme_host_and_port(url: str, origin: str, host: str) -> None:
    assert origin_of(url) == Origin(origin, host)


@pytest.mark.parametrize("url", ["", "http:///a", "ftp://example.org/a", "no url", "http://[x]/"])
def test_what_cannot_be_asked_for_has_none(url: str) -> None:
    assert origin_of(url) is None


def test_who_is_exempt_is_not_asked() -> None:
    rule = ConsentRule("fetcher", exempt=("*.mine.example", "2001:db8::1"))
    assert not rule.robots_of("a.mine.example")
    assert not rule.robots_of("2001:db8::1")
    assert rule.robots_of("mine.example")
    assert not rule.tag_of("https://a.mine.example/1")
    assert rule.tag_of("https://example.org/a.mine.example")


@pytest.mark.parametrize("on", [True, False])
def test_each_can_be_turned_off(on: bool) -> None:  # noqa: FBT001
    assert ConsentRule("fetcher", robots=on).robots_of("example.org") is on
    assert ConsentRule("fetcher", robots=on).tag_of("http://example.org/")
    assert ConsentRule("fetcher", robots_tag=on).tag_of("http://example.org/") is on
    assert ConsentRule("fetcher", robots_tag=on).robots_of("example.org")

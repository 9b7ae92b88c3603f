"""Law 9 on every hop: a redirect is followed only where a listed URL would be."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fetcher.policy import urls
from fetcher.policy.codes import CODES
from fetcher.policy.redirects import MAX_HOPS, RedirectRule, resolve

LISTED = "https://c1.photos.example/1/a.jpg"
RULE = RedirectRule(placeholders=("https://*.img.example/*/photo_unavailable*", "http://x/?.png"))


@pytest.mark.parametrize(
    ("url", "target", "code"),
    [
        (LISTED, "https://c2.photos.example/1/a.jpg", None),
        (LISTED, "https://cdn.example/a b.jpg", "bad-url"),
        (LISTED, "https://s.img.example/pw/images/photo_unavailable.png", "placeholder"),
        (LISTED, "https://s.img.example/pw/images/photo_unavailable_l.png", "placeholder"),
        (LISTED, "https://s.img.example/pw/images/photo.png", None),
        (LISTED, "http://x/1.png", "placeholder"),
        (LISTED, "http://cdn.example/a.jpg", "insecure-redirect"),
        (LISTED, "HTTP://cdn.example/a.jpg", "insecure-redirect"),
        ("HTTPS://c1.photos.example/1/a.jpg", "http://cdn.example/a.jpg", "insecure-redirect"),
        ("http://c1.photos.example/", "http://cdn.example/a.jpg", None),
        ("http://c1.photos.example/", "https://cdn.example/a.jpg", None),
        (LISTED, "ftp://cdn.example/a.jpg", "bad-scheme"),
        (LISTED, "file:///etc/passwd", "bad-scheme"),
        (LISTED, "data:image/png;base64,AAAA", "bad-scheme"),
        (LISTED, "javascript:alert(1)", "bad-scheme"),
        (LISTED, "https://", "bad-url"),
        (LISTED, "https:///a.jpg", "bad-url"),
        (LISTED, "https://[::1/a.jpg", "bad-url"),
        (LISTED, "", "bad-url"),
    ],
)
def test_table(url: str, target: str, code: str | None) -> None:
    assert RULE.judge(url, target, 0) == code


@pytest.mark.parametrize("hops", range(MAX_HOPS + 3))
def test_five_redirects_are_followed_and_no_more(hops: int) -> None:
    code = None if hops < 5 else "too-many-redirects"
    assert RULE.judge(LISTED, "https://cdn.example/a.jpg", hops) == code


def test_a_placeholder_at_the_last_hop_still_says_that_the_image_is_gone() -> None:
    assert RULE.judge(LISTED, "https://s.img.example/a/photo_unavailable.png", 5) == "placeholder"


def test_a_downgrade_can_be_allowed() -> None:
    rule = RedirectRule(allow_downgrade=True)
    assert rule.judge(LISTED, "http://cdn.example/a.jpg", 0) is None
    assert rule.judge(LISTED, "ftp://cdn.example/a.jpg", 0) == "bad-scheme"


@pytest.mark.parametrize(
    ("location", "target"),
    [
        ("https://cdn.example/b.jpg", "https://cdn.example/b.jpg"),
        ("  https://cdn.example/b.jpg ", "https://cdn.example/b.jpg"),
        ("//cdn.example/b.jpg", "https://cdn.example/b.jpg"),
        ("/b.jpg", "https://c1.photos.example/b.jpg"),
        ("b.jpg", "https://c1.photos.example/1/b.jpg"),
        ("../b.jpg", "https://c1.photos.example/b.jpg"),
        ("../../../b.jpg", "https://c1.photos.example/b.jpg"),
        ("?size=l", "https://c1.photos.example/1/a.jpg?size=l"),
        ("", "https://c1.photos.example/1/a.jpg"),
        ("/a b.jpg", "https://c1.photos.example/a%20b.jpg"),
        ("/caf\udce9.jpg", "https://c1.photos.example/caf%E9.jpg"),
        ("/café.jpg", "https://c1.photos.example/café.jpg"),
        ("https://bücher.example/b.jpg", "https://bücher.example/b.jpg"),
        ("http://[::1", "http://[::1"),
        ("https:///b.jpg", "https:///b.jpg"),
        ("https:b.jpg", "https:b.jpg"),
    ],
)
def test_resolve(location: str, target: str) -> None:
    assert resolve(LISTED, location) == target


@pytest.mark.parametrize("location", ["/b.jpg", "b.jpg", "?q", "", "//c1.photos.example/b.jpg"])
def test_credentials_are_not_handed_on(location: str) -> None:
    target = resolve("https://user:secret@c1.photos.example/1/a.jpg", location)
    assert target.startswith("https://c1.photos.example/")


# As aiohttp decodes headers: UTF-8, with what is not in it as lone surrogates.
HEADERS = st.binary().map(lambda value: value.decode(errors="surrogateescape"))


@given(
    st.sampled_from([LISTED, "http://u:p@a.example/x?y#z", "https://[2001:db8::1]:8443/"]),
    st.one_of(HEADERS, st.text(), st.from_regex(r"(?:https?:)?/{0,3}[\[\]a-z0-9:@.\\]*[ /?#].*")),
    st.integers(0, MAX_HOPS + 1),
)
def test_any_location_is_judged_and_what_passes_can_be_sent_and_written_down(
    url: str, location: str, hops: int
) -> None:
    target = resolve(url, location)
    target.encode()
    code = RULE.judge(url, target, hops)
    if code is not None:
        assert code in CODES
        return
    judged = urls.judge(target)
    assert isinstance(judged, urls.Target)
    assert hops < MAX_HOPS
    assert not (url.startswith("https:") and judged.scheme == "http")

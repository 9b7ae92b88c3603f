"""Which URLs are fetchable, and that credentials are not shown."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fetcher.policy.urls import Target, drop_credentials, judge, redact_credentials, redact_within

LONGEST_LABEL = "a" * 63


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://farm1.staticflickr.com/5/a_o.jpg", ("https", "farm1.staticflickr.com", 443)),
        ("http://a.example/x", ("http", "a.example", 80)),
        ("http://a.example", ("http", "a.example", 80)),
        ("HTTP://A.EXAMPLE/X", ("http", "a.example", 80)),
        ("http://a.example:8080/x", ("http", "a.example", 8080)),
        ("http://a.example:/x", ("http", "a.example", 80)),
        ("http://a.example:1/", ("http", "a.example", 1)),
        ("http://a.example:65535/", ("http", "a.example", 65535)),
        ("http://a.example./x", ("http", "a.example", 80)),
        ("http://user:secret@a.example/x", ("http", "a.example", 80)),
        ("http://u@evil.example@a.example/x", ("http", "a.example", 80)),
        ("http://a.example?x", ("http", "a.example", 80)),
        ("http://a.example/ü/照片.jpg?q=é#ñ", ("http", "a.example", 80)),
        ("http://a.example/a\\b|c", ("http", "a.example", 80)),
        ("http://a_b.example/", ("http", "a_b.example", 80)),
        ("http://localhost/", ("http", "localhost", 80)),
        (f"http://{LONGEST_LABEL}.example/", ("http", f"{LONGEST_LABEL}.example", 80)),
        # One host, one spelling.
        ("http://Bücher.example/", ("http", "xn--bcher-kva.example", 80)),
        ("http://xn--bcher-kva.EXAMPLE/", ("http", "xn--bcher-kva.example", 80)),
        ("http://a。example/", ("http", "a.example", 80)),
        # By IDNA 2008 where IDNA 2003 would make another host of it, and by that what is left.
        ("http://straße.example/", ("http", "xn--strae-oqa.example", 80)),
        ("http://☃.example/", ("http", "xn--n3h.example", 80)),
        ("http://127。0。0。1/", ("http", "127.0.0.1", 80)),
        ("http://127.0.0.1/", ("http", "127.0.0.1", 80)),
        ("http://2130706433/", ("http", "2130706433", 80)),
        ("http://[::1]/", ("http", "::1", 80)),
        ("http://[2001:DB8:0:0::1]:8080/", ("http", "2001:db8::1", 8080)),
    ],
)
def test_what_can_be_fetched(url: str, expected: tuple[str, str, int]) -> None:
    assert judge(url) == Target(*expected)


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("", "bad-url"),
        ("a.jpg", "bad-url"),
        ("/a.jpg", "bad-url"),
        ("//a.example/x", "bad-url"),
        ("http:", "bad-url"),
        ("http:/x", "bad-url"),
        ("http://", "bad-url"),
        ("http:///x", "bad-url"),
        ("http://?x", "bad-url"),
        ("http://:80/", "bad-url"),
        ("http://user:secret@/x", "bad-url"),
        ("http://./", "bad-url"),
        ("http://../", "bad-url"),
        ("http://.a.example/", "bad-url"),
        ("http://a..example/", "bad-url"),
        ("http://a.example../", "bad-url"),
        (f"http://{LONGEST_LABEL}a.example/", "bad-url"),
        ("http://" + "a." * 127 + "a/", "bad-url"),
        ("http://a.example:0/", "bad-url"),
        ("http://a.example:65536/", "bad-url"),
        ("http://a.example:-1/", "bad-url"),
        ("http://a.example:+80/", "bad-url"),
        ("http://a.example:abc/", "bad-url"),
        ("http://a.example:80:80/", "bad-url"),
        ("http://a.example:٨٠/", "bad-url"),
        ("http://[::1", "bad-url"),
        ("http://::1]/", "bad-url"),
        ("http://[::1]a.example/", "bad-url"),
        ("http://[a.example]/", "bad-url"),
        ("http://[v1.a]/", "bad-url"),
        ("http://[fe80::1%25eth0]/", "bad-url"),
        ("http://a.example\\b.example/", "bad-url"),
        ("http://a%2eexample/", "bad-url"),
        ("http://a|b.example/", "bad-url"),
        ("http://a*b.example/", "bad-url"),
        ("http://a.example℀/", "bad-url"),
        ("http://\ud800.example/", "bad-url"),
        (" http://a.example/", "bad-url"),
        ("http://a.example/ ", "bad-url"),
        ("http://a.example/a b", "bad-url"),
        ("http://a .example/", "bad-url"),
        ("http://a.example/a\tb", "bad-url"),
        ("http://a.exa\nmple/", "bad-url"),
        ("http://a.example/\r\nHost: b", "bad-url"),
        ("http://a.example/\x00", "bad-url"),
        ("http://a.example/\x7f", "bad-url"),
        ("file:///etc/passwd", "bad-scheme"),
        ("file://a.example/x", "bad-scheme"),
        ("ftp://a.example/x", "bad-scheme"),
        ("data:image/png;base64,AAAA", "bad-scheme"),
        ("mailto:someone@a.example", "bad-scheme"),
        ("javascript:alert(1)", "bad-scheme"),
        ("gopher://a.example/", "bad-scheme"),
        ("https+x://a.example/", "bad-scheme"),
        ("a.example:80/x", "bad-scheme"),
    ],
)
def test_what_cannot(url: str, code: str) -> None:
    assert judge(url) == code


URL_LIKE = st.from_regex(r"(?:https?:)?/{0,3}[\[\]a-z0-9:@.%\\é。]*(?:[/?#].*)?", fullmatch=True)


@given(st.one_of(st.text(), URL_LIKE))
def test_any_text_is_judged(url: str) -> None:
    judged = judge(url)
    if isinstance(judged, str):
        assert judged in {"bad-url", "bad-scheme"}
    else:
        assert judged.scheme in {"http", "https"}
        assert judged.host.isascii()
        assert judged.host == judged.host.lower()
        assert 0 < judged.port < 65536


@given(URL_LIKE)
def test_a_target_is_its_own_target(url: str) -> None:
    judged = judge(url)
    if isinstance(judged, Target):
        host = f"[{judged.host}]" if ":" in judged.host else judged.host
        assert judge(f"{judged.scheme}://{host}:{judged.port}/") == judged


@pytest.mark.parametrize(
    ("url", "dropped", "redacted"),
    [
        ("http://u:p@a.example/x", "http://a.example/x", "http://***@a.example/x"),
        ("http://u@a.example:8080", "http://a.example:8080", "http://***@a.example:8080"),
        ("http://u:p@q@a.example/", "http://a.example/", "http://***@a.example/"),
        ("http://@a.example/", "http://a.example/", "http://***@a.example/"),
        ("//u:p@a.example/", "//a.example/", "//***@a.example/"),
        ("http://u:p@[::1", "http://[::1", "http://***@[::1"),
        ("http://u:[@a.example/", "http://a.example/", "http://***@a.example/"),
        (" ht\ttp:/\n/u:p@a.example/", " ht\ttp:/\n/a.example/", " ht\ttp:/\n/***@a.example/"),
        ("http:u:p@a.example/", "http:a.example/", "http:***@a.example/"),
        ("http://u:p@a.example/@2x?m=a@b#@", "http://a.example/@2x?m=a@b#@", None),
        ("http://a.example/a@2x.jpg", "http://a.example/a@2x.jpg", "http://a.example/a@2x.jpg"),
        ("http://a.example?m=a@b", "http://a.example?m=a@b", "http://a.example?m=a@b"),
        ("http://a.example#@", "http://a.example#@", "http://a.example#@"),
        ("http://a.example/?", "http://a.example/?", "http://a.example/?"),
        ("", "", ""),
    ],
)
def test_credentials(url: str, dropped: str, redacted: str | None) -> None:
    assert drop_credentials(url) == dropped
    shown = redacted if redacted is not None else "http://***@a.example/@2x?m=a@b#@"
    assert redact_credentials(url) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("mirror a.csv --rate 5", "mirror a.csv --rate 5"),
        ("--set network.proxy=http://me:x@p:1", "--set network.proxy=http://***@p:1"),
        (
            "--set network={proxy: 'http://m e:x@y@p:1/'}",
            "--set network={proxy: 'http://***@p:1/'}",
        ),
        ("--contact me@example.org", "--contact me@example.org"),
        ("--contact http://h.example/@me", "--contact http://h.example/@me"),
        ("http://a:b@c/ https://d:e@f", "http://***@c/ https://***@f"),
    ],
)
def test_credentials_within_a_text(text: str, shown: str) -> None:
    assert redact_within(text) == shown


SECRETS = st.text(st.characters(exclude_characters="/?#", exclude_categories=["Cs"]), min_size=1)


@given(
    st.sampled_from(["http://", "https://", "HTTP://", "ftp://", "//", "http:", " http://"]),
    SECRETS,
    SECRETS,
    st.sampled_from(["a.example", "[::1]", "[::1", "a.example:x", ""]),
    st.sampled_from(["", "/", "/x@y", "?m=a@b", "#@"]),
)
def test_credentials_never_leak(
    scheme: str, user: str, password: str, host: str, rest: str
) -> None:
    url = f"{scheme}«{user}:{password}»@{host}{rest}"
    for shown in (drop_credentials(url), redact_credentials(url)):
        assert "«" not in shown
        assert "»" not in shown
        assert shown.endswith(host + rest)


@given(st.one_of(st.text(), URL_LIKE))
@example("http://@@a.example/@")
def test_nothing_is_left_that_would_be_sent_as_credentials(url: str) -> None:
    """Of what is asked for, which "@//@" is not."""
    if isinstance(judge(url), Target):
        assert urlsplit(drop_credentials(url)).username is None


@given(st.text().filter(lambda url: "@" not in url))
def test_a_url_without_credentials_stays_as_it_is(url: str) -> None:
    assert drop_credentials(url) == redact_credentials(url) == url


@pytest.mark.parametrize(
    "url", ["http:" + "\t" * (1 << 20) + "?@", " " * (1 << 20) + "#@", "/" * (1 << 20) + "?@"]
)
def test_spaces_without_end_do_not_take_for_ever(url: str) -> None:
    """A redirect, or a list, may have them; in quadratic time, this would not end."""
    assert drop_credentials(url) == redact_credentials(url) == url

"""Judging an origin once is judging every URL."""

from __future__ import annotations

from hypothesis import example, given, settings
from hypothesis import strategies as st

from fetcher.manifest.origins import Standing, standing
from fetcher.manifest.states import PENDING, STATE_IDS
from fetcher.model import State
from fetcher.policy.urls import judge

SCHEMES = ["http", "https", "HTTP", "ftp", "data", ":", "/", "//"]
HOSTS = ["a.test", "A.Test.", "bücher.test", "xn--", "..", ".", "[", "]", "::1", "x" * 400]
REST = ["\\", "?", "#", "@", ":80", ":0", ":99999", ":x", "%2f", "é", "\u200b", "\u2100", "\ud800"]
BLANKS = [" ", "\t", "\n", "\0", "\x7f", "\x85", "\xa0"]
PIECES = st.sampled_from([*SCHEMES, *HOSTS, *REST, *BLANKS])


@settings(max_examples=500)
@given(
    st.lists(PIECES, max_size=9).map("".join)
    | st.lists(PIECES, max_size=6).map(lambda parts: "https://a.test/" + "".join(parts))
)
@example("https://a.test")
@example("http:///x")
@example("https:/a/b")
@example("https://h?x/y")
def test_an_origin_says_what_the_url_says(url: str) -> None:
    target = judge(url)
    if isinstance(target, str):
        expected = Standing(STATE_IDS[State.INVALID], target, "")
    else:
        expected = Standing(PENDING, None, target.host)
    for _ in range(2):  # the second time it is remembered
        assert standing(url) == expected

"""X-Robots-Tag: which headers ask not to take the bytes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fetcher.policy.robotstag import REFUSALS, refusal


@pytest.mark.parametrize(
    ("values", "refusing"),
    [
        ([], None),
        ([""], None),
        (["all"], None),
        (["index, follow"], None),
        (["nofollow, nosnippet, notranslate"], None),
        # Each of them, alone and among others.
        (["noai"], 0),
        (["noimageai"], 0),
        (["noindex"], 0),
        (["noimageindex"], 0),
        (["none"], 0),
        (["NoAI"], 0),
        (["nofollow, noindex"], 0),
        (["nofollow,noai,nosnippet"], 0),
        (["nofollow; noai"], 0),
        (["nofollow noai"], 0),
        ([" \t noai \t"], 0),
        # As nobody should write it, but clear.
        (['"noai"'], 0),
        (["'noai, noimageai'"], 0),
        (["noai:"], 0),
        (["nofollow, noindex: true"], 0),
        (["robots: noindex"], 0),
        (["otherbot: noindex, robots: nofollow"], None),
        (["otherbot: nofollow, noai: true"], None),
        # A word that only begins or ends so is another one.
        (["noairline"], None),
        (["noindexing, x-noindex"], None),
        # Several headers.
        (["nofollow", "noai"], 1),
        (["nofollow", "nosnippet"], None),
        # For somebody else, for us, for all.
        (["otherbot: noindex"], None),
        (["otherbot: noindex, noai"], None),
        (["otherbot: noindex", "noai"], 1),
        (["otherbot: nofollow", "otherbot: noindex"], None),
        (["fetcher: noindex"], 0),
        (["Fetcher: nofollow, noindex"], 0),
        (["fetcher/1.0: noindex"], 0),
        (["fetcher:noindex"], 0),
        (["fetch: noindex"], None),
        (["fetcher-two: noindex"], None),
        (["*: noindex"], 0),
        (["otherbot: nofollow, fetcher: noindex"], 0),
        (["fetcher: nofollow, otherbot: noindex"], None),
        (["noindex, otherbot: nofollow"], 0),
        # Directives with values of their own, which are no names.
        (["unavailable_after: 25 Jun 2030 15:00:00 PST"], None),
        (["unavailable_after: 25 Jun 2030 15:00:00 PST, noindex"], 0),
        (["unavailable_after: Tue, 25 Jun 2030 15:00:00 GMT, noindex"], 0),
        (["unavailable_after: 2030-06-25T15:00:00Z, noindex"], 0),
        (["unavailable_after: 1 Jan 2001 00:00:00 GMT"], None),
        (["max-snippet: 10, noindex"], 0),
        (["max-image-preview: none, max-video-preview: -1"], None),
        (["otherbot: unavailable_after: 25 Jun 2030 15:00:00 PST, noindex"], None),
        (["otherbot: max-snippet: 10, noai"], None),
    ],
)
def test_which_header_refuses(values: list[str], refusing: int | None) -> None:
    assert refusal(values, "fetcher") == (values[refusing] if refusing is not None else None)


WORDS = st.sampled_from(["noindex", "noai", "nofollow", "all", "max-snippet: 3", "nosnippet"])


@given(st.lists(WORDS, min_size=1, max_size=6))
def test_a_refusal_to_all_is_heard_wherever_it_stands(words: list[str]) -> None:
    heard = refusal([", ".join(words)], "fetcher") is not None
    assert heard == bool(REFUSALS.intersection(words))


@given(st.lists(WORDS, min_size=1, max_size=6))
def test_what_is_said_to_another_is_not_said_to_us(words: list[str]) -> None:
    value = f"otherbot: {', '.join(words)}"
    assert refusal([value], "fetcher") is None
    assert (refusal([value], "OtherBot") is not None) == bool(REFUSALS.intersection(words))


@given(st.lists(st.text(max_size=40)), st.text(max_size=8))
def test_any_header_is_read(values: list[str], token: str) -> None:
    assert refusal(values, token) in [None, *values]

"""What an audit believes: one table, and the laws behind it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fetcher.model import Expectation, Found, Keep, Method, State
from fetcher.policy import auditing

LISTED = Expectation(100, "1B2M2Y8AsgTpgAmY7PhCfg==")
UNLISTED = Expectation()
ALIVE = (State.ALIVE, None)
PAGE = (State.MISMATCHED, "not-an-image")
OTHER = (State.MISMATCHED, "size-mismatch")


def found(method: Method, size: int | None, kind: str | None, *, coded: bool = False) -> Found:
    return Found(method, 200, size, kind, "http://a.test/1", coded)


@pytest.mark.parametrize(
    ("expected", "seen", "verdict"),
    [
        (LISTED, found(Method.HEAD, 100, "image/jpeg"), ALIVE),
        (UNLISTED, found(Method.HEAD, None, "image/jpeg"), ALIVE),
        (LISTED, found(Method.HEAD, 99, "image/jpeg"), None),
        (LISTED, found(Method.HEAD, None, "image/jpeg"), None),
        (LISTED, found(Method.HEAD, 100, "text/html"), None),
        (LISTED, found(Method.HEAD, 100, None), None),
        (LISTED, found(Method.HEAD, 100, "image/svg+xml"), None),
        (LISTED, found(Method.HEAD, 100, "image/jpeg", coded=True), None),
        (LISTED, found(Method.PROBE, 100, "image/png"), ALIVE),
        (LISTED, found(Method.PROBE, 99, "image/png"), OTHER),
        (LISTED, found(Method.PROBE, 99, "text/html"), PAGE),
        (LISTED, found(Method.PROBE, 99, None), PAGE),
        (LISTED, found(Method.PROBE, None, "image/png"), None),
        (LISTED, found(Method.PROBE, 100, "text/html"), None),
        (Expectation(100), found(Method.PROBE, 100, "text/html"), PAGE),
        (LISTED, found(Method.PROBE, 100, "image/png", coded=True), None),
        (UNLISTED, found(Method.PROBE, None, "image/png"), ALIVE),
        (UNLISTED, found(Method.PROBE, None, "text/html"), PAGE),
    ],
)
def test_verdicts(
    expected: Expectation, seen: Found, verdict: tuple[State, str | None] | None
) -> None:
    judged = auditing.judge(expected, seen)
    assert (judged and (judged.state, judged.code)) == verdict


@given(
    size=st.none() | st.integers(0, 200),
    listed=st.none() | st.integers(0, 200),
    kind=st.sampled_from([None, "image/jpeg", "text/html", "image/svg+xml"]),
    method=st.sampled_from([Method.HEAD, Method.PROBE]),
    coded=st.booleans(),
)
def test_a_head_accuses_nobody_and_alive_is_as_listed(
    size: int | None,
    listed: int | None,
    kind: str | None,
    method: Method,
    coded: bool,  # noqa: FBT001
) -> None:
    verdict = auditing.judge(Expectation(listed), found(method, size, kind, coded=coded))
    if verdict is None:
        return
    assert verdict.keep is Keep.DISCARD
    assert not coded
    if verdict.state is State.ALIVE:
        assert listed is None or size == listed
    else:
        assert method is Method.PROBE


def test_the_ladder_ends_and_its_top_refuses_nothing() -> None:
    method, rungs = Method.HEAD, 0
    while method in auditing.NEXT:
        method, rungs = auditing.NEXT[method], rungs + 1
    assert (method, rungs) == (Method.GET, 2)
    assert not any(auditing.refuses(method, status) for status in (None, *range(100, 600)))


@pytest.mark.parametrize("status", [None, 200, 301, 401, 404, 410, 429, 451, 500, 503])
def test_what_says_nothing_of_the_method(status: int | None) -> None:
    assert not auditing.refuses(Method.HEAD, status)
    assert not auditing.refuses(Method.PROBE, status)

"""Backoff stays within its bounds; Retry-After is read in all forms, and never trips."""

from __future__ import annotations

import math
import time
from datetime import UTC, datetime
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fetcher.policy.retry import RetryRule, parse_retry_after

WALL = datetime(1994, 11, 6, 8, 49, 0, tzinfo=UTC).timestamp()
RULE = RetryRule(attempts=5, first_delay=1.0, max_delay=300.0, max_retry_after=3600.0)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0.0),
        ("2", 2.0),
        ("120", 120.0),
        (" 7 ", 7.0),
        ("007", 7.0),
        ("0000000000000000005", 5.0),
        ("9" * 12, 999_999_999_999.0),
        ("9" * 20, 1e12),
        ("9" * 5_000, 1e12),
        # RFC 9110 section 5.6.7: IMF-fixdate, RFC 850, asctime
        ("Sun, 06 Nov 1994 08:49:37 GMT", 37.0),
        ("Sunday, 06-Nov-94 08:49:37 GMT", 37.0),
        ("Sun Nov  6 08:49:37 1994", 37.0),
        ("Sun, 06 Nov 1994 08:48:37 GMT", 0.0),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0.0),
        ("", None),
        (" ", None),
        ("-1", None),
        ("+1", None),
        ("1.5", None),
        ("1e3", None),
        ("0x10", None),
        ("soon", None),
        ("NaN", None),
        ("inf", None),
        ("²", None),
        ("٣", None),
        ("2, 3", None),
        ("Sun, 06 Nov 1994", None),
        ("Sun, 99 Nov 1994 08:49:37 GMT", None),
        ("Sun, 06 Nov 1994 25:49:37 GMT", None),
        ("Sun, 06 Nov 99999 08:49:37 GMT", None),
        ("Sun, 06 Nov 1994 08:49:37 +9999999999", None),
    ],
)
def test_retry_after(value: str, seconds: float | None) -> None:
    assert parse_retry_after(value, WALL) == seconds


def test_a_date_without_a_zone_is_gmt_wherever_this_machine_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "XYZ-9")
        time.tzset()
        assert parse_retry_after("Sun Nov  6 08:49:37 1994", WALL) == 37.0
    time.tzset()


PIECES = """
    Sun, Sun Sunday, 06 Nov 1994 06-Nov-94 08:49:37 GMT +0100 -9999 +99999999999 , : - -- 0
    99999999999999 8:4 é ٣
"""
DATE_LIKE = st.lists(st.sampled_from(PIECES.split()), max_size=8).map(" ".join)


@given(st.one_of(st.text(), DATE_LIKE, st.from_regex(r"[ ,:+\-0-9A-Za-z]*")), st.floats(0, 4e9))
def test_any_text_gives_seconds_or_nothing(value: str, wall: float) -> None:
    seconds = parse_retry_after(value, wall)
    assert seconds is None or 0 <= seconds < math.inf


@given(st.integers(0, 10**9))
def test_delay_seconds_are_taken_at_their_word(seconds: int) -> None:
    assert parse_retry_after(str(seconds), WALL) == seconds


@given(
    st.datetimes(datetime(1971, 1, 1), datetime(2900, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
    st.integers(-(10**6), 10**6),
)
def test_a_date_is_the_time_until_then(date: datetime, ahead: int) -> None:
    date = date.replace(microsecond=0)
    wall = date.timestamp() - ahead
    assert parse_retry_after(format_datetime(date, usegmt=True), wall) == max(0, ahead)


@given(
    st.integers(1, 10_000),
    st.floats(0, 1, exclude_max=True),
    st.floats(0.001, 1e6),
    st.floats(0.001, 1e6),
)
def test_backoff_is_within_its_bounds(
    failures: int, chance: float, first: float, longest: float
) -> None:
    delay = RetryRule(5, first, longest, 60.0).delay(failures, chance)
    assert 0 <= delay <= longest
    assert delay <= first * 2.0 ** min(failures - 1, 1_000)


@pytest.mark.parametrize(
    ("failures", "bound"), [(1, 1.0), (2, 2.0), (3, 4.0), (9, 256.0), (10, 300.0), (5_000, 300.0)]
)
def test_the_bound_doubles_up_to_the_longest(failures: int, bound: float) -> None:
    assert RULE.delay(failures, 1.0) == bound
    assert RULE.delay(failures, 0.5) == bound / 2
    assert RULE.delay(failures, 0.0) == 0.0

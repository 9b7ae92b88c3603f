"""Content-Range is read exactly, or not at all; what continues a body continues it to its end."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fetcher.model import Partial, Validators
from fetcher.policy.ranges import (
    ContentRange,
    continues,
    is_whole,
    parse_content_range,
    request_headers,
)

COUNTS = st.integers(0, 2**63)


def partial(size: int, validators: Validators = Validators()) -> Partial:  # noqa: B008  frozen
    return Partial(Path("spool"), size, validators)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("bytes 0-0/1", ContentRange(0, 0, 1)),
        ("bytes 5-9/10", ContentRange(5, 9, 10)),
        ("bytes 5-9/*", ContentRange(5, 9, None)),
        ("BYTES 5-9/10", ContentRange(5, 9, 10)),
        ("  bytes 5-9/10\t", ContentRange(5, 9, 10)),
        ("bytes\t 5-9/10", ContentRange(5, 9, 10)),
        ("bytes 9-5/10", None),
        ("bytes 5-10/10", None),
        ("bytes 5-9/0", None),
        ("bytes 5-/10", None),
        ("bytes -5/10", None),
        ("bytes */10", None),
        ("bytes=5-9/10", None),
        ("bytes 5 - 9 / 10", None),
        ("items 5-9/10", None),
        ("bytes 5-9/10, bytes 0-1/10", None),
        ("bytes 5-9", None),
        ("bytes \N{ARABIC-INDIC DIGIT FIVE}-9/10", None),
        ("bytes 5-9/" + "9" * 21, None),
        ("bytes 5-9/" + "9" * 10_000, None),
        ("", None),
    ],
)
def test_content_range(value: str, expected: ContentRange | None) -> None:
    assert parse_content_range(value) == expected


@given(st.one_of(st.text(), st.from_regex(r"\s*bytes\s+[\d*]*-?[\d*]*/[\d*]*\s*")))
def test_what_is_read_makes_sense_and_nothing_trips(value: str) -> None:
    read = parse_content_range(value)
    if read is not None:
        assert 0 <= read.first <= read.last
        assert read.total is None or read.last < read.total
    assert is_whole(partial(3), value) in (True, False)


@given(COUNTS, COUNTS, COUNTS)
def test_a_range_is_read_as_it_was_written(first: int, more: int, rest: int) -> None:
    last, total = first + more, first + more + rest + 1
    assert parse_content_range(f"bytes {first}-{last}/{total}") == ContentRange(first, last, total)
    assert parse_content_range(f"bytes {first}-{last}/*") == ContentRange(first, last, None)


@given(st.integers(1, 30), st.integers(0, 30), st.integers(0, 30), st.none() | st.integers(0, 40))
def test_only_the_very_rest_continues_a_body(
    size: int, first: int, last: int, total: int | None
) -> None:
    value = f"bytes {first}-{last}/{'*' if total is None else total}"
    rest = first == size and last >= first and (total is None or last + 1 == total)
    assert continues(partial(size), value) is rest


def test_no_content_range_continues_nothing() -> None:
    assert not continues(partial(5), None)
    assert not is_whole(partial(5), None)


@pytest.mark.parametrize(
    ("value", "whole"),
    [
        ("bytes */5", True),
        ("Bytes  */5", True),
        ("bytes */6", False),
        ("bytes */4", False),
        ("bytes */*", False),
        ("bytes */\N{ARABIC-INDIC DIGIT FIVE}", False),
        ("bytes 0-4/5", False),
        ("*/5", False),
        ("", False),
    ],
)
def test_a_416_tells_whether_all_of_it_is_here(value: str, whole: bool) -> None:  # noqa: FBT001
    assert is_whole(partial(5), value) is whole


@pytest.mark.parametrize(
    ("validators", "condition"),
    [
        (Validators(), None),
        (Validators(etag='"a"'), '"a"'),
        (Validators(etag='"a"', last_modified="Sun, 06 Nov 1994 08:49:37 GMT"), '"a"'),
        (Validators(etag='W/"a"'), None),
        (Validators(etag='W/"a"', last_modified="then"), "then"),
        (Validators(last_modified="then"), "then"),
        # As the header of a server that tags in Latin-1 is decoded.
        (Validators(etag='"\udce9"'), None),
    ],
)
def test_the_rest_is_asked_for_under_the_strongest_condition(
    validators: Validators, condition: str | None
) -> None:
    headers = {"Range": "bytes=5-"}
    if condition is not None:
        headers["If-Range"] = condition
    assert request_headers(partial(5, validators)) == headers

"""What each step says, read back from the bytes that it becomes."""

from __future__ import annotations

import gzip
import pickle
from dataclasses import replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fetcher.demo.images import picture
from fetcher.demo.steps import (
    EMPTY,
    GARBAGE,
    HANG_UP,
    PLACEHOLDER,
    RESET,
    SILENCE,
    Answer,
    Bytes,
    Chunked,
    Close,
    End,
    Flipped,
    Gzipped,
    HttpDate,
    Length,
    Picture,
    Ranges,
    Raw,
    Reset,
    Stall,
    Step,
    Trickle,
    UntilClose,
    Validators,
    html,
    redirect,
    status,
    throttled,
    xml,
)
from fetcher.demo.wire import LAST_MODIFIED, Delivery, deliver
from fetcher.policy.ranges import parse_content_range
from fetcher.policy.retry import parse_retry_after
from tests.demo.rawclient import Heard

WALL = 1_700_000_000.25
DIGITS = bytes(range(48, 58))
TEN = Bytes(DIGITS, "image/jpeg")
ETAG = f'"{TEN.tag()}"'


def delivery(step: Step, method: str = "GET", **headers: str) -> Delivery:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return deliver(step, method, named, WALL)


def hear(step: Step, method: str = "GET", **headers: str) -> Heard:
    said = delivery(step, method, **headers)
    return Heard(said.head + said.body, reset=False)


def dechunked(body: bytes) -> tuple[bytes, bool]:
    """The chunks' bytes, and whether the last chunk came (RFC 9112 section 7.1)."""
    data = b""
    while body:
        size, _, rest = body.partition(b"\r\n")
        length = int(size, 16)
        assert rest[length : length + 2] == b"\r\n"
        if length == 0:
            return data, True
        data, body = data + rest[:length], rest[length + 2 :]
    return data, False


# Whole answers.


def test_a_picture_is_answered_as_a_good_server_would() -> None:
    heard = hear(Answer(Picture(900, "k")))
    assert heard.status == 200
    assert heard.body == picture("k", 900)
    assert heard.headers == {
        "date": "Tue, 14 Nov 2023 22:13:20 GMT",
        "content-type": "image/jpeg",
        "content-length": "900",
        "accept-ranges": "bytes",
        "etag": f'"{Picture(900, "k").tag()}"',
        "last-modified": LAST_MODIFIED,
    }
    said = delivery(Answer(Picture(900, "k")))
    assert said.keep_alive
    assert said.end is None


@pytest.mark.parametrize("code", [400, 401, 403, 404, 410, 416, 418, 429, 451, 500, 502, 503, 599])
def test_status(code: int) -> None:
    heard = hear(status(code))
    assert heard.status == code
    assert heard.headers["content-length"] == str(len(heard.body)) != "0"
    assert "etag" not in heard.headers


@pytest.mark.parametrize("code", [204, 304])
def test_some_statuses_have_no_body(code: int) -> None:
    heard = hear(status(code))
    assert heard.body == b""
    assert "content-length" not in heard.headers


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
def test_redirect(code: int) -> None:
    heard = hear(redirect(PLACEHOLDER, code))
    assert (heard.status, heard.headers["location"]) == (code, PLACEHOLDER)


RETRY_AFTER: list[tuple[int | str | HttpDate | None, float | None]] = [
    (2, 2.0),
    (0, 0.0),
    (10**15, 1e12),
    (-5, None),
    ("soon", None),
    ("", None),
    (None, None),
    (HttpDate(30), 30.75),
    (HttpDate(-30), 0.0),
]


@pytest.mark.parametrize(("given", "seconds"), RETRY_AFTER)
@pytest.mark.parametrize("code", [429, 503])
def test_throttled(given: int | str | HttpDate | None, seconds: float | None, code: int) -> None:
    heard = hear(throttled(given, code))
    assert heard.status == code
    value = heard.headers.get("retry-after")
    assert (value is None) == (given is None)
    assert (parse_retry_after(value, WALL) if value is not None else None) == seconds


@given(st.floats(0, 1e6), st.floats(0, 4e9))
def test_a_date_is_never_earlier_than_asked_for(after: float, wall: float) -> None:
    head = deliver(throttled(HttpDate(after)), "GET", {}, wall).head
    date = parsedate_to_datetime(Heard(head, reset=False).headers["retry-after"])
    assert 0 <= date.timestamp() - (wall + after) < 1.001
    assert date.tzinfo == UTC == datetime.now(UTC).tzinfo


@pytest.mark.parametrize(
    ("step", "start", "type_"),
    [
        (html(), b"<!DOCTYPE html>", "image/jpeg"),
        (html("text/html"), b"<!DOCTYPE html>", "text/html"),
        (xml(), b"<?xml", "application/xml"),
        (Answer(type="image/jpeg"), b"", "image/jpeg"),
        (Answer(Picture(600), type="text/plain"), b"\xff\xd8", "text/plain"),
        (Answer(Picture(600, kind="png")), b"\x89PNG", "image/png"),
    ],
)
def test_what_is_declared_and_what_is_sent_are_independent(
    step: Answer, start: bytes, type_: str
) -> None:
    heard = hear(step)
    assert (heard.status, heard.headers["content-type"]) == (200, type_)
    assert heard.body.startswith(start)
    assert heard.headers["content-length"] == str(len(heard.body))


def test_headers_are_sent_as_they_are() -> None:
    long = "x" * 100_000
    step = Answer(headers=(("Set-Cookie", "a=1"), ("Set-Cookie", "b=2"), ("X-Long", long)))
    head = delivery(step).head.decode()
    assert "\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n" in head
    assert f"\r\nX-Long: {long}\r\n" in head


def test_head_is_get_without_the_body() -> None:
    for step in (Answer(TEN), Answer(TEN, framing=Chunked()), Answer(TEN, end=Reset(3))):
        assert hear(step, "HEAD").headers == hear(step).headers
        said = delivery(step, "HEAD")
        assert (said.body, said.end, said.keep_alive) == (b"", None, True)


# Bodies.


def test_flipped_is_one_byte_under_the_same_tag() -> None:
    flipped = Flipped(TEN, 4)
    assert [a ^ b for a, b in zip(flipped.data(), DIGITS, strict=True)] == [0] * 4 + [255] + [0] * 5
    assert (flipped.tag(), flipped.type(), flipped.encoding()) == (TEN.tag(), TEN.type(), None)


def test_gzipped_says_so() -> None:
    heard = hear(Answer(Gzipped(TEN)))
    assert heard.headers["content-encoding"] == "gzip"
    assert gzip.decompress(heard.body) == DIGITS
    assert heard.headers["etag"] != ETAG


# Framings and ends.

ENDS: list[End] = [kind(at) for kind in (Close, Reset, Stall) for at in (None, 0, 4, 10, 99)]


@pytest.mark.parametrize(
    ("off", "declared"), [(0, "10"), (5, "15"), (-5, "5"), (-10, "0"), (-11, "-1")]
)
def test_length_may_lie(off: int, declared: str) -> None:
    heard = hear(Answer(TEN, framing=Length(off)))
    assert (heard.headers["content-length"], heard.body) == (declared, DIGITS)
    assert delivery(Answer(TEN, framing=Length(off))).keep_alive == (off == 0)


@given(st.integers(1, 12))
def test_chunked(size: int) -> None:
    heard = hear(Answer(TEN, framing=Chunked(size)))
    assert heard.headers["transfer-encoding"] == "chunked"
    assert "content-length" not in heard.headers
    assert dechunked(heard.body) == (DIGITS, True)


def test_until_close_tells_no_length() -> None:
    step = Answer(TEN, framing=UntilClose())
    heard = hear(step)
    assert not {"content-length", "transfer-encoding"} & heard.headers.keys()
    assert (heard.headers["connection"], heard.body) == ("close", DIGITS)
    assert not delivery(step).keep_alive


@pytest.mark.parametrize("end", ENDS)
def test_an_end_cuts_the_body_and_nothing_else(end: End) -> None:
    cut = DIGITS if end.at is None else DIGITS[: end.at]
    for framing in (Length(), UntilClose()):
        step = Answer(TEN, framing=framing, end=end)
        assert hear(step).body == cut
        assert delivery(step).head == delivery(replace(step, end=None)).head
    chunked = Answer(TEN, framing=Chunked(3), end=end)
    assert dechunked(hear(chunked).body) == (cut, end.at is None)
    assert delivery(chunked).end == end
    assert not delivery(chunked).keep_alive


@pytest.mark.parametrize("step", [SILENCE, HANG_UP, RESET, GARBAGE, Raw(b"abc", Close(2))])
def test_raw_is_sent_as_it_is(step: Raw) -> None:
    expected = b"ab" if step.data == b"abc" else step.data
    assert delivery(step) == Delivery(expected, b"", step.end, keep_alive=False)


# Ranges.

PART = DIGITS[3:]
RANGES: list[tuple[Ranges, int, bytes, str | None]] = [
    (Ranges.HONOURED, 206, PART, "bytes 3-9/10"),
    (Ranges.IGNORED, 200, DIGITS, None),
    (Ranges.REFUSED, 416, b"", "bytes */10"),
    (Ranges.SHIFTED, 206, DIGITS, "bytes 0-9/10"),
    (Ranges.MISLABELLED, 206, DIGITS[:7], "bytes 3-9/10"),
    (Ranges.UNLABELLED, 206, PART, None),
    (Ranges.RESIZED, 206, PART, "bytes 3-9/11"),
    (Ranges.SHORT, 206, DIGITS[3:7], "bytes 3-6/10"),
]


def test_every_way_with_ranges_is_in_the_table() -> None:
    assert {row[0] for row in RANGES} == set(Ranges)


@pytest.mark.parametrize(("ranges", "code", "body", "label"), RANGES)
def test_ranges(ranges: Ranges, code: int, body: bytes, label: str | None) -> None:
    step = Answer(TEN, ranges=ranges)
    for if_range in ({}, {"if_range": ETAG}, {"if_range": LAST_MODIFIED}):
        heard = hear(step, range="bytes=3-", **if_range)
        assert (heard.status, heard.body) == (code, body)
        assert heard.headers.get("content-range") == label
        assert heard.headers["content-length"] == str(len(body))
        assert ("accept-ranges" in heard.headers) == (ranges is not Ranges.IGNORED)
    assert hear(step).body == DIGITS
    assert hear(step).status == 200


SPANS = [
    ("bytes=0-0", 206, b"0"),
    ("bytes=2-4", 206, b"234"),
    ("bytes=5-99", 206, b"56789"),
    ("bytes=-3", 206, b"789"),
    ("bytes=-99", 206, DIGITS),
    ("bytes=10-", 416, b""),
    ("bytes=-0", 416, b""),
    ("bytes=4-2", 200, DIGITS),
    ("bytes=0-1,3-4", 200, DIGITS),
    ("bytes=-", 200, DIGITS),
    (f"bytes={'9' * 5_000}-", 200, DIGITS),
    ("bytes=\N{ARABIC-INDIC DIGIT ONE}-", 200, DIGITS),
    ("lines=1-2", 200, DIGITS),
    ("nonsense", 200, DIGITS),
]


@pytest.mark.parametrize(("asked", "code", "body"), SPANS)
def test_spans(asked: str, code: int, body: bytes) -> None:
    heard = hear(Answer(TEN), range=asked)
    assert (heard.status, heard.body) == (code, body)
    if code == 206:
        label = parse_content_range(heard.headers["content-range"])
        assert label is not None
        assert DIGITS[label.first : label.last + 1] == body


@pytest.mark.parametrize("if_range", ['"other"', f"W/{ETAG}", "Wed, 02 Nov 2016 00:00:00 GMT"])
def test_other_validators_get_all_of_it(if_range: str) -> None:
    heard = hear(Answer(TEN), range="bytes=3-", if_range=if_range)
    assert (heard.status, heard.body) == (200, DIGITS)


@pytest.mark.parametrize(
    ("validators", "names"),
    [
        (Validators.ALL, {"etag", "last-modified"}),
        (Validators.WEAK, {"etag"}),
        (Validators.DATE, {"last-modified"}),
        (Validators.NONE, set[str]()),
    ],
)
def test_validators(validators: Validators, names: set[str]) -> None:
    headers = hear(Answer(TEN, validators=validators)).headers
    assert {"etag", "last-modified"} & headers.keys() == names
    assert headers.get("etag", "W/").startswith("W/") == (validators is not Validators.ALL)


def test_a_part_can_be_cut_too() -> None:
    heard = hear(Answer(TEN, end=Close(2)), range="bytes=3-")
    assert (heard.status, heard.headers["content-length"], heard.body) == (206, "7", b"34")


# As values.


@given(
    st.builds(
        Answer,
        st.sampled_from([EMPTY, TEN, Picture(700, "k"), Flipped(TEN, 1), Gzipped(TEN)]),
        st.sampled_from([200, 404]),
        framing=st.sampled_from([Length(), Length(3), Chunked(4), UntilClose()]),
        end=st.sampled_from([None, *ENDS]),
        ranges=st.sampled_from(Ranges),
        validators=st.sampled_from(Validators),
        pace=st.sampled_from([None, Trickle(3, 0.0)]),
    ),
    st.sampled_from(["GET", "HEAD"]),
    st.sampled_from([{}, {"range": "bytes=2-"}]),
)
def test_every_combination_is_a_value_that_can_be_said(
    step: Answer, method: str, headers: dict[str, str]
) -> None:
    assert pickle.loads(pickle.dumps(step)) == step  # noqa: S301  our own
    assert hash(step) == hash(replace(step))
    said = deliver(step, method, headers, WALL)
    assert said.head.endswith(b"\r\n\r\n")
    assert said == deliver(step, method, headers, WALL)

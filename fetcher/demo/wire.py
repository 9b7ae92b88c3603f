"""From a step and a request to what goes over the wire: bytes, pauses, and an end. Pure.

Heads are written out here rather than by a server's library, because a library refuses to say most
of what a script wants said.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus
from typing import Final

from fetcher.demo.steps import (
    Answer,
    Chunked,
    End,
    HttpDate,
    Length,
    Ranges,
    Raw,
    Step,
    Trickle,
    UntilClose,
    Validators,
)

LAST_MODIFIED: Final = "Tue, 01 Nov 2016 00:00:00 GMT"
"""When everything in the little web was last changed."""

_BODILESS: Final = frozenset({204, 304})
_RANGE: Final = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})")
_REASONS: Final = {status.value: status.phrase for status in HTTPStatus}


@dataclass(frozen=True, slots=True)
class Delivery:
    """What to send. ``head`` and ``body`` together are all the bytes, in this order."""

    head: bytes
    body: bytes
    """Framed, and cut where the step ends early."""
    end: End | None
    """``None`` if this is a whole answer."""
    keep_alive: bool
    """Whether another answer may follow on this connection."""
    pace: Trickle | None = None


@dataclass(frozen=True, slots=True)
class _Part:
    """What of a representation is sent: ``label`` is the Content-Range."""

    status: int
    data: bytes
    label: str | None = None


def deliver(step: Step, method: str, headers: Mapping[str, str], wall: float) -> Delivery:
    """``headers`` are the request's, with names in lower case; ``wall`` is epoch seconds."""
    if isinstance(step, Raw):
        cut = step.data if step.end.at is None else step.data[: step.end.at]
        return Delivery(cut, b"", step.end, keep_alive=False)
    part = _select(step, method, headers)
    honest = step.framing != UntilClose() and (
        not isinstance(step.framing, Length) or step.framing.off == 0
    )
    if method == "HEAD" or part.status in _BODILESS:
        # There is no body to cut, nor to count wrongly.
        head = _head(step, part, wall)
        return Delivery(head, b"", None, keep_alive=step.framing != UntilClose())
    return Delivery(
        _head(step, part, wall),
        _framed(step, part.data),
        step.end,
        keep_alive=honest and step.end is None,
        pace=step.pace,
    )


# Ranges.


def _select(answer: Answer, method: str, headers: Mapping[str, str]) -> _Part:
    data = answer.body.data()
    whole = _Part(answer.status, data)
    asked = headers.get("range")
    if asked is None or method != "GET" or answer.status != HTTPStatus.OK:
        return whole
    if answer.ranges is Ranges.IGNORED or not _same_bytes(answer, headers.get("if-range")):
        return whole
    span = _span(asked, len(data))
    if span is None:
        return whole
    first, last = span
    if answer.ranges is Ranges.REFUSED or first > last:
        return _Part(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, b"", f"bytes */{len(data)}")
    return _part(answer.ranges, data, first, last)


def _part(ranges: Ranges, data: bytes, first: int, last: int) -> _Part:
    total = len(data)
    asked = data[first : last + 1]
    match ranges:
        case Ranges.SHIFTED:
            return _partial(data, 0, total - 1, total)
        case Ranges.MISLABELLED:
            return _partial(data[: len(asked)], first, last, total)
        case Ranges.UNLABELLED:
            return _Part(HTTPStatus.PARTIAL_CONTENT, asked)
        case Ranges.RESIZED:
            return _partial(asked, first, last, total + 1)
        case Ranges.SHORT:
            half = math.ceil(len(asked) / 2)
            return _partial(asked[:half], first, first + half - 1, total)
        case _:
            return _partial(asked, first, last, total)


def _partial(data: bytes, first: int, last: int, total: int) -> _Part:
    return _Part(HTTPStatus.PARTIAL_CONTENT, data, f"bytes {first}-{last}/{total}")


def _span(asked: str, total: int) -> tuple[int, int] | None:
    """First and last position of a single byte range; first > last if it lies outside.

    ``None`` for what a server may ignore: other units, several ranges, nonsense (section 14.2).
    """
    match = _RANGE.fullmatch(asked.strip())
    if match is None:
        return None
    first, last = match.groups()
    if first:
        if last and int(last) < int(first):
            return None
        return int(first), min(int(last), total - 1) if last else total - 1
    return (max(0, total - int(last)), total - 1 if int(last) else -1) if last else None


def _same_bytes(answer: Answer, if_range: str | None) -> bool:
    """Section 13.1.5: a strong ETag, or the exact date."""
    if if_range is None:
        return True
    if if_range.startswith("W/"):
        return False
    return any(value == if_range for _, value in _validators(answer))


def _validators(answer: Answer) -> Iterator[tuple[str, str]]:
    if answer.validators is Validators.ALL:
        yield "ETag", f'"{answer.body.tag()}"'
    if answer.validators is Validators.WEAK:
        yield "ETag", f'W/"{answer.body.tag()}"'
    if answer.validators in (Validators.ALL, Validators.DATE):
        yield "Last-Modified", LAST_MODIFIED


# Heads and bodies.


def _head(answer: Answer, part: _Part, wall: float) -> bytes:
    reason = _REASONS.get(part.status, "Unnamed")
    lines = [f"HTTP/1.1 {part.status:d} {reason}", f"Date: {_date(int(wall))}"]
    lines += (f"{name}: {_value(value, wall)}" for name, value in answer.headers)
    lines += (f"{name}: {value}" for name, value in _described(answer, part))
    return "\r\n".join((*lines, "", "")).encode()


def _described(answer: Answer, part: _Part) -> Iterator[tuple[str, str]]:
    body = answer.body
    if answer.type is not None:
        yield "Content-Type", answer.type
    elif part.data:
        yield "Content-Type", body.type()
    if (encoding := body.encoding()) is not None:
        yield "Content-Encoding", encoding
    if answer.status == HTTPStatus.OK:
        yield from _validators(answer)
        if answer.ranges is not Ranges.IGNORED:
            yield "Accept-Ranges", "bytes"
    if part.label is not None:
        yield "Content-Range", part.label
    if part.status not in _BODILESS:
        yield from _framing(answer, part)


def _framing(answer: Answer, part: _Part) -> Iterator[tuple[str, str]]:
    match answer.framing:
        case Length(off):
            yield "Content-Length", str(len(part.data) + off)
        case Chunked():
            yield "Transfer-Encoding", "chunked"
        case UntilClose():
            yield "Connection", "close"


def _framed(answer: Answer, data: bytes) -> bytes:
    cut_at = answer.end.at if answer.end is not None else None
    sent = data if cut_at is None else data[:cut_at]
    if not isinstance(answer.framing, Chunked):
        return sent
    size = answer.framing.size
    chunks = (sent[start : start + size] for start in range(0, len(sent), size))
    framed = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks)
    return framed if cut_at is not None else framed + b"0\r\n\r\n"


def _value(value: str | HttpDate, wall: float) -> str:
    return value if isinstance(value, str) else _date(math.ceil(wall + value.after))


@lru_cache(maxsize=64)
def _date(seconds: int) -> str:
    """IMF-fixdate (RFC 9110 section 5.6.7)."""
    return formatdate(seconds, usegmt=True)

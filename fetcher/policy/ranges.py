"""Asking for the rest of a body, and reading what came back (RFC 9110 section 14)."""

from __future__ import annotations

import re
from typing import Final

from msgspec import Struct

from fetcher.model import Partial

# Twenty digits hold any 64-bit length; a longer number is hostile.
_UNSATISFIED: Final = re.compile(r"bytes[ \t]+\*/([0-9]{1,20})", re.IGNORECASE)
_CONTENT_RANGE: Final = re.compile(
    r"bytes[ \t]+([0-9]{1,20})-([0-9]{1,20})/(?:([0-9]{1,20})|\*)", re.IGNORECASE
)


class ContentRange(Struct, frozen=True):
    """``first`` and ``last`` are inclusive byte positions; ``total`` is ``None`` for ``*``."""

    first: int
    last: int
    total: int | None


def parse_content_range(value: str) -> ContentRange | None:
    """``None`` unless it is a satisfied byte range that makes sense (section 14.4)."""
    match = _CONTENT_RANGE.fullmatch(value.strip())
    if match is None:
        return None
    first, last = int(match[1]), int(match[2])
    total = int(match[3]) if match[3] is not None else None
    if last < first or (total is not None and last >= total):
        return None
    return ContentRange(first, last, total)


def request_headers(partial: Partial) -> dict[str, str]:
    """Headers that ask for what follows ``partial``, if it is still the same representation."""
    headers = {"Range": f"bytes={partial.size}-"}
    condition = partial.validators.if_range
    # A tag may have bytes above 0x7F (RFC 9110 section 8.8.3); not every client can repeat them.
    if condition is not None and condition.isascii():
        headers["If-Range"] = condition
    return headers


def continues(partial: Partial, value: str | None) -> bool:
    """Whether a 206 with this Content-Range goes on exactly where ``partial`` ends, to the end."""
    answered = parse_content_range(value) if value is not None else None
    return (
        answered is not None
        and answered.first == partial.size
        and (answered.total is None or answered.last == answered.total - 1)
    )


def is_whole(partial: Partial, value: str | None) -> bool:
    """Whether a 416 says that the representation ends where ``partial`` does (section 14.4)."""
    match = _UNSATISFIED.fullmatch(value.strip()) if value is not None else None
    return match is not None and int(match[1]) == partial.size

"""What the cells of a list mean: sizes, digests, ids. Pure.

A list that says nothing of a value (an empty cell, a size of 0) is a different thing from one that
says nonsense: the first is ``None``, the second is refused, so that nobody takes an image for
verified because its checksum could not be read.
"""

from __future__ import annotations

import re
from base64 import b64encode
from binascii import Error as Base64Error
from binascii import a2b_base64
from collections.abc import Iterable
from hashlib import blake2b
from typing import Final

from fetcher.policy.expectations import MD5, MOST_BYTES

REASONS: Final = {
    "wrong-column-count": "more or fewer columns than the header has",
    "oversized-field": "a cell of more than 1,048,576 characters",
    "missing-id": "the id is empty, or there is neither an id nor a URL",
    "bad-id": "not a decimal uint64, in a list whose ids are (first V1 release)",
    "unsafe-id": "the id cannot be a file name, or would leave DIR",
    "unsafe-subset": "the subset cannot be a folder's name, or would leave DIR",
    "bad-size": "the size is no number, negative, or beyond 2**53",
    "bad-md5": "the MD5 is neither base64 of 16 bytes nor 32 hex digits",
}
"""Why a record is a bad row; stable words."""


class RefusedError(Exception):
    """Why a record makes no row. Internal: it becomes a BadRow."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


_SIZE_DIGITS: Final = len(str(MOST_BYTES))

_INTEGER: Final = re.compile(r"([0-9]+)(?:\.0*)?", re.ASCII)
"""With the ``.0`` that pandas writes for a column of integers with a gap."""

_MAX_DIGITS: Final = 400
"""int() is quadratic in the length of what it is given."""

_HEX_MD5: Final = re.compile(r"[0-9A-Fa-f]{32}")
_MD5_BYTES: Final = 16

_UINT64: Final = 2**64
_UINT64_DIGITS: Final = 20
_HEX_DIGITS: Final = 16


def parse_size(text: str) -> int | None:
    """Bytes, or ``None`` for an empty cell and for 0, which both mean unknown."""
    if not text:
        return None
    if text.isdecimal() and text.isascii() and len(text) <= _SIZE_DIGITS:
        size = int(text)
        if size <= MOST_BYTES:
            return size or None
    return _parse_odd_size(text.strip())


def _parse_odd_size(text: str) -> int | None:
    if not text:
        return None
    match = _INTEGER.fullmatch(text)
    if match is None or len(text) > _MAX_DIGITS:
        raise RefusedError("bad-size", f"{text[:40]!r} is not a number of bytes")
    size = int(match[1])
    if size > MOST_BYTES:
        raise RefusedError("bad-size", f"{text[:40]} bytes is more than any image has")
    return size or None


def parse_md5(text: str) -> str | None:
    """Base64 of 16 bytes, or ``None`` for an empty cell.

    Lists of other origin carry 32 hex digits; these are converted. (They are base64 as well, but
    of 24 bytes, so nothing can be read in two ways.)
    """
    if MD5.fullmatch(text):  # other spellings of the same bytes are rewritten
        return text
    text = text.strip()
    if not text:
        return None
    if _HEX_MD5.fullmatch(text):
        return b64encode(bytes.fromhex(text)).decode("ascii")
    try:
        digest = a2b_base64(text, strict_mode=True)
    except (Base64Error, ValueError):
        raise RefusedError(
            "bad-md5", f"{text[:40]!r} is neither base64 nor 32 hex digits"
        ) from None
    if len(digest) != _MD5_BYTES:
        raise RefusedError(
            "bad-md5", f"{text[:40]!r} holds {len(digest)} bytes; an MD5 has {_MD5_BYTES}"
        )
    return b64encode(digest).decode("ascii")


def hex_id(text: str) -> str:
    """The 16 hex digits of an id that the first V1 release wrote as a decimal uint64."""
    if not (text.isascii() and text.isdecimal() and len(text) <= _UINT64_DIGITS):
        raise RefusedError(
            "bad-id", f"{text[:40]!r} is not a decimal number, as this list's other ids are"
        )
    number = int(text)
    if number >= _UINT64:
        raise RefusedError("bad-id", f"{text} does not fit into 64 bits")
    return f"{number:016x}"


def are_decimal(ids: Iterable[str]) -> bool:
    """Whether ids under the header of the first V1 releases are decimal; ``_v2`` has the same.

    A number of any other length than 16 digits speaks for decimal, anything but a number for hex,
    and 16 decimal digits for neither: they are rare in both (0.05 %). The majority of those that
    speak decides, so that no single odd id can; if nothing tells, ids stay as they are.
    """
    decimal = hexadecimal = 0
    for text in ids:
        if not (text.isascii() and text.isdecimal()):
            hexadecimal += 1
        elif len(text) != _HEX_DIGITS:
            decimal += 1
    return decimal > hexadecimal


def url_id(url: str) -> str:
    """The id of a row in a list without an id column: 16 hex digits of its URL's BLAKE2b.

    It depends on nothing but the URL, so the same list, grown or reordered, names the same images.
    """
    return blake2b(url.encode("utf-8", "surrogatepass")).hexdigest()[:_HEX_DIGITS]

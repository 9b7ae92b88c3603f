"""Targets: what servers say in headers, and what the first bytes of a body say."""

from __future__ import annotations

import re
from email.utils import formatdate
from math import isfinite
from pathlib import Path
from typing import Final

from fetcher.model import Partial, Validators
from fetcher.policy.ranges import continues, is_whole, parse_content_range, request_headers
from fetcher.policy.retry import parse_retry_after
from fetcher.policy.sniff import HEAD, extension, is_image, sniff, usual_extensions
from scripts.fuzzing.laws import PART, Choices, Target, header, require

_LONGEST_WAIT: Final = 1e12
_EXTENSION: Final = re.compile(r"[a-z0-9]{2,5}")
_LAST_YEAR: Final = 253_402_300_799
"""The last second of the year 9999, in seconds since the epoch."""


def _retry_after(data: bytes) -> None:
    choices = Choices(data)
    wall = float(choices.below(65_536) * choices.below(65_536))
    value = header(choices.rest())
    wait = parse_retry_after(value, wall)
    require(wait is None or (isfinite(wait) and 0 <= wait <= _LONGEST_WAIT), f"{wait} seconds")
    require(parse_retry_after(f" {value}\t", wall) == wait, "spaces around it matter")
    if re.fullmatch("[0-9]{1,9}", value, re.ASCII):
        require(wait == int(value), f"{value} was read as {wait}")
    if wait is not None and not value.strip().isdigit():
        later = parse_retry_after(value, wall + 1)
        require(later == max(0.0, wait - 1), "a second later it is not a second less")
        date = wall + wait
        if wait >= 1 and date <= _LAST_YEAR:
            again = parse_retry_after(formatdate(int(date), usegmt=True), wall)
            require(again == int(date) - wall, f"{value!r} written anew is another date")


def _content_range(data: bytes) -> None:
    choices = Choices(data)
    size = choices.below(65_536) + 1
    value = header(choices.rest())
    read = parse_content_range(value)
    kept = Partial(Path("spool"), size, Validators())
    if read is None:
        require(not continues(kept, value), "what cannot be read continues a body")
    else:
        require(0 <= read.first <= read.last, "it ends before it begins")
        require(read.total is None or read.last < read.total, "it ends behind the end")
        total = "*" if read.total is None else read.total
        shown = f"bytes {read.first}-{read.last}/{total}"
        require(parse_content_range(shown) == read, f"{shown} is read otherwise")
        require(not is_whole(kept, value), "a part says that there is no more")
        following = Partial(Path("spool"), read.first, Validators())
        to_the_end = read.total is None or read.last + 1 == read.total
        require(continues(following, value) == to_the_end, "continues, or not, without reason")
        require(continues(kept, value) <= (size == read.first), "a gap, or an overlap, is taken")
    if is_whole(kept, value):
        require(re.search(rf"\*/0*{size}\s*$", value), "another size is taken for the whole")


def _asking(data: bytes) -> None:
    """What is repeated to the server of what it said."""
    etag, modified = (header(part) for part in Choices(data).parts(2))
    said = Validators(etag or None, modified or None)
    asked = request_headers(Partial(Path("spool"), 7, said))
    require(asked["Range"] == "bytes=7-", "another part is asked for")
    condition = asked.get("If-Range")
    require(condition in (None, etag, modified), "a condition that the server did not name")
    if condition is not None:
        require(condition.isascii() and not re.search("[\r\n\0]", condition), "a broken header")
        require(not condition.startswith("W/") or condition == modified, "a weak tag")


_PRINTED: Final = re.compile(rb"[\t\n\r -~]*")


def _sniff(data: bytes) -> None:
    head, _, rest = data.partition(PART)
    url = "https://a.example/" + rest.decode(errors="replace")
    kind = sniff(head[:HEAD])
    require(sniff(head[:HEAD]) == kind, "looking again, it is something else")
    require((kind is None) or head, "nothing is something")
    require(kind is None or re.fullmatch(r"[\x21-\x7e]+", kind), f"the type {kind!r}")
    if _PRINTED.fullmatch(head) and not head.startswith((b"GIF87a", b"GIF89a", b"RIFF")):
        require(not is_image(kind), f"plain text is taken for {kind}")
    if re.match(rb"\s*<(?:html|!doctype html|\?xml|svg)[\s>]", head, re.IGNORECASE):
        require(not is_image(kind), f"a document is taken for {kind}")
    chosen = extension(kind, url)
    require(_EXTENSION.fullmatch(chosen), f"the extension {chosen!r}")
    require(chosen not in ("php", "exe", "sh", "js"), f"the extension {chosen}")
    usual = usual_extensions(url)
    require(len(set(usual)) == len(usual), "an extension twice")
    require(all(_EXTENSION.fullmatch(one) for one in usual), f"the extensions {usual}")


_DATES: Final = (
    b"Sun, 06 Nov 1994 08:49:37 GMT", b"Sunday, 06-Nov-94 08:49:37 GMT",
    b"Sun Nov  6 08:49:37 1994", b"Fri, 31 Dec 9999 23:59:59 GMT", b"1 Jan 1 0:0:0 +2359",
    b"Mon, 01 Jan 0001 00:00:00 -2359", b"120", b"0", b"-5", b"1e9", b"9" * 400, b"soon",
    b"Thu, 31 Dec 2099 24:00:00 -0000", b"\xd9\xa1\xd9\xa2", b"\xc2\xb2", b"\xff", b"",
)  # fmt: skip

_HEADS: Final = (
    b"\xff\xd8\xff\xe0\0\x10JFIF", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"II*\0", b"BM" + bytes(12),
    b"RIFF\0\0\0\0WEBPVP8 ", b"\0\0\0\x1cftypmif1\0\0\0\0mif1avif", b"<!DOCTYPE html><html>",
    b"<?xml version='1.0'?><svg ", b"\xef\xbb\xbf <svg>", b"\0\0\1\0\1\0\x10\x10\0\0", b"%PDF-1.4",
    b"\xff\xfe<\0h\0", b"\x1f\x8b\x08", b"PK\3\4", b"8BPS\0\1", b"text", b"", b"P6 1 1 255 ",
    b"/* XPM */", b"#?RADIANCE\n", b"\x00\x00\x02\x00", b"farbfeld", b"qoif",
)  # fmt: skip

TARGETS: Final = (
    Target(
        "retry-after",
        "nothing is raised; a wait is finite and not negative, numbers are read to the letter, "
        "and a date is the same date however it is written",
        _retry_after,
        tuple(bytes([1, n, 0, 255]) + value for n, value in enumerate(_DATES)),
        (b"GMT", b"-0000", b"+9999", b"Nov", b"24:00:00", b"99999999999", b"0001"),
        longest=128,
    ),
    Target(
        "content-range",
        "nothing is raised; what is read makes sense, is read again from what it is written as, "
        "and continues only a body that ends where it begins",
        _content_range,
        tuple(
            b"\0\4" + value
            for value in (b"bytes 5-9/10", b"bytes 5-9/*", b"bytes */5", b" BYTES\t5-9/10 ",
                          b"bytes 9-5/10", b"bytes 5-5/6, bytes 0-0/6", b"bytes=5-9/10")
        ),
        (b"bytes", b"*/", b"18446744073709551616", b"-", b"\xd9\xa5"),
        longest=96,
    ),
    Target(
        "asking-for-the-rest",
        "nothing is raised; a header that is sent is one line of ASCII that the server has said",
        _asking,
        (b'"a"\x1fSun, 06 Nov 1994 08:49:37 GMT', b'W/"a"\x1f', b'"\xe9"\x1f', b"\x1fnow"),
        (b'W/"', b"\xff"),
        longest=64,
    ),
    Target(
        "sniff",
        "nothing is raised; text and documents are no images, and an extension is a short word",
        _sniff,
        tuple(head + PART + b"a/b.CR2?x.php" for head in _HEADS),
        (*_HEADS[:8], b"WEBPVP", b"ftyp", b".tga", b".nef#"),
        longest=600,
    ),
)  # fmt: skip

"""What kind of mismatch it is: told from the bytes that came, and from nothing that is not there.

The listed image is usually not at hand, so most of what one would like to know cannot be said. Size
and MD5 tell that the bytes are others, not which. What can be proved is said; for the rest the kind
is ``not-comparable``, with what was seen. Only where another image of the same listed MD5 is stored
are pixels compared.

The first rule that applies decides:

    known bytes   a configured placeholder, or another image's listed MD5
    no image      HTML, XML, text, nothing at all
    shared bytes  those that came for many images; also where no file of them was kept
    no bytes      they are not there, or not the ones that were recorded
    no picture    it does not decode, or was not decoded for a stated reason
    compared      with a stored image that has the listed MD5
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from msgspec import Struct

SHARED: Final = 5
"""Images that must share bytes for these to be suspected of standing for something else."""
CLOSE: Final = 6.0
"""Mean difference of a thumbnail's grey values (0 to 255) up to which two pictures are one. What
another quality of JPEG makes is below 2, other photographs are at some tens."""
THUMBNAIL: Final = 16
"""Pixels on each side."""


class Kind(StrEnum):
    PLACEHOLDER = "placeholder"
    OTHER_LISTED = "other-listed"
    SHARED = "shared"
    HTML = "html"
    XML = "xml"
    TEXT = "text"
    EMPTY = "empty"
    UNKNOWN_BYTES = "unknown-bytes"
    TRUNCATED = "truncated"
    UNDECODABLE = "undecodable"
    NOT_DECODED = "not-decoded"
    SAME_PIXELS = "same-pixels"
    ROTATED = "rotated"
    RE_ENCODED = "re-encoded"
    DIFFERENT = "different"
    NOT_COMPARABLE = "not-comparable"
    NO_BYTES = "no-bytes"


MEANINGS: Final[dict[Kind, str]] = {
    Kind.PLACEHOLDER: "bytes of a configured placeholder",
    Kind.OTHER_LISTED: "the very bytes that the list has for another image",
    Kind.SHARED: "bytes that at least 5 mismatched images share: a placeholder, perhaps",
    Kind.HTML: "a page for people",
    Kind.XML: "XML, as object stores send for errors; or SVG",
    Kind.TEXT: "text",
    Kind.EMPTY: "not a byte",
    Kind.UNKNOWN_BYTES: "of no known type",
    Kind.TRUNCATED: "begins as an image, and breaks off",
    Kind.UNDECODABLE: "begins as an image, and the decoder gives up on it",
    Kind.NOT_DECODED: "an image that was not decoded: too many pixels, or another format",
    Kind.SAME_PIXELS: "the listed picture to the pixel, with other metadata or packed anew",
    Kind.ROTATED: "the listed picture turned or mirrored, with equal or very similar pixels",
    Kind.RE_ENCODED: "much like the listed picture, with other pixels: encoded or scaled anew",
    Kind.DIFFERENT: "another picture than the listed one",
    Kind.NOT_COMPARABLE: "decodes; what was listed is not here to compare it with",
    Kind.NO_BYTES: "no file was kept, or it is not what was recorded",
}

TAIL: Final = 4_096
"""Bytes at the end of a file that have its end mark, if it has one."""


def breaks_off(head: bytes, size: int, tail: bytes) -> bool:
    """Whether an image of ``size`` bytes lacks the end that its format demands: the EOI of a JPEG
    (ITU-T T.81 section B.2.1), the IEND of a PNG, the trailer of a GIF, the length of a BMP or
    RIFF.
    """
    if head.startswith(b"\xff\xd8"):
        return b"\xff\xd9" not in tail
    if head.startswith(b"\x89PNG"):
        return b"IEND\xaeB`\x82" not in tail
    if head.startswith(b"GIF8"):
        return b";" not in tail[-8:]
    if head.startswith(b"BM"):
        return size < int.from_bytes(head[2:6], "little")
    if head.startswith(b"RIFF"):
        return size < int.from_bytes(head[4:8], "little") + 8
    return False


Grey = tuple[int, ...]
"""``THUMBNAIL`` rows of as many grey values."""


class Picture(Struct, frozen=True):
    """What decoding gave. ``digests`` are of the pixels as they are, then turned and mirrored."""

    format: str
    width: int
    height: int
    orientation: int | None
    """As its EXIF says (1 to 8); the pixels are as they are stored, not turned by it."""
    digests: tuple[str, ...]
    grey: Grey
    several: bool = False
    """There are more frames or pages than the first, which is all that is told of here."""
    cut: bool = False
    """All pixels are there, and the file ends before its format does."""


class Undecoded(Struct, frozen=True):
    """Why there is no picture: ``kind`` is one of truncated, undecodable, not-decoded."""

    kind: Kind
    detail: str


class Facts(Struct, frozen=True):
    """What the manifest knows of the bytes."""

    placeholder: bool = False
    listed_as: str | None = None
    """Another image with this listed MD5."""
    shared_by: int = 1


class Finding(Struct, frozen=True):
    kind: Kind
    detail: str
    width: int | None = None
    height: int | None = None


def known(facts: Facts) -> Finding | None:
    """What follows from the digest alone."""
    if facts.placeholder:
        return Finding(Kind.PLACEHOLDER, "its MD5 is in placeholders.digests")
    if facts.listed_as is not None:
        return Finding(Kind.OTHER_LISTED, f"has the MD5 that is listed for {facts.listed_as}")
    return None


def shared(facts: Facts) -> Finding | None:
    """The same of bytes that are no page or message: those say themselves what they are."""
    if facts.shared_by >= SHARED:
        return Finding(Kind.SHARED, f"shared by {facts.shared_by:,} mismatched images")
    return None


def no_image(size: int, content_type: str | None) -> Finding | None:
    """What the first bytes tell; ``None`` if it is an image's type."""
    if not size:
        return Finding(Kind.EMPTY, "0 bytes")
    if content_type is None:
        return Finding(Kind.UNKNOWN_BYTES, f"{size:,} bytes")
    if content_type in ("text/xml", "image/svg+xml"):
        return Finding(Kind.XML, content_type)
    if content_type == "text/html":
        return Finding(Kind.HTML, content_type)
    if content_type.startswith("text/"):
        return Finding(Kind.TEXT, content_type)
    if not content_type.startswith("image/"):
        return Finding(Kind.UNKNOWN_BYTES, content_type)
    return None


def compare(came: Picture | Undecoded, listed: Picture | None, listed_at: str = "") -> Finding:
    """What the picture that came is to the listed one, if that is at hand (``listed_at``)."""
    if isinstance(came, Undecoded):
        return Finding(came.kind, came.detail)
    seen = f"{came.format}, {came.width} x {came.height}"
    if came.orientation not in (None, 1):
        seen += f", EXIF orientation {came.orientation}"
    if came.several:
        seen += ", the first of several frames"

    def found(kind: Kind, more: str) -> Finding:
        return Finding(kind, f"{seen}; {more}", came.width, came.height)

    if came.cut and not (listed is not None and listed.cut):
        return found(Kind.TRUNCATED, "all pixels are there, and its end is not")
    if listed is None:
        return found(Kind.NOT_COMPARABLE, "no image with the listed MD5 is stored")
    beside = f"compared with {listed_at}, {listed.width} x {listed.height}"
    # Nobody has looked at further frames: what has them is like the other picture at best.
    alone = not (came.several or listed.several)
    if alone and came.digests[0] == listed.digests[0]:
        return found(Kind.SAME_PIXELS, beside)
    if alone and came.digests[0] in listed.digests[1:]:
        return found(Kind.ROTATED, f"equal pixels, {beside}")
    distances = [_distance(came.grey, turned) for turned in _turned(listed.grey)]
    least = min(distances)
    if least > CLOSE:
        return found(Kind.DIFFERENT, f"{beside}, thumbnails differ by {least:.1f}")
    kind = Kind.RE_ENCODED if distances[0] <= CLOSE else Kind.ROTATED
    return found(kind, f"{beside}, thumbnails differ by {least:.1f}")


def _distance(one: Grey, other: Grey) -> float:
    return sum(abs(a - b) for a, b in zip(one, other, strict=True)) / len(one)


def _turned(grey: Grey) -> list[Grey]:
    """As it is, and the seven ways to turn and mirror it."""
    rows = [grey[n : n + THUMBNAIL] for n in range(0, len(grey), THUMBNAIL)]
    found = []
    for _ in range(4):
        found.append(rows)
        found.append([row[::-1] for row in rows])
        rows = [tuple(column) for column in zip(*rows[::-1], strict=True)]
    return [tuple(value for row in rows for value in row) for rows in found]

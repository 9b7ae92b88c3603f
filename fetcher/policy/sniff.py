"""What bytes are, told from the first of them.

The formats of the web's images have a table of our own: it is on the hot path, and it says of each
what makes it that (WHATWG MIME Sniffing section 6.1, where the format is in it, and stricter where
two letters would make an image of a text). HTML and XML are told apart, as servers send them with
status 200 (section 7.1). Text is text. Only what is none of those is shown to ``puremagic``, which
knows hundreds of formats and takes some 300 microseconds.

SVG is XML here, and no image: it is a document that can carry scripts and refer to others, and no
list of photographs means one. Where a listed MD5 matches, that counts, not this.

Neither the declared Content-Type nor the URL is asked: both are wrong where it matters.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from puremagic import PureMagicWithConfidence

HEAD: Final = 512
"""Bytes that are enough (WHATWG MIME Sniffing asks for up to 1,445, for formats not told here)."""

_PREFIXES: Final[tuple[tuple[bytes, str], ...]] = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"II*\0", "image/tiff"),
    (b"MM\0*", "image/tiff"),
    (b"II+\0", "image/tiff"),  # BigTIFF
    (b"MM\0+", "image/tiff"),
    (b"\xff\x0a", "image/jxl"),  # ISO/IEC 18181-2: a bare codestream
    (b"\0\0\0\x0cJXL \r\n\x87\n", "image/jxl"),
    (b"\0\0\0\x0cjP  \r\n\x87\n", "image/jp2"),  # RFC 3745
    (b"\xff\x4f\xff\x51", "image/j2c"),
)

_BRANDS: Final = {
    b"avif": "image/avif",
    b"avis": "image/avif",
    b"heic": "image/heic",
    b"heix": "image/heic",
    b"heim": "image/heic",
    b"heis": "image/heic",
    b"hevc": "image/heic",
    b"hevx": "image/heic",
    b"mif1": "image/heif",
    b"msf1": "image/heif",
}
"""Of ISO base media files (ISO/IEC 23008-12, AV1 Image File Format); others are video."""

_GENERIC_BRANDS: Final = frozenset({b"mif1", b"msf1"})
"""Say how the file is built; a compatible brand says with which codec."""

_BMP_HEADERS: Final = frozenset({12, 16, 40, 52, 56, 64, 108, 124})
"""Lengths of the header that follows, one for each version of the format."""

_XML: Final = re.compile(rb"<(?:\?xml|svg[\s>])", re.IGNORECASE)
_HTML: Final = re.compile(
    rb"<(?:!--|(?:!DOCTYPE HTML|HTML|HEAD|SCRIPT|IFRAME|H1|DIV|FONT|TABLE|A|STYLE|TITLE|B|BODY|BR|P"
    rb"|META|LINK|CENTER)[\s>])",
    re.IGNORECASE,
)
"""WHATWG's tags, and three more that error pages start with."""

_UTF8_BOM: Final = b"\xef\xbb\xbf"
_UTF16_BOMS: Final = (b"\xfe\xff", b"\xff\xfe")
_BINARY: Final = re.compile(rb"[\x00-\x08\x0b\x0e-\x1a\x1c-\x1f]")
"""The binary data bytes of WHATWG MIME Sniffing section 3."""

_EXTENSIONS: Final = {
    "image/jpeg": "jpg",
    "image/png": "png",
    "image/gif": "gif",
    "image/webp": "webp",
    "image/bmp": "bmp",
    "image/tiff": "tif",
    "image/avif": "avif",
    "image/heic": "heic",
    "image/heif": "heif",
    "image/x-icon": "ico",
    "image/jxl": "jxl",
    "image/jp2": "jp2",
    "image/j2c": "j2c",
    "text/html": "html",
    "text/xml": "xml",
    "text/plain": "txt",
}

_IMAGE_EXTENSIONS: Final = frozenset(
    known for content_type, known in _EXTENSIONS.items() if content_type.startswith("image/")
)

_NOT_TOLD: Final = frozenset(
    {"arw", "cr2", "crw", "dng", "exr", "hdr", "jxr", "nef", "orf", "pef", "psd", "qoi", "raf"}
    | {"raw", "rw2", "srw", "tga", "wbmp", "xcf"}
)
"""Extensions of image formats that the bytes do not tell, or not from TIFF."""

_ALIASES: Final = {"jpeg": "jpg", "jpe": "jpg", "jfif": "jpg", "tiff": "tif"}
_URL_EXTENSION: Final = re.compile(r"[^/?#]+//[^/?#]*/[^?#]*\.([A-Za-z0-9]{2,5})(?:[?#]|$)")
_NOISE: Final = 2
_USUAL: Final = ("jpg", "png", "gif")


def sniff(head: bytes) -> str | None:
    """The content type of a body whose first bytes (``HEAD``, or all) are ``head``.

    ``None``: of no known type, or empty.
    """
    if head.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    for prefix, content_type in _PREFIXES:
        if head.startswith(prefix):
            return content_type
    return _structured(head) or _text(head) or _foreign(head)


def is_image(content_type: str | None) -> bool:
    """Whether a sniffed type is an image's, as a list of images means it: SVG is not."""
    return (
        content_type is not None
        and content_type.startswith("image/")
        and content_type != "image/svg+xml"
    )


def extension(content_type: str | None, url: str) -> str:
    """The extension, without a dot, for a file of the sniffed ``content_type`` from ``url``.

    The URL is asked only where the bytes leave it open (raw formats look like TIFF; TGA like
    nothing), and only for extensions of images: nobody wants to find a ``.php`` in a mirror.
    """
    known = _EXTENSIONS.get(content_type or "", "bin")
    if known == "tif" or (known == "bin" and (content_type is None or is_image(content_type))):
        listed = _listed_extension(url)
        if listed in _NOT_TOLD:
            return listed
    return known


def usual_extensions(url: str) -> tuple[str, ...]:
    """Extensions under which an earlier run may have stored an image from ``url``, likeliest first.

    Not all there are: what is not found is fetched again, and replaces it.
    """
    listed = _listed_extension(url)
    if listed in _NOT_TOLD or listed in _IMAGE_EXTENSIONS:
        return (listed, *(usual for usual in _USUAL if usual != listed))
    return _USUAL


def _listed_extension(url: str) -> str:
    """The extension in the URL's path, lower case and in its usual spelling; may be empty."""
    match = _URL_EXTENSION.match(url)
    if match is None:
        return ""
    found = match[1].lower()
    return _ALIASES.get(found, found)


def _structured(head: bytes) -> str | None:
    """Formats that are told by more than a prefix."""
    if head[:4] == b"RIFF":
        return "image/webp" if head[8:14] == b"WEBPVP" else None
    if head[4:8] == b"ftyp" and head[:2] == b"\0\0":  # a box of less than 64 KiB
        return _by_brand(head)
    if head[:2] == b"BM" and int.from_bytes(head[14:18], "little") in _BMP_HEADERS:
        return "image/bmp"
    # Icon and cursor: a count of images, and a byte that is always zero in the first one's entry.
    if head[:4] in (b"\0\0\1\0", b"\0\0\2\0") and head[4:6] > b"\0\0" and head[9:10] == b"\0":
        return "image/x-icon"
    return None


def _by_brand(head: bytes) -> str | None:
    """The type by the major brand, or by the compatible ones where that one is generic."""
    major = head[8:12]
    if major in _GENERIC_BRANDS:
        end = min(int.from_bytes(head[:4], "big"), len(head))
        for at in range(16, end - 3, 4):
            brand = head[at : at + 4]
            if brand in _BRANDS and brand not in _GENERIC_BRANDS:
                return _BRANDS[brand]
    return _BRANDS.get(major)


def _text(head: bytes) -> str | None:
    if head.startswith(_UTF16_BOMS):
        return "text/plain"
    start = head.removeprefix(_UTF8_BOM).lstrip(b"\t\n\x0c\r ")
    if start.startswith(b"<"):
        if _XML.match(start):
            return "text/xml"
        if _HTML.match(start):
            return "text/html"
    return "text/plain" if start and not _BINARY.search(head) else None


def _foreign(head: bytes) -> str | None:
    if not head:
        return None
    import puremagic  # noqa: PLC0415  loads its tables, and most runs never need them

    try:
        matches = puremagic.magic_string(head)
    except puremagic.PureError:
        return None
    return next((match.mime_type for match in matches if _counts(match)), None)


def _counts(match: PureMagicWithConfidence) -> bool:
    """Noise begins with one known byte, or two, often enough; and what the table above is asked for
    it has answered, more strictly.
    """
    known = match.mime_type in _EXTENSIONS
    return bool(match.mime_type) and not known and len(match.byte_match) > _NOISE

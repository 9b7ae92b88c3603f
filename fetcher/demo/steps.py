"""What a URL of the little web can be told to do: the vocabulary of its scripts.

A step is one of two values: an ``Answer``, which is an HTTP response, or ``Raw``, which is bytes
that need not be one. An answer is put together from independent parts, each with a harmless
default, so that a case is one line of a table:

    body      what:  Picture, Bytes, Flipped (one byte damaged), Gzipped
    framing   how its length is told:  Length (may lie), Chunked, UntilClose
    end       how it stops before its time:  Close, Reset, Stall, each after a number of body bytes
    ranges    how a request for a part is met:  honoured, ignored, refused, or answered wrongly

All of them are frozen, picklable, and know nothing of sockets; ``wire`` turns them into bytes.
"""

from __future__ import annotations

import gzip
from abc import ABC, abstractmethod
from dataclasses import KW_ONLY, dataclass
from enum import Enum, auto
from hashlib import blake2s
from typing import Final

from fetcher.demo.images import MEDIA_TYPES, Kind, picture

# Bodies.


class Body(ABC):
    """The bytes of a representation, and what its headers say of them."""

    __slots__ = ()

    @abstractmethod
    def data(self) -> bytes:
        """The bytes as they go over the wire, before framing."""

    @abstractmethod
    def tag(self) -> str:
        """What tells this representation from others: its ETag without the quotes."""

    @abstractmethod
    def type(self) -> str:
        """The Content-Type."""

    def encoding(self) -> str | None:
        """The Content-Encoding, if any."""
        return None


@dataclass(frozen=True, slots=True)
class Picture(Body):
    """A real image of exactly ``size`` bytes that follow from ``key``; see ``images.picture``."""

    size: int
    key: str = ""
    kind: Kind = "jpeg"

    def data(self) -> bytes:
        return picture(self.key, self.size, self.kind)

    def tag(self) -> str:
        return _tag(f"{self.kind} {self.size} {self.key}".encode())

    def type(self) -> str:
        return MEDIA_TYPES[self.kind]


@dataclass(frozen=True, slots=True)
class Bytes(Body):
    """Any bytes, said to be of any type."""

    content: bytes
    media_type: str = "application/octet-stream"

    def data(self) -> bytes:
        return self.content

    def tag(self) -> str:
        return _tag(self.content)

    def type(self) -> str:
        return self.media_type


@dataclass(frozen=True, slots=True)
class Flipped(Body):
    """``body`` with one byte inverted, under the same ETag: rot that only a digest sees."""

    body: Body
    at: int

    def data(self) -> bytes:
        data = bytearray(self.body.data())
        data[self.at] ^= 0xFF
        return bytes(data)

    def tag(self) -> str:
        return self.body.tag()

    def type(self) -> str:
        return self.body.type()

    def encoding(self) -> str | None:
        return self.body.encoding()


@dataclass(frozen=True, slots=True)
class Gzipped(Body):
    """``body`` with ``Content-Encoding: gzip``, whether or not anyone asked for it."""

    body: Body

    def data(self) -> bytes:
        return gzip.compress(self.body.data(), compresslevel=1, mtime=0)

    def tag(self) -> str:
        return f"{self.body.tag()}-gzip"

    def type(self) -> str:
        return self.body.type()

    def encoding(self) -> str:
        return "gzip"


def _tag(data: bytes) -> str:
    return blake2s(data, digest_size=8).hexdigest()


# Framing: how the client learns where the body ends (RFC 9112 section 6.3).


@dataclass(frozen=True, slots=True)
class Length:
    """A Content-Length that is ``off`` too large; negative: too small. Unless it is true, the
    connection is closed after the body.
    """

    off: int = 0


@dataclass(frozen=True, slots=True)
class Chunked:
    """``Transfer-Encoding: chunked``, in chunks of ``size`` bytes."""

    size: int = 16_384


@dataclass(frozen=True, slots=True)
class UntilClose:
    """No length: the body ends where the connection does."""


Framing = Length | Chunked | UntilClose


# Ends: what happens instead of going on. ``at`` counts body bytes; ``None`` is after all of them.


@dataclass(frozen=True, slots=True)
class Close:
    """The connection is closed in good order (FIN)."""

    at: int | None = None


@dataclass(frozen=True, slots=True)
class Reset:
    """The connection is reset (RST), once the client's machine has the bytes before it."""

    at: int | None = None


@dataclass(frozen=True, slots=True)
class Stall:
    """Nothing more is sent; the connection stays open until the client leaves or the web stops."""

    at: int | None = None


End = Close | Reset | Stall


@dataclass(frozen=True, slots=True)
class Trickle:
    """A slow body: pieces of ``size`` bytes, with ``every`` seconds before each but the first."""

    size: int
    every: float


class Ranges(Enum):
    """How a request for the bytes from A to B of T is met (RFC 9110 section 14)."""

    HONOURED = auto()
    """206 with just these; 200 if If-Range names other validators; 416 if there are none such."""
    IGNORED = auto()
    """200 with all of them, and no word of ranges."""
    REFUSED = auto()
    """416."""
    SHIFTED = auto()
    """206 with all of them from the first on, and labelled so."""
    MISLABELLED = auto()
    """206 labelled A to B, of the right length, but with the bytes from the first on."""
    UNLABELLED = auto()
    """206 with the right bytes and no Content-Range."""
    RESIZED = auto()
    """206 with the right bytes, labelled as of one byte more than T."""
    SHORT = auto()
    """206 with the first half of what was asked for, and labelled so."""


class Validators(Enum):
    """What an answer says that identifies its bytes (RFC 9110 section 8.8)."""

    ALL = auto()
    """A strong ETag and Last-Modified."""
    WEAK = auto()
    """A weak ETag alone, which If-Range must not use."""
    DATE = auto()
    """Last-Modified alone."""
    NONE = auto()


@dataclass(frozen=True, slots=True)
class HttpDate:
    """A header's value: the date ``after`` seconds from the answer on, rounded up to a second."""

    after: float


Headers = tuple[tuple[str, str | HttpDate], ...]
EMPTY: Final = Bytes(b"")


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP response. With nothing but a body it is what a good server would send."""

    body: Body = EMPTY
    status: int = 200
    _: KW_ONLY
    type: str | None = None
    """The Content-Type, where it is not the body's own."""
    headers: Headers = ()
    """Sent as they are, before the ones that follow from the rest."""
    framing: Framing = Length()
    end: End | None = None
    ranges: Ranges = Ranges.HONOURED
    validators: Validators = Validators.ALL
    pace: Trickle | None = None
    delay: float = 0.0
    """Seconds before the first byte."""
    gate: str | None = None
    """Nothing is sent before ``Web.open`` names it."""


@dataclass(frozen=True, slots=True)
class Raw:
    """Bytes in place of a response, then an end."""

    data: bytes = b""
    end: End = Close()


Step = Answer | Raw


# Words for what is said often.

SILENCE: Final = Raw(end=Stall())
"""The request is taken, and never answered."""
HANG_UP: Final = Raw(end=Close())
"""The connection is closed instead of an answer."""
RESET: Final = Raw(end=Reset())
"""The connection is reset instead of an answer."""
GARBAGE: Final = Raw(b"\x00\x01 this is no HTTP\r\n\r\n")

PLACEHOLDER: Final = "https://s.yimg.com/pw/images/en-us/photo_unavailable.png"
"""Where the URLs of photos that are gone redirect to."""

_HTML: Final = (
    b"<!DOCTYPE html>\n<html><head><title>Sorry</title></head><body>Oops.</body></html>\n"
)
_XML: Final = (
    b'<?xml version="1.0" encoding="UTF-8"?>\n'
    b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>\n"
)


def status(code: int, *headers: tuple[str, str | HttpDate]) -> Answer:
    """Only a status, with a body of a few words as servers send them."""
    return Answer(Bytes(f"{code}\n".encode(), "text/plain"), code, headers=headers)


def redirect(location: str, code: int = 302) -> Answer:
    return status(code, ("Location", location))


def throttled(retry_after: int | str | HttpDate | None = None, code: int = 429) -> Answer:
    """Too many requests, or with 503 too much work. ``retry_after`` is seconds, a date, any text,
    or absent.
    """
    if retry_after is None:
        return status(code)
    value = retry_after if isinstance(retry_after, HttpDate) else str(retry_after)
    return status(code, ("Retry-After", value))


def html(type: str = "image/jpeg", code: int = 200) -> Answer:  # noqa: A002  a header's name
    """A page for people, where an image was asked for."""
    return Answer(Bytes(_HTML, type), code)


def xml(type: str = "application/xml", code: int = 200) -> Answer:  # noqa: A002  a header's name
    """An object store's error, with a status that denies it."""
    return Answer(Bytes(_XML, type), code)

"""Answers that are compressed although nobody asked for it (RFC 9110 section 8.4).

Every request says ``Accept-Encoding: identity``; some servers compress all the same. The image is
then what comes out, and a few bytes can come out as very many. So what comes out is handed on in
pieces, and whoever takes them stops when it is enough. One coding is taken off, not several: of
two, the outer could go on for ever without the inner yielding a byte.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import Final, Protocol

PIECE: Final = 1 << 16
"""Bytes that come out at once, at most."""

_GZIP: Final = 16 + zlib.MAX_WBITS
_RAW: Final = -zlib.MAX_WBITS


class CodingError(Exception):
    """The bytes are not coded as they are said to be, or end too early."""


class _Decoder(Protocol):
    @property
    def eof(self) -> bool: ...

    @property
    def unconsumed_tail(self) -> bytes: ...

    @property
    def unused_data(self) -> bytes: ...

    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...


def decoder(label: str) -> Callable[[Iterable[bytes]], Iterator[bytes]] | None:
    """What takes off the coding that a Content-Encoding names; ``None`` if there is none, or it is
    not known. What it returns raises ``CodingError``.
    """
    names = [name.strip().lower() for name in label.split(",")]
    return _DECODERS.get(names[0]) if len(names) == 1 else None


def _gunzip(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """One member or more (RFC 1952 section 2.2); zeros after them are padding."""
    member: _Decoder | None = None
    for chunk in chunks:
        data = chunk
        while data:
            if member is None or member.eof:
                if member is not None and not data.strip(b"\0"):
                    break
                member = zlib.decompressobj(_GZIP)
            yield from _decompressed(member, data)
            data = member.unused_data
    _require_end(member)


def _inflate(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The zlib format (RFC 1950), as the name means; or bare, as some servers have it."""
    rest = iter(chunks)
    first = b""
    while len(first) < 2 and (more := next(rest, b"")):  # noqa: PLR2004  the header's length
        first += more
    wrapped = len(first) > 1 and first[0] & 0x0F == zlib.DEFLATED and first[0] * 256 + first[1]
    whole: _Decoder = zlib.decompressobj(zlib.MAX_WBITS if wrapped and wrapped % 31 == 0 else _RAW)
    for chunk in chain((first,), rest):
        if not whole.eof:
            yield from _decompressed(whole, chunk)
    _require_end(whole)


def _decompressed(stream: _Decoder, data: bytes) -> Iterator[bytes]:
    try:
        while data and not stream.eof:
            if piece := stream.decompress(data, PIECE):
                yield piece
            data = stream.unconsumed_tail
    except zlib.error as error:
        raise CodingError(str(error)) from error


def _require_end(stream: _Decoder | None) -> None:
    if stream is None or not stream.eof:
        raise CodingError("it ends too early")


_DECODERS: Final = {"gzip": _gunzip, "x-gzip": _gunzip, "deflate": _inflate}

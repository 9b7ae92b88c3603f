"""Answers that are compressed although nobody asked for it (RFC 9110 section 8.4).

Every request says ``Accept-Encoding: identity``; some servers compress all the same. The image is
then what comes out, and a few bytes can come out as very many. So what comes out is handed on in
pieces, and whoever takes them stops when it is enough. One coding is taken off, not several: of
two, the outer could go on for ever without the inner yielding a byte.

The libraries for ``br`` and ``zstd`` are optional; nobody who has not met such a host needs them.
"""

from __future__ import annotations

import importlib
import zlib
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from itertools import chain
from typing import Any, Final, Protocol

PIECE: Final = 1 << 16
"""Bytes that come out at once, at most."""

MEMBERS: Final = 10_000
"""That a body may be put together of: each is as long as it likes, and one of nothing costs as much
time as many bytes."""

_GZIP: Final = 16 + zlib.MAX_WBITS
_RAW: Final = -zlib.MAX_WBITS
_ZSTD_WINDOW: Final = 23
"""8 MiB, by its logarithm: the most that a content coding may ask for (RFC 9659)."""
EXTRA: Final = "codings"


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


TakeOff = Callable[[Iterable[bytes | bytearray]], Iterator[bytes]]


def decoder(label: str) -> TakeOff | None:
    """What takes off the coding that a Content-Encoding names; ``None`` if there is none, or it is
    not known. What it returns raises ``CodingError``.
    """
    names = _names(label)
    if len(names) != 1:
        return None
    optional = _OPTIONAL.get(names[0])
    if optional is not None:
        return optional if _library(*_LIBRARIES[names[0]]) is not None else None
    return _DECODERS.get(names[0])


def obstacle(label: str) -> str | None:
    """Why what a Content-Encoding names cannot be taken off, for people; ``None`` if it can, or if
    there is nothing to take off.
    """
    names = _names(label)
    if decoder(label) is not None or not names:
        return None
    shown = f"Content-Encoding: {', '.join(names)}"
    if len(names) > 1:
        return f"{shown}; only one is taken off"
    if names[0] in _OPTIONAL:
        return f"{shown}; it wants pip install 'fetcher[{EXTRA}]'"
    return f"{shown}, which is not known"


def _names(label: str) -> list[str]:
    names = (name.strip().lower() for name in label.split(","))
    return [name for name in names if name not in {"", "identity"}]


@lru_cache(maxsize=4)
def _library(*names: str) -> Any:
    """The first of these modules that is installed, or ``None``."""
    for name in names:
        try:
            return importlib.import_module(name)
        except ImportError:
            continue
    return None


def _gunzip(chunks: Iterable[bytes | bytearray]) -> Iterator[bytes]:
    """One member or more (RFC 1952 section 2.2); zeros after them are padding."""
    member: _Decoder | None = None
    members = 0
    for piece in _cut(chunks):
        data = piece
        while data:
            if member is None or member.eof:
                if member is not None and not data.strip(b"\0"):
                    break
                members = _one_more(members)
                member = zlib.decompressobj(_GZIP)
            yield from _decompressed(member, data)
            data = member.unused_data
    _require_end(member)


def _inflate(chunks: Iterable[bytes | bytearray]) -> Iterator[bytes]:
    """The zlib format (RFC 1950), as the name means; or bare, as some servers have it."""
    rest = iter(chunks)
    first = b""
    while len(first) < 2 and (more := next(rest, b"")):  # noqa: PLR2004  the header's length
        first += more
    wrapped = len(first) > 1 and first[0] & 0x0F == zlib.DEFLATED and first[0] * 256 + first[1]
    whole: _Decoder = zlib.decompressobj(zlib.MAX_WBITS if wrapped and wrapped % 31 == 0 else _RAW)
    for piece in _cut(chain((first,), rest)):
        if not whole.eof:
            yield from _decompressed(whole, piece)
    _require_end(whole)


def _unbrotli(chunks: Iterable[bytes | bytearray]) -> Iterator[bytes]:
    """RFC 7932. Windows are 16 MiB at most."""
    brotli = _library(*_LIBRARIES["br"])
    stream = brotli.Decompressor()
    try:
        for cut in _cut(chunks):
            data = cut
            while not stream.is_finished():
                # The limit is looked at between blocks that double: up to thrice as much comes.
                piece = stream.process(data, output_buffer_limit=PIECE // 4)
                data = b""
                if piece:
                    yield piece
                elif stream.can_accept_more_data():
                    break
    except brotli.error as error:
        raise CodingError(str(error)) from error
    if not stream.is_finished():
        raise CodingError("it ends too early")


def _unzstd(chunks: Iterable[bytes | bytearray]) -> Iterator[bytes]:
    """One frame or more (RFC 8878 section 3)."""
    zstd = _library(*_LIBRARIES["zstd"])
    options = {zstd.DecompressionParameter.window_log_max: _ZSTD_WINDOW}
    frame: Any = None
    frames = 0
    try:
        for cut in _cut(chunks):
            data = cut
            while data or not (frame is None or frame.eof or frame.needs_input):
                if frame is None or frame.eof:
                    frames = _one_more(frames)
                    frame = zstd.ZstdDecompressor(options=options)
                piece = frame.decompress(data, PIECE)
                data = frame.unused_data if frame.eof else b""
                if piece:
                    yield piece
    except zstd.ZstdError as error:
        raise CodingError(str(error)) from error
    if frame is None or not frame.eof:
        raise CodingError("it ends too early")


def _cut(chunks: Iterable[bytes | bytearray]) -> Iterator[bytes]:
    """In pieces: what a decoder leaves of its input, it copies whenever it gives something."""
    for chunk in chunks:
        for start in range(0, len(chunk), PIECE):
            yield bytes(chunk[start : start + PIECE])


def _one_more(members: int) -> int:
    if members == MEMBERS:
        raise CodingError(f"it is put together of more than {MEMBERS:,} members")
    return members + 1


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
_OPTIONAL: Final[dict[str, TakeOff]] = {"br": _unbrotli, "zstd": _unzstd}
_LIBRARIES: Final = {"br": ("brotli",), "zstd": ("compression.zstd", "backports.zstd")}

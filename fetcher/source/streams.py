"""From a file to the bytes of a list: unpacked as a stream, in bounded chunks, never on disk.

Damage is told where it is seen, and named where the row is known: everything here yields what could
still be read, to the last byte, and then raises ``DamageError``. Nothing trusts a file's name.
"""

from __future__ import annotations

import contextlib
import io
import tarfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, Final, Self, TypeVar, cast

from msgspec import Struct

from fetcher.ahead import Ahead
from fetcher.errors import SourceError

Info = TypeVar("Info", bound=tarfile.TarInfo)

CHUNK: Final = 32 * 1024
"""Larger is slower: text that holds one rare character takes four bytes for each of its own."""
_LARGE: Final = 8 * CHUNK
"""Of what a thread hands over: each time it may wait for its turn."""
AHEAD: Final = 16 * _LARGE
"""Unpacked bytes that wait at most."""
GZIP_MAGIC: Final = b"\x1f\x8b"
TAR_BLOCK: Final = tarfile.BLOCKSIZE

Progress = Callable[[int, int], None]
"""Called with the bytes of the file read so far, and its size."""


class DamageError(Exception):
    """The bytes are not what they should be. Internal: it becomes a SourceError with a row."""

    hint = "Get the file again, and compare its size or checksum with the publisher's."


class EncodingError(DamageError):
    """Mostly no damage, but a table that was written in another encoding."""

    hint = (
        "If it is text in another encoding, make it UTF-8, such as with iconv -f WINDOWS-1252 "
        f"-t UTF-8. Else: {DamageError.hint[0].lower()}{DamageError.hint[1:]}"
    )


def read_chunks(path: Path, progress: Progress | None = None) -> Iterator[bytes]:
    """A file's bytes as they lie on disk. Raises SourceError if they cannot be read."""
    try:
        with path.open("rb") as file:
            size = done = 0
            if progress is not None:  # of what has an end that can be looked for
                size = file.seek(0, io.SEEK_END)
                file.seek(0)
            while chunk := file.read(CHUNK):
                yield chunk
                done += len(chunk)
                if progress is not None:
                    progress(done, size)
    except OSError as error:
        raise unreadable(path, error) from error


def unreadable(path: Path, error: OSError) -> SourceError:
    return SourceError(
        f"The file {path} cannot be read: {error.strerror or error}.",
        hint="Check the path and its permissions.",
    )


def peek(chunks: Iterator[bytes], size: int) -> tuple[bytes, Iterator[bytes]]:
    """The first ``size`` bytes, or fewer if there are no more, and the whole stream again.

    Damage on the way is not lost: the second stream raises it in its place.
    """
    seen = bytearray()
    damage: DamageError | None = None
    try:
        while len(seen) < size and (chunk := next(chunks, b"")):
            seen += chunk
    except DamageError as error:
        damage = error

    def again() -> Iterator[bytes]:
        yield bytes(seen)
        if damage is not None:
            raise damage
        yield from chunks

    return bytes(seen[:size]), again()


def unpacked(chunks: Iterator[bytes], *, on_thread: bool = False) -> Iterator[bytes]:
    """The content of a gzip file, or of any other file as it is; ``on_thread`` unpacks it
    ``unpacked_ahead``.
    """
    magic, chunks = peek(chunks, len(GZIP_MAGIC))
    if magic != GZIP_MAGIC:
        return chunks
    return unpacked_ahead(gunzip(chunks, _LARGE), CHUNK) if on_thread else gunzip(chunks)


def unpacked_ahead(chunks: Iterator[bytes], size: int) -> Iterator[bytes]:
    """The same bytes in chunks of up to ``size``, unpacked by a thread of its own.

    zlib does its work without the interpreter, so on a second core it costs nobody any time. For a
    process that does nothing else: where a loop answers others, the thread takes turns from it.
    """
    with Ahead(lambda _: (chunk for chunk in chunks), len, room=AHEAD) as large:
        for chunk in large:
            for at in range(0, len(chunk), size):
                yield chunk[at : at + size]


def gunzip(chunks: Iterable[bytes], most: int = CHUNK) -> Iterator[bytes]:
    """RFC 1952: one or more members, each with its CRC and length, and zeros as padding.

    No chunk that comes out is longer than ``most``, however well the data was compressed.
    """
    inflate = _gzip_member()
    for packed in chunks:
        rest, data = packed, b""
        # A full chunk may leave more inside of zlib, even when all input is used up.
        while rest or len(data) == most:
            if inflate.eof:
                rest = rest.lstrip(b"\0")
                if not rest:
                    break
                inflate = _gzip_member()
            before = inflate.copy()
            try:
                data = inflate.decompress(rest, most)
            except zlib.error as error:
                if data := _last_good(before, rest):  # nothing would look like the end
                    yield data
                raise DamageError(f"the gzip data is corrupt ({error})") from error
            rest = inflate.unused_data if inflate.eof else inflate.unconsumed_tail
            if data:
                yield data
    if not inflate.eof:
        raise DamageError("the gzip data ends early, the file was cut")


def _last_good(inflate: zlib._Decompress, packed: bytes) -> bytes:
    """What ``packed`` gives before the damage in it: zlib keeps to itself what the call that fails
    has unpacked so far, so it is given and asked for single bytes.
    """
    good = bytearray()
    with contextlib.suppress(zlib.error):
        for at in range(-1, len(packed)):
            rest = packed[at : at + 1] if at >= 0 else b""  # first what it holds already
            while byte := inflate.decompress(rest, 1):
                good += byte
                rest = inflate.unconsumed_tail
    return bytes(good)


def _gzip_member() -> zlib._Decompress:
    return zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)


def is_tar(block: bytes) -> bool:
    """Whether the first 512 bytes of a file are a tar header; its checksum tells."""
    try:
        tarfile.TarInfo.frombuf(block, "utf-8", "replace")
    except tarfile.HeaderError:
        return False
    return True


class Member(Struct, frozen=True):
    """A regular file in an archive. ``name`` is for reading only: nothing is written under it."""

    name: str
    chunks: Iterator[bytes]
    """To be consumed before the next member is asked for."""


class TarStream:
    """The members of a tar archive, read front to back.

    Names may be anything: nothing is ever unpacked to disk. A part of a member that nobody reads is
    skipped. Only a whole archive ends without ``DamageError``: its end mark was seen, and the
    stream below it read to its end, checksum included.
    """

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._source = _TarInput(chunks)
        self._current: tarfile.TarInfo | None = None

    def __iter__(self) -> Iterator[Member]:
        _require_strictness()
        try:
            with tarfile.open(
                # tarfile asks for no more than read() of this; its annotation asks for a file.
                fileobj=cast("io.BufferedReader", self._source),
                mode="r|",
                bufsize=CHUNK,
                tarinfo=_StrictHeader,
                encoding="utf-8",
                errors="replace",
            ) as archive:
                while (info := _next(archive)) is not None:
                    self._current = info
                    if info.isreg() and not info.issparse():
                        yield Member(info.name, self._content(archive, info))
                    # tarfile keeps every header it has seen; typeshed does not know where.
                    archive.members.clear()  # type: ignore[attr-defined]
            while self._source.read(CHUNK):
                pass
        except tarfile.TarError as error:
            raise self._source.damage or DamageError(f"the archive is cut ({error})") from error
        if self._source.damage is not None:
            raise self._source.damage

    def _content(self, archive: tarfile.TarFile, info: tarfile.TarInfo) -> Iterator[bytes]:
        # Not through extractfile: where the archive was cut, it drops the bytes before the cut.
        stream = cast("io.BufferedReader", archive.fileobj)
        stream.seek(info.offset_data)
        left = info.size
        while left:
            if self._current is not info:
                raise RuntimeError(f"{info.name} must be read before the next member is asked for")
            data = stream.read(min(left, CHUNK))
            if not data:
                raise self._source.damage or DamageError("the archive ends early, it was cut")
            left -= len(data)
            yield data


def _next(archive: tarfile.TarFile) -> tarfile.TarInfo | None:
    try:
        return archive.next()
    except ValueError as error:  # a number in an extended header that is none
        raise DamageError(f"the archive is corrupt ({error})") from error


class _TarInput:
    """What tarfile reads from. It loses what it has when a read raises, so damage is kept for
    later, and is an end of file for now.
    """

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._rest = b""
        self.damage: DamageError | None = None

    def read(self, size: int) -> bytes:
        if not self._rest and self.damage is None:
            try:
                self._rest = next(self._chunks, b"")
            except DamageError as error:
                self.damage = error
        data, self._rest = self._rest[:size], self._rest[size:]
        return data


class _StrictHeader(tarfile.TarInfo):
    """tarfile takes a damaged or missing header for the end of the archive; a list that lost half
    of its rows must not pass for a whole one.

    Which of the two tarfile calls depends on the release: those of 2025 and later read headers by
    ``_frombuf``, so that ``frombuf`` alone is never asked.
    """

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        with _no_damage(buf):
            return _bounded(super().frombuf(buf, encoding, errors))

    @classmethod
    def _frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str, **more: Any) -> Self:
        with _no_damage(buf):
            info: Self = super()._frombuf(buf, encoding, errors, **more)  # type: ignore[misc]
            return _bounded(info)


@contextmanager
def _no_damage(header: bytes | bytearray) -> Iterator[None]:
    """Only the end mark, a block of zeros, may be no header. Raises ``DamageError``."""
    try:
        yield
    except tarfile.HeaderError as error:
        if len(header) == TAR_BLOCK and not any(header):
            raise
        raise DamageError(f"the archive is cut or corrupt ({error})") from error


def _bounded(info: Info) -> Info:
    if info.type in _READ_WHOLE and info.size > _MAX_EXTENDED:
        raise DamageError(f"the archive is corrupt (a header of {info.size} bytes)")
    return info


@cache
def _require_strictness() -> None:
    """Raises ``SourceError`` if this Python's tarfile passes over a damaged header in spite of all:
    it has changed which method reads them before.
    """
    no_header = b"\xff" * TAR_BLOCK
    try:
        tarfile.open(fileobj=io.BytesIO(no_header), mode="r|", tarinfo=_StrictHeader).close()
    except DamageError:
        return
    except tarfile.TarError:
        pass
    raise SourceError(
        "This Python's tarfile does not tell a damaged archive from a whole one.",
        hint="Unpack the archive and give its CSV files, or use another release of Python.",
    )


# Long names and extended attributes, which tarfile reads into memory at once.
_READ_WHOLE: Final = frozenset(
    {
        tarfile.GNUTYPE_LONGNAME,
        tarfile.GNUTYPE_LONGLINK,
        tarfile.XHDTYPE,
        tarfile.XGLTYPE,
        tarfile.SOLARIS_XHDTYPE,
    }
)
_MAX_EXTENDED: Final = 1024 * 1024

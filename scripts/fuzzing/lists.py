"""Targets: image lists, in every wrapping that is read, and files of ids."""

from __future__ import annotations

import csv
import gzip
import io
import re
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Final
from unittest.mock import patch

from fetcher.errors import SourceError
from fetcher.model import BadRow, Row, Selection
from fetcher.policy.paths import id_fault
from fetcher.source import REASONS, ColumnNames, open_list, read_ids
from scripts.fuzzing.laws import PART, Choices, Target, require

_MAX_SIZE: Final = 2**53
_MAX_TEXT: Final = 1_000
_MD5: Final = re.compile(r"[A-Za-z0-9+/]{21}[AQgw]==")
_COLUMNS: Final = (
    ColumnNames(),
    ColumnNames(url="Title"),
    ColumnNames(id=""),
    ColumnNames(id="OriginalMD5", md5=""),
)
CHUNKS: Final = (1, 2, 7, 61, 512)


@dataclass(frozen=True, slots=True)
class Reading:
    """All that came of a list: its rows, and the refusal that ended it."""

    rows: tuple[Row | BadRow, ...]
    refusal: str | None


@cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    """For as long as the process lives; a folder for each input would take most of the time."""
    return tempfile.TemporaryDirectory(prefix="fetcher-fuzz-")


@contextmanager
def _file(data: bytes) -> Iterator[Path]:
    path = Path(_folder().name, "list")
    path.write_bytes(data)
    yield path


@contextmanager
def _in_chunks(size: int) -> Iterator[None]:
    """Files come in pieces of ``size`` bytes, packed data in as small ones."""
    with patch("fetcher.source.streams.CHUNK", size):
        yield


def _read(path: Path, columns: ColumnNames, *, after_line: int = 0) -> Reading:
    rows: list[Row | BadRow] = []
    try:
        for table in open_list(path, columns, Selection()).tables():
            extra = len(table.info.extra_columns)
            require(len(set(table.info.extra_columns)) == extra, "two further columns of one name")
            here = list(table.rows(after_line))
            _look_at(here, extra)
            rows += here
    except SourceError as error:
        return Reading(tuple(rows), error.sentence)
    return Reading(tuple(rows), None)


def _look_at(rows: list[Row | BadRow], extra: int) -> None:
    """Each row of a table by itself, and their order."""
    require(all(a.line < b.line for a, b in pairwise(rows)), "lines do not ascend")
    for row in rows:
        require(row.line >= 1, "a line before the first")
        if isinstance(row, BadRow):
            require(row.reason in REASONS, f"the reason {row.reason}")
            require(len(row.text) <= _MAX_TEXT, "a long text is kept")
            continue
        require(id_fault(row.image_id) is None, f"the id {row.image_id!r}")
        require(not row.subset or id_fault(row.subset) is None, f"the subset {row.subset!r}")
        require(len(row.extra) == extra, "more or fewer further columns than named")
        size, md5 = row.expected.size, row.expected.md5
        require(size is None or 0 < size <= _MAX_SIZE, f"the size {size}")
        require(md5 is None or _MD5.fullmatch(md5), f"the MD5 {md5!r}")


def read_whole(data: bytes, columns: int) -> Reading:
    """Read a list with one of four ways to find its columns."""
    return _whole(data, _COLUMNS[columns], CHUNKS[-1])


def _whole(data: bytes, columns: ColumnNames, chunk: int) -> Reading:
    """Read it, and see that neither chunking nor checking it first makes a difference."""
    with _file(data) as path:
        reading = _read(path, columns)
        with _in_chunks(chunk):
            require(_read(path, columns) == reading, f"chunks of {chunk} bytes read otherwise")
        try:
            open_list(path, columns, Selection()).check()
        except SourceError as error:
            require(reading.refusal == error.sentence, f"checked, it is refused: {error.sentence}")
        else:
            require(reading.refusal is None, f"checked, it passed; read: {reading.refusal}")
    return reading


# Text.

_ROW: Final = (
    "0000b0a1d3f5c7e9,train,https://a.example/1.jpg,https://a.example/p,"
    "https://licence.example/,https://a.example/w,Wanda,{title},2038323,"
    "EEGQ0ZQ/OxJAIGzfJ6LMvw==,,nan\n"
)
_HEADER: Final = (
    "ImageID,Subset,OriginalURL,OriginalLandingURL,License,AuthorProfileURL,Author,Title,"
    "OriginalSize,OriginalMD5,Thumbnail300KURL,Rotation\n"
)
_TITLES: Final = (
    '"Kites, over the harbour"',
    "&quot;Blue&quot; \\o/",
    "雨の港",
    '"a\nb"',
    '"a""b"',
)
_FULL: Final = _HEADER + "".join(_ROW.format(title=title) for title in _TITLES)
_TSV: Final = "TsvHttpData-1.0\nhttps://a.example/1\t7\tEEGQ0ZQ/OxJAIGzfJ6LMvw==\nhttps://a/2\n"
_DECIMAL: Final = (
    "ImageID,OriginalURL,OriginalLandingURL,License,AuthorProfileURL,Author,Title\n"
    "18446744073709551615,https://a.example/1,,,,,t\n12,https://a.example/2,,,,,t\nff,x,,,,,t\n"
)
TEXTS: Final = (
    _FULL.encode(),
    ("\ufeff" + _FULL.replace("\n", "\r\n")).encode(),
    _TSV.encode(),
    _DECIMAL.encode(),
    b"url\nhttps://a.example/1.jpg\nhttps://a.example/2.jpg",
    b"id\turl\tsize\tmd5\na\thttp://a/\t0.0\t104190d1943f3b1240206cdf27a2ccbf\n\n\r\nb\tx\n",
    b'id,url,id,,\n1,2,3,4,5\n../x,2,,,\r1,"2\r",,,\n',
    b"url,subset,size\r1,..,9\r2,a b,9007199254740993\r",
    b'url\n"https://a.example/unclosed\n',
    b'{"url": 1}\n',
)
TEXT_WORDS: Final = (
    b"ImageID", b"OriginalURL", b"url", b"id", b"size", b"md5", b"TsvHttpData-1.0\n", b"\r\n",
    b"\xef\xbb\xbf", b"\xff\xfe", b'""', b'",', b"\xe2\x80\xa8", b"\xed\xa0\x80", b"\0",
    b"9007199254740992", b"7.0", b"EEGQ0ZQ/OxJAIGzfJ6LMvw==", b"PAR1", b"\x1f\x8b\x08", b"BZh",
)  # fmt: skip


def _text(data: bytes) -> None:
    choices = Choices(data)
    columns = _COLUMNS[choices.below(len(_COLUMNS))]
    chunk = CHUNKS[choices.below(len(CHUNKS))]
    skip = choices.below(16)
    content = choices.rest()
    reading = _whole(content, columns, chunk)
    with _file(content) as path:
        later = _read(path, columns, after_line=skip)
    expected = tuple(row for row in reading.rows if row.line > skip)
    if content[:2] != b"\x1f\x8b":
        require(later.rows == expected, f"after line {skip}, other rows follow")
    if reading.refusal is None:
        _count(content, reading)


def _count(content: bytes, reading: Reading) -> None:
    """As many rows as ``csv`` finds records when it is given all of the text at once."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return  # wrapped; damage would have been refused
    lead = text.lstrip("\r\n").partition("\n")[0].rstrip("\r")
    verbatim = lead == "TsvHttpData-1.0"
    delimiter = "\t" if verbatim or "\t" in lead else ","
    records = csv.reader(
        io.StringIO(text, newline=""),
        delimiter=delimiter,
        quoting=csv.QUOTE_NONE if verbatim else csv.QUOTE_MINIMAL,
    )
    found = sum(1 for record in records if record) - 1
    require(found == len(reading.rows), f"{found} records, but {len(reading.rows)} rows")


# Packed.


def _packed(data: bytes) -> None:
    choices = Choices(data)
    columns = _COLUMNS[choices.below(len(_COLUMNS))]
    chunk = CHUNKS[choices.below(len(CHUNKS))]
    wrapping = choices.below(4)
    harm, where = choices.below(3), choices.below(65_536)
    content = choices.rest()
    if wrapping & 1:
        content = _archive(content.split(PART))
    zipped = bool(wrapping & 2)
    if zipped:
        content = gzip.compress(content, 1, mtime=0)
    reading = _whole(content, columns, chunk)
    at = where % len(content) if content else 0
    if harm == 0 or not content or not wrapping:
        return
    if harm == 1:
        cut = _whole(content[:at], columns, chunk)
        require(cut.rows == reading.rows[: len(cut.rows)], "a cut list has other rows")
        require(cut.refusal is not None or cut == reading, "a cut list passes for a whole one")
    else:
        bent = content[:at] + bytes([content[at] ^ 1 << where % 8]) + content[at + 1 :]
        other = _whole(bent, columns, chunk)
        if zipped:
            require(other.refusal is not None or other == reading, "damage passes for a list")


_NAMES: Final = (
    "2017_11/train/images.csv", "2017_11/test/images.CSV", "README", "../../etc/x.csv", "._a.csv",
    "a" * 120 + "/b.tsv", "", "/x.csv", "train/ü.csv",
)  # fmt: skip


def _archive(contents: list[bytes]) -> bytes:
    """The first byte of each content chooses its name and kind."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for content in contents:
            choice, body = content[:1] or b"\0", content[1:]
            info = tarfile.TarInfo(_NAMES[choice[0] % len(_NAMES)])
            info.size = len(body)
            if choice[0] > 127:  # noqa: PLR2004  a tenth of the choices would do
                info.type, info.size = tarfile.DIRTYPE, 0
            archive.addfile(info, io.BytesIO(body))
    return packed.getvalue().rstrip(b"\0") + bytes(1024) if contents else packed.getvalue()


def _raw(data: bytes) -> None:
    """Archives and gzip files to the byte."""
    choices = Choices(data)
    chunk = CHUNKS[choices.below(len(CHUNKS))]
    zipped = choices.flag()
    content = choices.rest()
    _whole(gzip.compress(content, 1, mtime=0) if zipped else content, ColumnNames(), chunk)


def _small_tar(kind: int) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=kind) as archive:
        info = tarfile.TarInfo("t" * 40 + "/" + "n" * 90 + ".csv")
        body = b"url\nhttp://a/\n"
        info.size = len(body)
        archive.addfile(info, io.BytesIO(body))
    return packed.getvalue()[:4096]


# Ids.


def _ids(data: bytes) -> None:
    choices = Choices(data)
    chunk = CHUNKS[choices.below(len(CHUNKS))]
    with _file(choices.rest()) as path:
        found = _ids_in(path)
        with _in_chunks(chunk):
            require(_ids_in(path) == found, f"chunks of {chunk} bytes read otherwise")
    if isinstance(found, frozenset):
        require(found, "no id, and no refusal")
        require(all(i and "/" not in i and i == i.strip() for i in found), "an odd id")


def _ids_in(path: Path) -> frozenset[str] | str:
    try:
        return read_ids(path)
    except SourceError as error:
        return error.sentence


_TAKEN: Final = (
    "only SourceError; every record becomes a row or a bad row, in ascending lines; checked and "
    "read it is refused alike; how the bytes come in pieces does not matter"
)

TARGETS: Final = (
    Target(
        "list-text",
        f"{_TAKEN}; reading on after a line gives what follows it",
        _text,
        tuple(bytes([n % 4, n % 5, n]) + text for n, text in enumerate(TEXTS)),
        TEXT_WORDS,
    ),
    Target(
        "list-packed",
        f"{_TAKEN}; what is cut, or damaged under gzip, is refused, and the rows before a cut are "
        "those of the whole list",
        _packed,
        tuple(
            bytes([0, n % 5, wrapping, harm, 0, 77 * n % 256])
            + PART.join(bytes([m]) + text for m, text in enumerate(TEXTS[n : n + 2]))
            for n in range(len(TEXTS))
            for wrapping in (1, 2, 3)
            for harm in (1, 2)
        ),
        TEXT_WORDS,
    ),
    Target(
        "list-raw",
        _TAKEN,
        _raw,
        tuple(
            bytes([1, zipped]) + content
            for zipped in (0, 1)
            for content in (
                _small_tar(tarfile.USTAR_FORMAT),
                _small_tar(tarfile.GNU_FORMAT),
                _small_tar(tarfile.PAX_FORMAT),
                gzip.compress(b"url\nhttp://a/\n", mtime=0) * 2 + b"\0\0",
            )
        ),
        (b"path=", b"size=", b"GNU.sparse.", b"ustar\x0000", b"ustar  \0", b"11 path=a\n"),
        longest=6_000,
    ),
    Target(
        "ids",
        "only SourceError; ids are one or more, without slashes or white space around them",
        _ids,
        (
            b"\x01a\nb\nc\n",
            b"\x02ImageID,x\na,1\ntrain/b,2\n",
            b"\x03# ids\n\nid\tx\n\ta\n",
            b"\x04a,b\n",
            b"\x00" + gzip.compress(b"a\nb", mtime=0),
        ),
        TEXT_WORDS,
        longest=512,
    ),
)

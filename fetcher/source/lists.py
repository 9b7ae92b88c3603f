"""An image list: a file that holds one table of rows, or an archive with several.

What a file is, its content tells: gzip and Parquet by their magic, tar by the checksum of its first
header, TSV by its first line, and a table by a header with a column of URLs. In an archive, members
that end in .csv or .tsv and have such a header are tables; all others (READMEs, annotations,
folders) are passed over.
"""

from __future__ import annotations

import csv
import os
import shlex
import stat
from collections.abc import Callable, Iterator
from hashlib import blake2b
from itertools import chain
from pathlib import Path, PurePosixPath
from struct import Struct
from typing import Final, NamedTuple

from fetcher.errors import SourceError
from fetcher.model import Selection, SourceInfo
from fetcher.source import parquet
from fetcher.source.columns import (
    TSV_HTTP_DATA,
    TSV_HTTP_LAYOUT,
    ColumnNames,
    Layout,
    no_url_column,
    resolve,
)
from fetcher.source.streams import (
    GZIP_MAGIC,
    TAR_BLOCK,
    DamageError,
    Progress,
    TarStream,
    is_tar,
    peek,
    read_chunks,
    unpacked,
    unreadable,
)
from fetcher.source.table import RowMaker, Table, damaged, where
from fetcher.source.text import NOTHING, blocks_of, record_reader, sample_records
from fetcher.source.values import are_decimal

CHECK_BYTES: Final = 32 * 1024 * 1024
_HEAD_ROWS: Final = 4096
"""About a MiB of an Open Images list."""

_ISIZE: Final = Struct("<I")
"""The end of a gzip file: the unpacked length modulo 2**32 (RFC 1952 section 2.3.1)."""

_SUBSETS: Final = frozenset({"train", "validation", "test", "val"})
"""Folders in an archive that are subsets: V1 has images_2016_08/train/images.csv, and no column."""

_FOREIGN: Final = {
    b"PK\x03\x04": "a ZIP archive",
    b"BZh": "compressed with bzip2",
    b"\xfd7zXZ\x00": "compressed with xz",
    b"\x28\xb5\x2f\xfd": "compressed with zstd",
    b"SQLite format 3\x00": "an SQLite database",
    b"\xff\xfe": "text in UTF-16",
    b"\xfe\xff": "text in UTF-16",
}
"""What people have at hand and is not read; worth more than "no column holds URLs"."""


_NO_PIPES: Final = (
    "Lists are not read from standard input or a pipe: they are checked before anything is "
    "fetched, and read again by whoever resumes. Write it to a file, and name that."
)


class _State(NamedTuple):
    """Of a file: which one it is, and what changes when it is written to."""

    device: int
    inode: int
    size: int
    modified: int

    def is_older_than(self, other: _State) -> bool:
        """Whether ``other`` is the same file, written to since."""
        return self[:2] == other[:2] and self[2:] != other[2:]


def _state(path: Path) -> _State | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return _State(found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)


def open_list(
    path: str | os.PathLike[str],
    columns: ColumnNames,
    selection: Selection,
    *,
    check_bytes: int = CHECK_BYTES,
) -> ImageList:
    """The image list at ``path``; nothing is read yet. See ``ImageList.check``."""
    # Unlike Path.resolve, this keeps links: one that points elsewhere now is a changed list.
    absolute = Path(os.path.abspath(path))  # noqa: PTH100
    return ImageList(absolute, columns, selection, check_bytes)


class ImageList:
    """One file given as an image list."""

    def __init__(
        self, path: Path, columns: ColumnNames, selection: Selection, check_bytes: int
    ) -> None:
        self.path = path
        self._columns = columns
        self._selection = selection
        self._check_bytes = check_bytes

    @property
    def size(self) -> int:
        """Bytes, as they lie on disk. Raises SourceError if there is no such file."""
        return self._size()

    @property
    def fingerprint(self) -> str:
        """What changes when the rows may have changed; costs one stat.

        It covers the file's size and modification time, and the columns and selection that the
        list is read with. Raises SourceError if there is no such file.
        """
        try:
            status = self.path.stat()
        except OSError as error:
            raise unreadable(self.path, error) from error
        return f"{status.st_size}-{status.st_mtime_ns}-{self._manner}"

    def when_read(self) -> Callable[[], None]:
        """To be called when it has been read to its end: raises SourceError if the file was
        written to in between.

        Where that ends, a list that is still being written or downloaded seems to end, perhaps in
        the middle of a URL. One that was removed, or replaced by another file, has been read whole.
        """
        before = _state(self.path)

        def look() -> None:
            after = _state(self.path)
            if before is not None and after is not None and before.is_older_than(after):
                raise SourceError(
                    f"The image list {self.path} was written to while it was read.",
                    hint="Let what writes it come to its end, then give the same command again; "
                    "what was read is kept.",
                )

        return look

    @property
    def _manner(self) -> str:
        chosen = self._selection
        parts = (
            self._columns,
            None if chosen.subsets is None else sorted(chosen.subsets),
            None if chosen.ids is None else sorted(chosen.ids),
        )
        return blake2b(repr(parts).encode(), digest_size=8).hexdigest()

    def check(self, progress: Progress | None = None) -> None:
        """Refuse, with SourceError, what is no image list or is damaged; call it before fetching.

        A file of up to ``check_bytes`` is read to its end. Of a larger one only the beginning is,
        unless its length says that it was cut: a tar archive has a multiple of 512 bytes, and gzip
        states the unpacked length in its last four. Damage that this misses is found by ``rows``.
        A list that has a header and no rows is a list.
        """
        size = self._size()
        whole = size <= self._check_bytes or self._looks_cut(size)
        for table in self._tables(progress):
            table.skim(None if whole else _HEAD_ROWS)
            if not whole:
                return

    def tables(
        self, progress: Progress | None = None, *, on_thread: bool = False
    ) -> Iterator[Table]:
        """The tables in order of the file; an archive is read as a stream. ``on_thread``: packed
        ones are unpacked ``ahead``.

        Each must be read before the next is asked for: what is left of it by then is skipped, and
        reading on is a RuntimeError. Raises SourceError as ``check`` does.
        """
        return self._tables(progress, on_thread=on_thread)

    def _size(self) -> int:
        try:
            status = self.path.stat()
        except OSError as error:
            if self.path.name == "-":
                raise self._no_list("is not there", hint=_NO_PIPES) from error
            raise unreadable(self.path, error) from error
        if stat.S_ISDIR(status.st_mode):
            raise self._no_list("is a folder", hint="Name the files in it.")
        if not stat.S_ISREG(status.st_mode):
            raise self._no_list("is no regular file", hint=_NO_PIPES)
        return status.st_size

    def _looks_cut(self, size: int) -> bool:
        magic, packed = peek(read_chunks(self.path), len(GZIP_MAGIC))
        start, _ = peek(unpacked(packed), TAR_BLOCK)
        if not is_tar(start):
            return False
        if magic != GZIP_MAGIC:
            return size % TAR_BLOCK != 0
        with self.path.open("rb") as file:
            file.seek(-_ISIZE.size, os.SEEK_END)
            (unpacked_size,) = _ISIZE.unpack(file.read(_ISIZE.size))
        return bool(unpacked_size % TAR_BLOCK)

    def _tables(self, progress: Progress | None, *, on_thread: bool = False) -> Iterator[Table]:
        magic, packed = peek(read_chunks(self.path, progress), len(parquet.MAGIC))
        if not magic:
            raise self._no_list("is empty")
        if magic == parquet.MAGIC:
            yield parquet.table(self.path, self._columns, self._selection)
            return
        last: Table | None = None
        try:
            start, content = peek(unpacked(packed, on_thread=on_thread), TAR_BLOCK)
            if is_tar(start):
                found = self._members(content)
            else:
                found = self._single(start, content, packed=magic.startswith(GZIP_MAGIC))
            for last in found:
                yield last
        except DamageError as damage:
            raise damaged(str(self.path), damage, last.last_row if last else "") from damage

    def _single(self, start: bytes, content: Iterator[bytes], *, packed: bool) -> Iterator[Table]:
        for magic, kind in _FOREIGN.items():
            if start.startswith(magic):
                raise self._no_list(f"is {kind}, which cannot be read")
        opened = self._open(content, None)
        if not isinstance(opened, Table):
            raise self._without_urls(opened, None, packed=packed)
        yield opened

    def _members(self, content: Iterator[bytes]) -> Iterator[Table]:
        table: Table | None = None
        refusal = self._no_list("is an archive without any .csv or .tsv file")
        for member in TarStream(content):
            if not _may_be_table(member.name):
                continue
            before = table.last_row if table is not None else ""
            opened = self._open(member.chunks, member.name, before)
            if isinstance(opened, Table):
                table = opened
                yield table
            else:
                refusal = self._without_urls(opened, member.name)
        if table is None:
            raise refusal

    def _open(
        self, chunks: Iterator[bytes], member: str | None, before: str = ""
    ) -> Table | list[str]:
        """The table, or the header that makes it none."""
        blocks = blocks_of(chunks)
        first = next(blocks, NOTHING)
        lead = first.text.lstrip("\r\n").partition("\n")[0].rstrip("\r")
        delimiter = "\t" if "\t" in lead or lead == TSV_HTTP_DATA else ","
        records = record_reader(chain([first], blocks), delimiter, quoted=lead != TSV_HTTP_DATA)
        try:
            header = next(filter(None, records), [])
        except csv.Error:
            raise self._no_list("has a first line without end") from None
        if lead == TSV_HTTP_DATA:
            layout = TSV_HTTP_LAYOUT
        elif (told := resolve(header, self._columns, self._where(member))) is not None:
            layout = told
        else:
            return header
        maker = RowMaker(
            layout,
            self._selection,
            folder_subset=_folder_subset(member),
            decimal_ids=layout.maybe_decimal and _has_decimal_ids(first.text, delimiter, layout),
            delimiter=delimiter,
        )
        info = SourceInfo(str(self.path), member, layout.extra_names)
        return Table(info, records, maker, before=before)

    def _where(self, member: str | None) -> str:
        return f"The image list {where(str(self.path), member)}"

    def _without_urls(
        self, header: list[str], member: str | None, *, packed: bool = False
    ) -> SourceError:
        if not header:
            return self._no_list("has no header")
        from_urls = _from_urls(self.path, member, packed=packed)
        return no_url_column(header, self._columns, self._where(member), from_urls)

    def _no_list(self, what: str, *, hint: str = "") -> SourceError:
        return SourceError(
            f"{self._where(None)} {what}.",
            hint=hint
            or "Image lists are CSV or TSV files, plain, as .gz or in a .tar or .tar.gz; "
            "or Parquet files.",
        )


def _from_urls(path: Path, member: str | None, *, packed: bool) -> str:
    """The shell's command that makes a list of URLs, one on each line, into an image list.

    With that first line they need not be quoted, as CSV would have it of some. The new file is in
    the current folder, and named by the whole old name, so that it replaces nothing.
    """
    if member is not None:
        read = ["tar", "-xOf", str(path), member]
    else:
        read = [*(("gzip", "-dc") if packed else ("cat",)), str(path)]
    made = f"{PurePosixPath(member or path).name}.tsv"
    return f"(echo {TSV_HTTP_DATA}; {shlex.join(read)}) >{shlex.quote(made)}"


def _may_be_table(member: str) -> bool:
    name = PurePosixPath(member).name
    # macOS packs "._name" files beside the real ones.
    return name.lower().endswith((".csv", ".tsv")) and not name.startswith(".")


def _folder_subset(member: str | None) -> str:
    folder = PurePosixPath(member).parent.name if member is not None else ""
    return folder if folder in _SUBSETS else ""


def _has_decimal_ids(block: str, delimiter: str, layout: Layout) -> bool:
    records = filter(None, sample_records(block, delimiter))
    next(records, None)  # the header
    return layout.id is not None and are_decimal(
        record[layout.id] for record in records if len(record) > layout.id and record[layout.id]
    )

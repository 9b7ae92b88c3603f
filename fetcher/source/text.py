"""From bytes to blocks of whole lines, which ``csv.reader`` takes apart.

All work is done per block, none per line: 9.2 million rows pass through here. As in ``streams``,
everything that could be read is yielded before damage is raised.
"""

from __future__ import annotations

import codecs
import csv
import re
from collections.abc import Iterable, Iterator
from io import SEEK_END, StringIO
from itertools import chain
from typing import Final, Protocol

from fetcher.source.streams import DamageError, EncodingError

SAMPLE: Final = 64 * 1024
"""Characters that the first block has at least, if there are as many: the header is judged, and
how ids are written, by what is in them."""

MAX_FIELD: Final = 1024 * 1024
"""Characters of one cell. Python's default of 128 Ki is less than some ``data:`` URLs have; no
limit would let one stray quote swallow a list into memory."""

_MAX_LINE: Final = 4 * MAX_FIELD

NUL: Final = "\0"
SUBSTITUTE: Final = "\x1a"
"""What a NUL is read as: SQLite's functions take it for the end of a text. ECMA-48 has this control
character for just that, and like NUL itself it makes no id, no URL and no number.
"""
_NUL: Final = NUL.encode()
_SUBSTITUTE: Final = SUBSTITUTE.encode()


class RecordReader(Protocol):
    """Records with their position, as ``csv.reader`` gives them."""

    @property
    def line_num(self) -> int:
        """Lines taken so far; after a record, the number of its last line."""

    def __iter__(self) -> Iterator[list[str]]: ...

    def __next__(self) -> list[str]:
        """Raises csv.Error for a record with a field of more than ``MAX_FIELD`` characters; the
        next call goes on with the line after it.
        """


class Records:
    """A ``RecordReader`` over blocks of whole lines; between two records, what is left of a block
    can be looked at and passed over as a whole.
    """

    def __init__(self, blocks: Iterable[str], delimiter: str, *, quoted: bool = True) -> None:
        csv.field_size_limit(MAX_FIELD)  # of the whole process: csv knows no other
        self._blocks = iter(blocks)
        self._block = ""
        self._text = StringIO()
        self._looked_at = True
        self._next: str | None = None
        self._passed = 0
        self._reader = csv.reader(
            chain.from_iterable(self._texts()),
            delimiter=delimiter,
            quoting=csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE,
        )

    @property
    def line_num(self) -> int:
        return self._reader.line_num + self._passed

    def __iter__(self) -> Iterator[list[str]]:
        return self

    def __next__(self) -> list[str]:
        return next(self._reader)

    def ahead(self) -> str | None:
        """What follows of the block, or the next one if nothing does; each block is shown once.
        ``None`` if there is nothing to be shown. To be called between two records.
        """
        if self._text.tell() == len(self._block):
            if self._next is None:
                self._next = next(self._blocks, None)
                self._looked_at = False
            if self._looked_at or self._next is None:
                return None
            self._looked_at = True
            return self._next
        if self._looked_at:
            return None
        self._looked_at = True
        return self._block[self._text.tell() :]

    def skip(self, lines: int) -> None:
        """Pass over what was shown last, which has so many lines."""
        self._passed += lines
        if self._next is None:
            self._text.seek(0, SEEK_END)
        self._next = None

    def _texts(self) -> Iterator[StringIO]:
        """The reader asks for another one when it needs a line and has none."""
        while True:
            if self._next is not None:
                self._block, self._next = self._next, None
            elif (block := next(self._blocks, None)) is not None:
                self._block, self._looked_at = block, False
            else:
                return
            self._text = StringIO(self._block, newline="")
            yield self._text


def record_reader(blocks: Iterable[str], delimiter: str, *, quoted: bool = True) -> Records:
    return Records(blocks, delimiter, quoted=quoted)


def sample_records(block: str, delimiter: str) -> Iterator[list[str]]:
    """The records of the first ``SAMPLE`` characters; the last may be cut and is left out."""
    if len(block) > SAMPLE:
        block = block[: _end_of_lines(block[:SAMPLE])]
    try:
        yield from record_reader([block], delimiter)
    except csv.Error:
        return


def blocks_of(chunks: Iterable[bytes]) -> Iterator[str]:
    """The text, in blocks that end where a line ends; no line is longer than 4 MiB.

    A longer one becomes a line that ``csv`` refuses, so that it is counted and reported like any
    other row that cannot be used, and takes no memory.
    """
    tail = ""
    wanted = SAMPLE
    dropping = False
    damage: DamageError | None = None
    try:
        for text in _decoded(chunks):
            tail += text
            if dropping:
                tail, dropping = _after_line(tail)
            if dropping or len(tail) < wanted:
                continue
            if end := _end_of_lines(tail):
                yield tail[:end]
                tail, wanted = tail[end:], 0
            elif len(tail) > _MAX_LINE:
                yield "x" * (MAX_FIELD + 1) + "\n"
                tail, dropping = _after_line(tail)
    except DamageError as error:
        damage = error
        # What would have followed a carriage return at its end is not known any more.
        tail = tail[: max(tail.rfind("\n"), tail.rfind("\r")) + 1]
    if tail and not dropping:
        yield tail
    if damage is not None:
        raise damage


def _decoded(chunks: Iterable[bytes]) -> Iterator[str]:
    decoder = codecs.getincrementaldecoder("utf-8-sig")()
    try:
        for chunk in chunks:
            yield decoder.decode(chunk.replace(_NUL, _SUBSTITUTE))  # faster than in text
        yield decoder.decode(b"", final=True)
    except UnicodeDecodeError as error:
        yield error.object[: error.start].decode("utf-8")
        raise EncodingError(f"byte 0x{error.object[error.start]:02x} is not UTF-8") from error


def _end_of_lines(text: str) -> int:
    """Where the last whole line ends. A carriage return at the very end is not told yet: a line
    feed may follow.
    """
    return text.rfind("\n") + 1 or text.rfind("\r", 0, len(text) - 1) + 1


def _after_line(text: str) -> tuple[str, bool]:
    """What follows the first line of ``text``, and whether its end is still to come."""
    end = _LINE_END.search(text)
    return (text[end.end() :], False) if end else (text[-1:], True)


_LINE_END: Final = re.compile(r"\r\n|\n|\r(?=[^\n])")

"""From bytes to blocks of whole lines, which ``csv.reader`` takes apart.

All work is done per block, none per line: 9.2 million rows pass through here. A block keeps the
bytes that it was read from, as C reads these where it can (``ordinary``), and encoding them anew
would cost four times what decoding them does. As in ``streams``, everything that could be read is
yielded before damage is raised.
"""

from __future__ import annotations

import codecs
import csv
import re
from collections.abc import Iterable, Iterator
from io import SEEK_END, StringIO
from itertools import chain
from typing import Final, Protocol

from msgspec import Struct

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


class Block(Struct, frozen=True):
    """A text and its UTF-8."""

    text: str
    data: bytes

    @classmethod
    def of(cls, text: str) -> Block:
        return cls(text, text.encode())

    def parted(self, end: int) -> tuple[Block, Block]:
        """The first ``end`` characters, and the rest, which is to be short."""
        rest = Block.of(self.text[end:])
        return Block(self.text[:end], self.data[: len(self.data) - len(rest.data)]), rest


NOTHING: Final = Block("", b"")


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

    def __init__(self, blocks: Iterable[Block], delimiter: str, *, quoted: bool = True) -> None:
        csv.field_size_limit(MAX_FIELD)  # of the whole process: csv knows no other
        self._blocks = iter(blocks)
        self._block = NOTHING
        self._text = StringIO()
        self._looked_at = True
        self._next: Block | None = None
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

    def ahead(self) -> Block | None:
        """What follows of the block, or the next one if nothing does; each block is shown once.
        ``None`` if there is nothing to be shown. To be called between two records.
        """
        if self._text.tell() == len(self._block.text):
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
        return Block.of(self._block.text[self._text.tell() :])

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
            self._text = StringIO(self._block.text, newline="")
            yield self._text


def record_reader(blocks: Iterable[Block], delimiter: str, *, quoted: bool = True) -> Records:
    return Records(blocks, delimiter, quoted=quoted)


def sample_records(block: str, delimiter: str) -> Iterator[list[str]]:
    """The records of the first ``SAMPLE`` characters; the last may be cut and is left out."""
    if len(block) > SAMPLE:
        block = block[: _end_of_lines(block[:SAMPLE])]
    try:
        yield from record_reader([Block.of(block)], delimiter)
    except csv.Error:
        return


def blocks_of(chunks: Iterable[bytes]) -> Iterator[Block]:
    """The text, in blocks that end where a line ends; no line is longer than 4 MiB.

    A longer one becomes a line that ``csv`` refuses, so that it is counted and reported like any
    other row that cannot be used, and takes no memory.
    """
    tail = NOTHING
    wanted = SAMPLE
    dropping = False
    damage: DamageError | None = None
    try:
        for piece in _decoded(chunks):
            tail = Block(tail.text + piece.text, tail.data + piece.data)
            if dropping:
                tail, dropping = _after_line(tail)
            if dropping or len(tail.text) < wanted:
                continue
            if end := _end_of_lines(tail.text):
                block, tail = tail.parted(end)
                yield block
                wanted = 0
            elif len(tail.text) > _MAX_LINE:
                yield Block.of("x" * (MAX_FIELD + 1) + "\n")
                tail, dropping = _after_line(tail)
    except DamageError as error:
        damage = error
        # What would have followed a carriage return at its end is not known any more.
        tail, _ = tail.parted(max(tail.text.rfind("\n"), tail.text.rfind("\r")) + 1)
    if tail.text and not dropping:
        yield tail
    if damage is not None:
        raise damage


def _decoded(chunks: Iterable[bytes]) -> Iterator[Block]:
    """Without the mark at the front."""
    decoder = codecs.getincrementaldecoder("utf-8-sig")()
    held = b""
    first = True
    try:
        for chunk in chunks:
            data = chunk.replace(_NUL, _SUBSTITUTE)  # faster than in text
            text = decoder.decode(data)
            data, held = held + data, decoder.getstate()[0]  # what is not a character yet
            data = data[: len(data) - len(held)]
            if first and data:
                data, first = data.removeprefix(codecs.BOM_UTF8), False
            if text:
                yield Block(text, data)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError as error:
        yield Block.of(error.object[: error.start].decode("utf-8"))
        raise EncodingError(f"byte 0x{error.object[error.start]:02x} is not UTF-8") from error


def _end_of_lines(text: str) -> int:
    """Where the last whole line ends. A carriage return at the very end is not told yet: a line
    feed may follow.
    """
    return text.rfind("\n") + 1 or text.rfind("\r", 0, len(text) - 1) + 1


def _after_line(block: Block) -> tuple[Block, bool]:
    """What follows its first line, and whether that one's end is still to come."""
    end = _LINE_END.search(block.text)
    return Block.of(block.text[end.end() :] if end else block.text[-1:]), end is None


_LINE_END: Final = re.compile(r"\r\n|\n|\r(?=[^\n])")

"""Ordinary lines: those that need no second look, which nearly all of nine million are.

A line of a layout is ordinary if every cell is what it should be: an id that may be a file's name,
a plain URL, a size in digits, an MD5 as every encoder writes it, and elsewhere anything on one
line, in quotes or not (``fetcher.lines`` says it to the byte). A block of text is a *span* if it is
such lines from end to end; then one call cuts it, and judges on the way. Anything else in a block,
be it one odd byte, and the block goes the way of ``csv`` and ``table.RowMaker``, which say what
each record means. Whatever is ordinary, they would take for the same row.

Cells that are only kept, and not looked at, stay together as they are written, as many as lie side
by side.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from itertools import count
from typing import Final

from msgspec import Struct

from fetcher import lines
from fetcher.lines import Cut, Part, unquoted
from fetcher.model import Expectation, Row
from fetcher.policy.licences import column
from fetcher.source.columns import Layout
from fetcher.source.text import Block

_LONGEST: Final = 1 << 17
"""Bytes of a block that may be ordinary: no cell in it is longer than csv allows anybody."""
_PATIENCE: Final = 256
"""Blocks in a row that are not ordinary, before a list is taken for one of another kind."""
_BYTES: Final = 8
"""Of a cut."""


class Places(Struct, frozen=True):
    """Which of a line's cuts is what."""

    id: int
    subset: int | None
    url: int
    origin: int
    """Scheme and authority of the URL, as far as its path."""
    size: int | None
    md5: int | None
    extra: tuple[int, ...]
    """Further cells as they are written, with the delimiters between them."""
    columns: int
    """How many of these there are."""
    apart: tuple[int, int] | None
    """The licence, which repeats itself: as it is written, and its number among all further columns
    (``columns`` does not count it).
    """
    delimiter: str
    width: int
    """Cuts of a line."""


class Span(Struct, frozen=True):
    """Lines in a row that are a row each."""

    line: int
    """Of the first."""
    part: Part
    width: int

    @property
    def count(self) -> int:
        return len(self.part[1]) // (_BYTES * self.width)

    @property
    def through(self) -> int:
        return self.line + self.count - 1

    def after(self, line: int) -> Span:
        """What comes after ``line``; nothing, if that is beyond it."""
        if line < self.line:
            return self
        text, cuts = self.part
        rest = cuts[(line + 1 - self.line) * _BYTES * self.width :]
        return Span(line + 1, (text, rest), self.width)

    @property
    def last(self) -> Span:
        """The last line alone."""
        return self.after(self.through - 1)


class Ordinary:
    """What is ordinary in a table of one layout. ``folder_subset`` as for ``RowMaker``."""

    def __init__(self, layout: Layout, delimiter: str, folder_subset: str, cut: Cut) -> None:
        assert layout.id is not None  # noqa: S101  see ordinary()
        self._kinds, self.places = _described(layout, delimiter)
        self.folder_subset: Final = folder_subset
        self._cut = cut
        self._refused = 0

    @property
    def hopeless(self) -> bool:
        """Looking for more would be a waste."""
        return self._refused >= _PATIENCE

    def span(self, block: Block, line: int) -> Span | None:
        """The lines of ``block``, the first of which is ``line``, if all are ordinary."""
        if len(block.data) <= _LONGEST:
            cuts = self._cut(block.data, self._kinds, self.places.delimiter)
            if cuts is not None:
                self._refused = 0
                return Span(line, (block.data, cuts), self.places.width)
        self._refused += 1
        return None

    def rows(self, span: Span) -> Iterator[Row]:
        at, subset = self.places, self.folder_subset
        lines = cells_of(span)
        for line, cells, extra in zip(count(span.line), lines, self._extras(lines)):
            size = None if at.size is None else int(cells[at.size] or 0) or None
            md5 = None if at.md5 is None else cells[at.md5] or None
            yield Row(
                line,
                cells[at.id],
                subset if at.subset is None else cells[at.subset],
                cells[at.url],
                Expectation(size, md5),
                extra,
            )

    def _extras(self, lines: Sequence[tuple[str, ...]]) -> Iterator[tuple[str, ...]]:
        at = self.places
        written = (at.delimiter.join([cells[place] for place in at.extra]) for cells in lines)
        nothing = [""] * at.columns  # for csv, one empty cell is none
        records = csv.reader(written, delimiter=at.delimiter)
        for cells, record in zip(lines, records, strict=True):
            extra = record or nothing[:]
            if at.apart is not None:
                place, number = at.apart
                extra.insert(number, unquoted(cells[place]))
            yield tuple(extra)


def ordinary(
    layout: Layout, delimiter: str, folder_subset: str, *, decimal_ids: bool
) -> Ordinary | None:
    """``None`` where each row has to be looked at: where ids are decimal, or made of URLs, where
    cells may be left out, or where one column is used as two things; and where nothing is cut.
    """
    used = [layout.url, layout.id, layout.subset, layout.size, layout.md5]
    present = [at for at in used if at is not None]
    if (
        lines.cut is None
        or layout.id is None
        or decimal_ids
        or layout.least != len(layout.header)
        or len(set(present)) != len(present)
    ):
        return None
    return Ordinary(layout, delimiter, folder_subset, lines.cut)


def cells_of(span: Span) -> list[tuple[str, ...]]:
    """All cells of its lines, by ``Places``."""
    from fetcher.lines import _lines  # noqa: PLC0415  it made the span, so it is there

    return _lines.cells([span.part], span.width)


def _described(layout: Layout, delimiter: str) -> tuple[bytes, Places]:
    """The columns' kinds, and where their cells are."""
    licence = column(layout.extra_names)
    apart = None if licence is None else layout.extra[licence]
    roles = {
        layout.url: "u",
        layout.id: "i",
        layout.subset: "s",
        layout.size: "n",
        layout.md5: "d",
        apart: "l",
    }
    kinds = "".join(roles.get(at, "x") for at in range(len(layout.header)))
    places: dict[int, int] = {}
    extra: list[int] = []
    width = 0
    for at, kind in enumerate(kinds):
        if kind == "x":
            if kinds[at - 1 : at] == "x":
                continue  # is in the cut before
            extra.append(width)
        places[at] = width
        width += 2 if kind == "u" else 1
    assert layout.id is not None  # noqa: S101  likewise
    return kinds.encode(), Places(
        id=places[layout.id],
        subset=None if layout.subset is None else places[layout.subset],
        url=places[layout.url],
        origin=places[layout.url] + 1,
        size=None if layout.size is None else places[layout.size],
        md5=None if layout.md5 is None else places[layout.md5],
        extra=tuple(extra),
        columns=len(layout.extra) - (apart is not None),
        apart=None if apart is None or licence is None else (places[apart], licence),
        delimiter=delimiter,
        width=width,
    )

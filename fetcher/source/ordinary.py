"""Ordinary lines: those that need no second look, which nearly all of nine million are.

One expression describes a line of a layout in which every cell is what it should be: an id that may
be a file's name, a plain URL, a size in digits, an MD5 as every encoder writes it, and elsewhere
anything on one line, in quotes or not. A block of text is a *span* if it is such lines from end to
end; then it is taken apart by one call that runs in C and judges on the way. Anything else in a
block, be it one odd byte, and the block goes the way of ``csv`` and ``table.RowMaker``, which say
what each record means. Whatever the expression takes, they would take for the same row.

Cells that are only kept, and not looked at, stay together as they are written, as many as lie side
by side: taking each apart would cost as much as all the rest.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from itertools import count
from typing import Final

from msgspec import Struct

from fetcher.model import Expectation, Row
from fetcher.policy.licences import column
from fetcher.source.columns import Layout

Cells = tuple[str, ...]
"""What the expression takes of a line, by ``Places``."""

_LONGEST: Final = 1 << 17
"""Characters of a block that may be ordinary: no cell in it is longer than csv allows anybody."""
_STRAY: Final = re.compile(r"\r(?!\n)")
"""A carriage return that ends a line by itself."""
_PATIENCE: Final = 256
"""Blocks in a row that are not ordinary, before a list is taken for one of another kind."""

# All repeats are possessive: a line that does not match is given up at once. What is between the
# groups ends each of them, so none could give anything back that would make a match.
_NAME: Final = r"([A-Za-z0-9_-]{1,64}+)"
"""A part of what ``policy.paths`` passes at first glance."""
_SUBSET: Final = r"([A-Za-z0-9_-]{0,64}+)"
_URL: Final = r"((https?://[a-z0-9.:-]++)/[!#-+\--~]*+)"
"""Printable ASCII without quotes, commas and spaces; its origin is in lower case, and has no user.
"""
_SIZE: Final = "([1-9][0-9]{0,14}+|)"
"""Below ``values`` limit of 2**53."""
_MD5: Final = "([A-Za-z0-9+/]{21}[AQgw]==|)"


class Places(Struct, frozen=True):
    """Where in ``Cells`` what is."""

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


class Span(Struct, frozen=True):
    """Lines in a row that are a row each."""

    line: int
    """Of the first."""
    lines: list[Cells]

    @property
    def through(self) -> int:
        return self.line + len(self.lines) - 1

    def after(self, line: int) -> Span:
        """What comes after ``line``; nothing, if that is beyond it."""
        if line < self.line:
            return self
        return Span(line + 1, self.lines[line + 1 - self.line :])


class Ordinary:
    """What is ordinary in a table of one layout. ``folder_subset`` as for ``RowMaker``."""

    def __init__(self, layout: Layout, delimiter: str, folder_subset: str) -> None:
        assert layout.id is not None  # noqa: S101  see ordinary()
        columns, places = _described(layout, delimiter)
        # Only behind a line's end may a line begin; that it is the one before, the count tells.
        self._expression = re.compile("^" + delimiter.join(columns) + "\r?\n", re.MULTILINE)
        self.places: Final = places
        self.folder_subset: Final = folder_subset
        self._refused = 0

    @property
    def hopeless(self) -> bool:
        """Looking for more would be a waste."""
        return self._refused >= _PATIENCE

    def span(self, text: str, line: int) -> Span | None:
        """The lines of ``text``, the first of which is ``line``, if all are ordinary."""
        if len(text) <= _LONGEST and text.endswith("\n") and not _STRAY.search(text):
            lines: list[Cells] = self._expression.findall(text)
            # Each match has a line feed, and no two have the same; so each has but one.
            if len(lines) == text.count("\n"):
                self._refused = 0
                return Span(line, lines)
        self._refused += 1
        return None

    def rows(self, span: Span) -> Iterator[Row]:
        at, subset = self.places, self.folder_subset
        for line, cells, extra in zip(count(span.line), span.lines, self._extras(span.lines)):
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

    def _extras(self, lines: list[Cells]) -> Iterator[tuple[str, ...]]:
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
    cells may be left out, or where one column is used as two things.
    """
    used = [layout.url, layout.id, layout.subset, layout.size, layout.md5]
    present = [at for at in used if at is not None]
    if (
        layout.id is None
        or decimal_ids
        or layout.least != len(layout.header)
        or len(set(present)) != len(present)
    ):
        return None
    return Ordinary(layout, delimiter, folder_subset)


def unquoted(cell: str) -> str:
    """What an ordinary cell says."""
    return cell[1:-1] if cell.startswith('"') else cell


def _described(layout: Layout, delimiter: str) -> tuple[list[str], Places]:
    roles = {
        layout.url: _URL,
        layout.id: _NAME,
        layout.subset: _SUBSET,
        layout.size: _SIZE,
        layout.md5: _MD5,
    }
    columns: list[str] = []
    places: dict[int, int] = {}
    extra: list[int] = []
    taken = 0
    licence = column(layout.extra_names)
    apart = None if licence is None else layout.extra[licence]
    for at in range(len(layout.header)):
        if at in roles:
            columns.append(roles[at])
            places[at] = taken
            taken += roles[at].count("(")
            continue
        # Sets of one character are the fastest. A line feed that one takes is told by the count.
        end = r"\r\n" if at == len(layout.header) - 1 else ""
        cell = f'(?:"[^"]*+"|(?!")[^{delimiter}{end}]*+)'
        if at > 0 and at - 1 not in roles and apart not in {at, at - 1}:
            columns[-1] = f"{columns[-1][:-1]}{delimiter}{cell})"
            continue
        columns.append(f"({cell})")
        if at == apart:
            places[at] = taken
        else:
            extra.append(taken)
        taken += 1
    assert layout.id is not None  # noqa: S101  likewise
    return columns, Places(
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
    )

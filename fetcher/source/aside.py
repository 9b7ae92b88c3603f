"""What is said between a process that reads a list aside and the one that imports it.

The reader has the first word, and waits where a reply is due: at the beginning of a table, which
may have been read already, and before it stages rows that name a host (or so) for the first time,
as only the manifest knows by which number it keeps that. All else it only tells: rows that it made
ready (``StagedRows``), rows that want to be looked at one by one, and how it ended.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

from msgspec import Struct

from fetcher.errors import SourceError
from fetcher.lines import Part
from fetcher.model import BadRow, Row, SourceInfo
from fetcher.ports import NameNumbers, NamesToNumber, StagedRows
from fetcher.source.lists import ImageList
from fetcher.source.ordinary import Places, Span
from fetcher.source.table import Table

FIRST: Final = 500
"""Rows of the first batch of a table: fetching waits for it."""
BATCH: Final = 1_000
"""Rows that are committed together: some ten milliseconds of work."""
STAGED: Final = 2_500
"""The same of rows that were staged."""
STAGED_BYTES: Final = 4 << 20
"""Of lines so long that they are fewer: several times this is held in each of two processes."""


class Opened(Struct, frozen=True):
    """A table begins. The reply is the line after which to go on, or ``None`` to pass it over."""

    info: SourceInfo


class Rows(Struct, frozen=True):
    """A batch to be looked at row by row."""

    rows: list[Row | BadRow]


class TableRead(Struct, frozen=True):
    """The table was read to its end."""


class ListRead(Struct, frozen=True):
    """The last word, if there is nothing wrong with the list."""


class Damage(Struct, frozen=True):
    """The last word: what a ``SourceError`` says."""

    sentence: str
    hint: str


Message = Opened | Rows | NamesToNumber | StagedRows | TableRead | ListRead | Damage


class Stager(Protocol):
    """``fetcher.manifest.staging.Stager``."""

    def stage(self, line: int, parts: Sequence[Part]) -> StagedRows | None: ...

    def close(self) -> None: ...


MakeStager = Callable[[Places, str, Callable[[NamesToNumber], NameNumbers]], Stager]


class Link(Protocol):
    """The reader's end."""

    def send(self, message: Message) -> None: ...

    def receive(self) -> Any:
        """The reply to the last message."""


def read_aside(image_list: ImageList, make_stager: MakeStager | None, link: Link) -> None:
    """Tell all of a list; rows are staged if there is what they are staged by."""
    try:
        for table in image_list.tables(on_thread=True):
            link.send(Opened(table.info))
            after_line: int | None = link.receive()
            if after_line is not None:
                _Telling(table, make_stager, link).tell(after_line)
                link.send(TableRead())
    except SourceError as damage:
        link.send(Damage(damage.sentence, damage.hint or ""))
    else:
        link.send(ListRead())


class _Telling:
    """One table on its way: what is gathered for the next message."""

    def __init__(self, table: Table, make_stager: MakeStager | None, link: Link) -> None:
        self._table = table
        self._make_stager = make_stager
        self._link = link
        self._rows: list[Row | BadRow] = []
        self._wanted = FIRST
        self._spans: list[Span] = []
        """One after the other, without a line between them."""
        self._bytes = 0
        """Of their texts."""
        self._stager: Stager | None = None

    def tell(self, after_line: int) -> None:
        try:
            for part in self._table.parts(after_line):
                if not isinstance(part, Span):
                    self._flush_spans()
                    self._add(part)
                elif self._stager is not None:
                    self._extend(part)
                else:
                    for row in self._table.rows_of(part):
                        self._add(row)
        finally:  # what could be read is told before what is wrong
            self._flush_spans()
            self._flush_rows()
            if self._stager is not None:
                self._stager.close()

    def _add(self, row: Row | BadRow) -> None:
        self._rows.append(row)
        if len(self._rows) >= self._wanted:
            self._flush_rows()

    def _extend(self, span: Span) -> None:
        self._flush_rows()
        if self._spans and span.line != self._spans[-1].through + 1:
            self._flush_spans()
        self._spans.append(span)
        self._bytes += len(span.part[0])
        if span.through - self._spans[0].line + 1 >= STAGED or self._bytes >= STAGED_BYTES:
            self._flush_spans()

    def _flush_spans(self) -> None:
        spans, self._spans, self._bytes = self._spans, [], 0
        if not spans or self._stager is None:
            return
        staged = self._stager.stage(spans[0].line, [span.part for span in spans])
        if staged is None:
            rows: list[Row | BadRow] = []
            for span in spans:
                rows.extend(self._table.rows_of(span))
            self._link.send(Rows(rows))
        else:
            self._link.send(staged)

    def _flush_rows(self) -> None:
        rows, self._rows = self._rows, []
        if not rows:
            return
        self._link.send(Rows(rows))
        ordinary = self._table.ordinary
        if ordinary is not None and self._make_stager is not None and self._stager is None:
            self._stager = self._make_stager(ordinary.places, ordinary.folder_subset, self._number)
        self._wanted = BATCH

    def _number(self, names: NamesToNumber) -> NameNumbers:
        self._link.send(names)
        numbers: NameNumbers = self._link.receive()
        return numbers

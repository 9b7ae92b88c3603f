"""From records to rows: what makes an asset, or why it cannot.

Nothing is dropped in silence: a record becomes a ``Row``, or a ``BadRow`` with one of ``REASONS``.
Not records are the header and blank lines (nothing but a line end), as in csv; and rows that the
selection does not want are as if they were not in the list. URLs are not judged here, and cells
that are kept beside the asset are kept to the byte.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from io import StringIO
from operator import itemgetter
from typing import Final

from fetcher.errors import SourceError
from fetcher.model import BadRow, Expectation, Row, Selection, SourceInfo
from fetcher.policy.paths import id_fault
from fetcher.source.columns import Layout
from fetcher.source.ordinary import Ordinary, Span, cells_of, ordinary
from fetcher.source.streams import DamageError
from fetcher.source.text import MAX_FIELD, RecordReader, Records
from fetcher.source.values import RefusedError, hex_id, parse_md5, parse_size, url_id

_TEXT: Final = 1000
"""Characters of a bad row that are kept."""


class Table:
    """The rows of one CSV stream: of a file, or of a member of an archive. Read once, in order."""

    def __init__(
        self, info: SourceInfo, records: RecordReader, maker: RowMaker, *, before: str = ""
    ) -> None:
        """``records`` has the header behind it; ``before`` is the last row of the table before."""
        self.info = info
        self._records = records
        self._maker = maker
        self._before = before
        self._taken = False
        self._last: tuple[int, list[str] | Span] = (0, [])

    def rows(self, after_line: int = 0) -> Iterator[Row | BadRow]:
        """The rows after line ``after_line``, for an import that goes on where it was stopped.

        Raises SourceError where the list is damaged, with the last good row. A table can be read
        once, and one of an archive only until the next table is asked for: RuntimeError.
        """
        for part in self.parts(after_line):
            if isinstance(part, Span):
                yield from self.rows_of(part)
            else:
                yield part

    def parts(self, after_line: int = 0) -> Iterator[Span | Row | BadRow]:
        """The same rows; where they are ordinary, as spans of lines. Of these, the selection may
        not want all.
        """
        maker = self._maker
        if not maker.wants_any:
            return
        make = maker.make
        for line, record in self._numbered():
            if isinstance(record, Span):
                if record.through > after_line:
                    yield record.after(after_line)
                continue
            if line <= after_line:
                continue
            row = make(line, record) if record is not None else _oversized(line)
            if row is not None:
                yield row

    def rows_of(self, span: Span) -> Iterator[Row]:
        """The rows of one of its spans."""
        return self._maker.rows(span)

    @property
    def ordinary(self) -> Ordinary | None:
        """What spans of this table are, if there may be any and the selection wants all of them."""
        return self._maker.ordinary if self._maker.wants_all else None

    def skim(self, at_most: int | None = None) -> None:
        """Read that many records (and the rest of their block), or all, for damage alone; raises
        as ``rows`` does.
        """
        read = 0
        for _, record in self._numbered():
            read += record.count if isinstance(record, Span) else 1
            if at_most is not None and read >= at_most:
                return

    @property
    def last_row(self) -> str:
        """For messages: where reading stood when it met damage or the end."""
        line, record = self._last
        if not line:
            return self._before
        member = f" of {self.info.member}" if self.info.member else ""
        if isinstance(record, Span):
            line, image_id = record.through, self._maker.last_id(record)
        else:
            image_id = self._maker.identify(record)
        return f"The last good row is line {line}{member}, id {image_id}."

    def _numbered(self) -> Iterator[tuple[int, list[str] | Span | None]]:
        """Records and spans with the number of their first line; ``None`` for a record that csv
        refuses.
        """
        name = where(self.info.list_path, self.info.member)
        if self._taken:
            raise RuntimeError(f"the rows of {name} were asked for twice")
        self._taken = True
        records = self._records
        start = records.line_num + 1
        line: int = 0
        record: list[str] | Span = []
        while True:
            try:
                for found in self._found():
                    first, start = start, records.line_num + 1
                    if found:
                        line, record = first, found
                        yield line, record
            except csv.Error:
                first, start = start, records.line_num + 1
                yield first, None
            except DamageError as damage:
                self._last = line, record
                place = f"{name}, line {records.line_num + 1}"
                raise damaged(place, damage, self.last_row) from damage
            else:
                self._last = line, record
                return

    def _found(self) -> Iterator[list[str] | Span]:
        """Spans where a block has nothing but ordinary lines, and else records."""
        records, ordinary = self._records, self._maker.ordinary
        if ordinary is None or not isinstance(records, Records):
            yield from records
            return
        while not ordinary.hopeless:
            while (block := records.ahead()) is not None:
                span = ordinary.span(block, records.line_num + 1)
                if span is None:
                    break
                records.skip(span.count)
                yield span
            if (record := next(records, None)) is None:
                return
            yield record
        yield from records


class RowMaker:
    """Makes rows of records, by one layout and one selection."""

    def __init__(
        self,
        layout: Layout,
        selection: Selection,
        *,
        folder_subset: str = "",
        decimal_ids: bool = False,
        delimiter: str = ",",
    ) -> None:
        """``folder_subset`` holds where the layout has no column of subsets."""
        self._width = len(layout.header)
        self._least = layout.least
        self._url = layout.url
        self._id = layout.id
        self._subset = layout.subset
        self._size = layout.size
        self._md5 = layout.md5
        self._extra = _picker(layout.extra)
        self._wants = None if selection.everything else selection.wants
        self.wants_any = (
            layout.subset is not None
            or selection.subsets is None
            or folder_subset in selection.subsets
        )
        self._folder_subset = folder_subset
        self._decimal_ids = decimal_ids
        self._delimiter = delimiter
        self.wants_all = selection.everything
        self.ordinary = ordinary(layout, delimiter, folder_subset, decimal_ids=decimal_ids)
        self._known_subset = ""
        """The last one that has no fault: lists come in runs of one subset."""

    def rows(self, span: Span) -> Iterator[Row]:
        """Those that the selection wants; of the ordinary ones of this layout."""
        assert self.ordinary is not None  # noqa: S101  it made the span
        rows, wants = self.ordinary.rows(span), self._wants
        if wants is None:
            return rows
        return (row for row in rows if wants(row.subset, row.image_id))

    def last_id(self, span: Span) -> str:
        assert self.ordinary is not None  # noqa: S101  likewise
        return cells_of(span.last)[0][self.ordinary.places.id]

    def make(self, line: int, record: list[str]) -> Row | BadRow | None:
        """``None`` if the selection does not want it."""
        try:
            return self._row(line, record)
        except RefusedError as refused:
            text = StringIO()
            # With its default line end the writer quotes both CR and LF.
            csv.writer(text, delimiter=self._delimiter).writerow(record)
            cut = text.getvalue().removesuffix("\r\n")[:_TEXT]
            return BadRow(line, refused.reason, refused.detail, cut)

    def _row(self, line: int, record: list[str]) -> Row | None:
        if len(record) != self._width:
            record = self._filled(record)
        url = record[self._url].strip()
        image_id = self._image_id(record, url)
        subset = self._folder_subset if self._subset is None else record[self._subset]
        if self._wants is not None and not self._wants(subset, image_id):
            return None
        if fault := id_fault(image_id):
            raise RefusedError("unsafe-id" if image_id else "missing-id", fault)
        if subset != self._known_subset:
            if subset and (fault := id_fault(subset)):
                raise RefusedError("unsafe-subset", fault)
            self._known_subset = subset
        size = None if self._size is None else parse_size(record[self._size])
        md5 = None if self._md5 is None else parse_md5(record[self._md5])
        return Row(line, image_id, subset, url, Expectation(size, md5), self._extra(record))

    def _filled(self, record: list[str]) -> list[str]:
        """With the cells that may be left out at its end."""
        if not self._least <= len(record) <= self._width:
            found = "1 column" if len(record) == 1 else f"{len(record)} columns"
            raise RefusedError("wrong-column-count", f"{found} where the header has {self._width}")
        return record + [""] * (self._width - len(record))

    def identify(self, record: list[str]) -> str:
        """The record's id as far as it can be told, for messages."""
        try:
            return self._image_id(record, record[self._url].strip())
        except (IndexError, RefusedError):
            return ""

    def _image_id(self, record: list[str], url: str) -> str:
        if self._id is None:
            return url_id(url) if url else ""
        image_id = record[self._id]
        return hex_id(image_id) if self._decimal_ids and image_id else image_id


def where(list_path: str, member: str | None) -> str:
    """How messages name a table."""
    return f"{list_path} ({member})" if member is not None else list_path


def damaged(place: str, damage: DamageError, last_row: str) -> SourceError:
    """The error for a damaged list, at ``place``; ``last_row`` as ``Table.last_row`` says it."""
    last = last_row or "No row was read before that."
    return SourceError(
        f"The image list is damaged: {place}: {damage}. {last}",
        hint=damage.hint,
    )


def _oversized(line: int) -> BadRow:
    detail = f"a cell has more than {MAX_FIELD:,} characters"
    return BadRow(line, "oversized-field", detail, "")


def _picker(positions: tuple[int, ...]) -> Callable[[list[str]], tuple[str, ...]]:
    if not positions:
        return lambda _: ()
    if len(positions) == 1:
        (at,) = positions
        return lambda record: (record[at],)
    return itemgetter(*positions)

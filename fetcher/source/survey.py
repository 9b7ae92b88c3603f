"""From lists to what is in them, without a manifest: the same rows, judged as an import would.

Two passes: over the rows of the lists, then over the partitions in which rows with the same id have
met (``repeats``). Only the second knows which rows are accepted, so all that is counted of them is
counted there. Memory does not grow with the lists: kinds of images are bounded, as are examples.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from heapq import nsmallest
from itertools import chain, islice
from typing import Final, Protocol

from msgspec import Struct

from fetcher.model import BadRow, Row, RowTally
from fetcher.policy.planning import Amount, Example, Kind, Survey, bin_of
from fetcher.source.lists import ImageList
from fetcher.source.repeats import Met, Repeats
from fetcher.source.streams import Progress
from fetcher.source.table import Table, where

EXAMPLES: Final = 3
"""Of each reason."""
KINDS: Final = 100_000
"""Hosts times subsets that are told apart; about 300 bytes each."""
OTHER_HOSTS: Final = "…"

_SAMPLE: Final = 2_000
"""Rows of each table whose texts are measured."""


class Standing(Protocol):
    """Where an asset stands by its URL alone."""

    @property
    def code(self) -> str | None: ...

    @property
    def host(self) -> str: ...


class Manner(Struct, frozen=True):
    """How lists are surveyed. ``standing`` must be the import's own."""

    standing: Callable[[str], Standing]
    block: int
    """Bytes that a file's size is rounded up to."""
    max_bytes: int
    """Above this an image is not fetched whole."""


class Surveyor:
    def __init__(self, manner: Manner) -> None:
        self._manner = manner
        self._survey = Survey()
        self._kinds: dict[Kind, int] = {}
        self._tables: list[str] = []
        self._read = 0
        self._text = _Mean()

    @property
    def read(self) -> int:
        """Rows so far."""
        return self._read

    def survey(self, lists: Sequence[ImageList], progress: Progress | None = None) -> Survey:
        """Raises ``SourceError`` for a list that is damaged, ``StoreError`` for want of room."""
        with Repeats() as repeats:
            for table in _tables(lists, progress):
                self._take(table, repeats)
            self._sort_out(repeats)
        survey = self._survey
        survey.text = self._text.value
        rejected = survey.reasons.total()
        accepted = sum(amount.images for amount in survey.amounts.values())
        survey.rows = RowTally(self._read, accepted, self._read - accepted - rejected, rejected)
        return survey

    def _take(self, table: Table, repeats: Repeats) -> None:
        number = len(self._tables)
        self._tables.append(where(table.info.list_path, table.info.member))
        rows = table.rows()
        sample = list(islice(rows, _SAMPLE))
        self._text.add(sample)
        standing, kinds, add = self._manner.standing, self._kinds, repeats.add
        for row in chain(sample, rows):
            self._read += 1
            if isinstance(row, BadRow):
                self._reject(number, row)
                continue
            stands = standing(row.url)
            kind = kinds.get(Kind(row.subset, stands.host, stands.code))
            if kind is None:
                kind = self._new_kind(row.subset, stands)
            add(row, kind, number)
            self._text.rows += 1

    def _new_kind(self, subset: str, stands: Standing) -> int:
        kind = Kind(subset, stands.host, stands.code)
        if len(self._kinds) >= KINDS:
            self._survey.folded = True
            kind = Kind(OTHER_HOSTS, OTHER_HOSTS, stands.code)
        return self._kinds.setdefault(kind, len(self._kinds))

    def _sort_out(self, repeats: Repeats) -> None:
        amounts = [Amount() for _ in self._kinds]
        first: list[tuple[Met, Met]] = []
        for records in repeats.partitions():
            conflicts: list[tuple[Met, Met]] = []
            self._count(_accepted(records, conflicts), amounts)
            if conflicts:
                self._survey.reasons["conflicting-id"] += len(conflicts)
                first = nsmallest(EXAMPLES, chain(first, conflicts), key=lambda pair: pair[0].at)
        self._survey.examples += (self._conflict(later, earlier) for later, earlier in first)
        self._survey.examples.sort(key=lambda example: example.reason)
        self._survey.amounts = {
            kind: amounts[number] for kind, number in self._kinds.items() if amounts[number].images
        }

    def _count(
        self, records: Iterable[tuple[bytes, int, bytes, int, int, int]], amounts: list[Amount]
    ) -> None:
        survey, manner = self._survey, self._manner
        block, max_bytes = manner.block, manner.max_bytes
        fetched = {number for kind, number in self._kinds.items() if kind.code is None}
        sizes: Counter[int] = Counter()
        for _, _, md5, size, kind, _ in records:
            amount = amounts[kind]
            amount.images += 1
            if size >= 0:
                amount.bytes += size
                sizes[size] += 1
            else:
                amount.unsized += 1
            if kind not in fetched:
                continue
            if not md5[0]:  # filled up with zeros
                survey.without_md5 += 1
                survey.uncheckable += size < 0
            if size >= 0:
                survey.rounded += -(-size // block) * block
                survey.too_large += size > max_bytes
        if sizes:
            survey.smallest = min(sizes if survey.smallest is None else (*sizes, survey.smallest))
            survey.largest = max(sizes if survey.largest is None else (*sizes, survey.largest))
        for size, n in sizes.items():
            survey.sizes[bin_of(size)] += n

    def _conflict(self, later: Met, first: Met) -> Example:
        differs = " and ".join(
            name
            for name, new, old in (
                ("URL", later.url, first.url),
                ("size", later.size, first.size),
                ("MD5", later.md5, first.md5),
            )
            if new != old
        )
        detail = f"another {differs} than in {self._tables[first.table]}, line {first.line}"
        table = self._tables[later.table]
        return Example("conflicting-id", table, later.line, detail, _shown(later.image_id))

    def _reject(self, table: int, bad: BadRow) -> None:
        reasons = self._survey.reasons
        reasons[bad.reason] += 1
        if reasons[bad.reason] <= EXAMPLES:
            self._survey.examples.append(
                Example(bad.reason, self._tables[table], bad.line, bad.detail, bad.text)
            )


class _Mean:
    """Characters of a row's texts: measured at the beginning of each table, and weighted by its
    rows.
    """

    def __init__(self) -> None:
        self._done: list[tuple[float, int]] = []
        self._now = 0.0
        self.rows = 0

    def add(self, sample: Iterable[Row | BadRow]) -> None:
        rows = [row for row in sample if isinstance(row, Row)]
        self._done.append((self._now, self.rows))
        self.rows = 0
        self._now = sum(map(_length, rows)) / len(rows) if rows else 0.0

    @property
    def value(self) -> float:
        parts = [*self._done, (self._now, self.rows)]
        total = sum(rows for _, rows in parts)
        return sum(mean * rows for mean, rows in parts) / total if total else 0.0


def _length(row: Row) -> int:
    # What repeats itself, as licences do, is kept once; most of the rest does not.
    extra = sum(len(cell.encode()) + 3 for cell in row.extra)
    return len(row.image_id) + len(row.url) + len(row.expected.md5 or "") + extra


def _tables(lists: Sequence[ImageList], progress: Progress | None) -> Iterator[Table]:
    """Each once, as an import reads them: a list, or a member's name in it, may be given twice."""
    seen: set[str] = set()
    for image_list in {str(image_list.path): image_list for image_list in lists}.values():
        for table in image_list.tables(progress):
            name = where(table.info.list_path, table.info.member)
            if name not in seen:
                seen.add(name)
                yield table


def _accepted(
    records: Iterable[tuple[bytes, int, bytes, int, int, int]], conflicts: list[tuple[Met, Met]]
) -> Iterator[tuple[bytes, int, bytes, int, int, int]]:
    """The first of each id. Those that follow with other values go to ``conflicts``; what is left
    is duplicates.
    """
    firsts: dict[bytes, tuple[bytes, int, bytes, int, int, int]] = {}
    for record in records:
        first = firsts.setdefault(record[0], record)
        if first is record:
            yield record
        elif first[1:4] != record[1:4]:
            conflicts.append((Met(*record), Met(*first)))


def _shown(image_id: bytes) -> str:
    """An id that was short enough to be kept as it is; of a longer one there is only a digest."""
    text = image_id.rstrip(b"\0").decode("utf-8", "replace")
    return text if text.isprintable() and "\ufffd" not in text else ""

"""What becomes of a batch of rows: decided here from what is known, without touching the database.

=========================================  =======================================================
a row's id is                              the row is
=========================================  =======================================================
new                                        accepted: an asset, pending, or invalid if its URL is
met in this import, with the same values   a duplicate
met in this import, with other values      rejected: ``conflicting-id``
known, with the same values                still accepted if the asset is this source's row, else a
                                           duplicate
known, with other values                   accepted: the asset takes them and is this source's row
                                           from now on; the row that it was is a duplicate
=========================================  =======================================================

An id is an asset's identity, whatever its subset; values are URL, size and MD5. An asset with other
values starts anew: pending, no attempt spent, nothing known of a file (the old one lies there until
it is replaced). Only if nothing but the URL of a kept image changed does it stay what it is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from fetcher.manifest.origins import Standing, standing
from fetcher.manifest.sources import Reading
from fetcher.manifest.states import STATE_IDS
from fetcher.model import KEPT, BadRow, Row, RowTally

_KEPT: Final = frozenset(STATE_IDS[state] for state in KEPT)
_TEXT: Final = 1000
"""Characters kept of a rejected row."""


class Known(Struct):
    """An asset that the manifest has, as far as a row about it needs to know."""

    asset_id: int
    url: str
    size: int | None
    md5: str | None
    state: int
    code: int
    subset_id: int
    stored: int
    source_id: int
    line: int
    layout_id: int
    seen_source: int | None
    seen_line: int | None
    """Where this import met it, if it is older than the import."""
    extra: list[str]


class Change(Struct, frozen=True):
    """An asset takes a row's values. ``reopened`` is ``None`` for a kept image that stays one."""

    was: Known
    row: Row
    host: str
    reopened: Standing | None


class Conflict(Struct, frozen=True):
    row: Row
    differs: str
    first_source: int
    first_line: int


class Batch:
    """The rows of a batch, sorted by what becomes of them."""

    def __init__(
        self,
        source: Reading,
        known: dict[str, Known],
        *,
        met_before: Callable[[Known], bool],
    ) -> None:
        self._source = source
        self._known = known
        self._met_before = met_before
        self._fresh: dict[str, Row] = {}
        self._still_accepted = 0
        self.new: list[tuple[Row, Standing]] = []
        self.bad: list[BadRow] = []
        self.conflicts: list[Conflict] = []
        self.changes: list[Change] = []
        self.duplicates = 0
        self.seen: dict[int, int] = {}
        """Lines of this source by the older assets that they confirm."""
        self.details: dict[int, Row] = {}
        """Rows by the older assets whose line or further columns they change."""
        self.taken_from: Counter[int] = Counter()
        """How many assets became this source's, by whose they were."""

    @property
    def tally(self) -> RowTally:
        """Of this batch alone."""
        accepted = len(self.new) + self._still_accepted + len(self.changes)
        rejected = len(self.bad) + len(self.conflicts)
        read = accepted + self.duplicates + rejected
        return RowTally(read, accepted, self.duplicates, rejected, len(self.new))

    @property
    def gained(self) -> int:
        """Assets that the source owns now and did not before."""
        return len(self.new) + self.taken_from.total()

    def sort(self, rows: Sequence[Row | BadRow]) -> None:
        for row in rows:
            if isinstance(row, BadRow):
                self.bad.append(row)
            elif (known := self._known.get(row.image_id)) is not None:
                self._meet(row, known)
            elif (first := self._fresh.setdefault(row.image_id, row)) is row:
                self.new.append((row, standing(row.url)))
            else:
                self._repeat(row, first)

    def _repeat(self, row: Row, first: Row) -> None:
        differs = _differences(row, first.url, first.expected.size, first.expected.md5)
        if differs:
            self.conflicts.append(Conflict(row, differs, self._source.source_id, first.line))
        else:
            self.duplicates += 1

    def _meet(self, row: Row, known: Known) -> None:
        me = self._source.source_id
        differs = _differences(row, known.url, known.size, known.md5)
        if self._met_before(known):
            if differs:
                line = known.line if known.seen_line is None else known.seen_line
                first = known.source_id if known.seen_source is None else known.seen_source
                self.conflicts.append(Conflict(row, differs, first, line))
            elif known.source_id == me and known.seen_source not in {None, me}:
                self._confirm(row, known)  # another source's duplicate of it came first
            else:
                self.duplicates += 1
        elif differs:
            self._change(row, known)
        elif known.source_id == me:
            self._confirm(row, known)
        else:
            self._see(row, known)
            self.duplicates += 1

    def _see(self, row: Row, known: Known) -> None:
        known.seen_source, known.seen_line = self._source.source_id, row.line
        self.seen[known.asset_id] = row.line

    def _confirm(self, row: Row, known: Known) -> None:
        self._see(row, known)
        self._still_accepted += 1
        if (row.line, self._source.layout_id, [*row.extra]) != (
            known.line,
            known.layout_id,
            known.extra,
        ):
            self.details[known.asset_id] = row

    def _change(self, row: Row, known: Known) -> None:
        size, md5 = row.expected.size, row.expected.md5
        stays = (size, md5) == (known.size, known.md5) and known.state in _KEPT
        by_url = standing(row.url)
        self.changes.append(Change(known, row, by_url.host, None if stays else by_url))
        if known.source_id != self._source.source_id:
            self.taken_from[known.source_id] += 1
        changed = replace(
            known, url=row.url, size=size, md5=md5, source_id=self._source.source_id, line=row.line
        )
        self._known[row.image_id] = changed
        self._see(row, changed)
        self.details[known.asset_id] = row


class Whole:
    """A batch of which every row is a new asset, or every row confirms an older one of its own
    source, written without a look at any.
    """

    taken_from: Final[Mapping[int, int]] = {}
    bad: Final[Sequence[BadRow]] = ()
    conflicts: Final[Sequence[Conflict]] = ()
    changes: Final[Sequence[Change]] = ()
    duplicates: Final = 0

    def __init__(self, *, new: int = 0, confirmed: int = 0) -> None:
        self.new = range(new)
        self.gained = new
        self.tally = RowTally(new + confirmed, new + confirmed, 0, 0, new)


def cut(text: str) -> str:
    return text if len(text) <= _TEXT else text[: _TEXT - 1] + "…"


def _differences(row: Row, url: str, size: int | None, md5: str | None) -> str:
    """The names of the values that differ; empty if none does."""
    expected = row.expected
    if row.url == url and expected.size == size and expected.md5 == md5:
        return ""
    pairs = (("URL", row.url, url), ("size", expected.size, size), ("MD5", expected.md5, md5))
    return " and ".join(name for name, new, old in pairs if new != old)

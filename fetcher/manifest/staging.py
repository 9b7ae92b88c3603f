"""Staging: ordinary rows are made ready for the manifest by the process that reads them.

Ordinary rows need nothing decided: unless its id is known, each is an asset that is pending. So a
batch of them becomes an SQLite database in memory, whose bytes are sent (``beside`` takes them in).
SQLite writes its small tables. The one of the rows is laid out in pages straight from the lines
that were cut (``fetcher.lines``), so that no cell is ever an object.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final, NamedTuple, Protocol

from fetcher.lines import Part, _lines, unquoted
from fetcher.manifest import _pages
from fetcher.manifest.origins import standing
from fetcher.manifest.passages import PAGE
from fetcher.manifest.states import PENDING
from fetcher.ports import NameNumbers, NamesToNumber, StagedRows

# Rows count from 1; ``first`` is the first row of a host or passage.
_TABLES: Final = (
    """CREATE TABLE rows (
        n INTEGER PRIMARY KEY, image_id TEXT, host INTEGER, url TEXT, size INTEGER, md5 TEXT,
        subset INTEGER
    )""",
    "CREATE TABLE subsets (id INTEGER PRIMARY KEY, rows INTEGER, bytes INTEGER)",
    "CREATE TABLE hosts (id INTEGER PRIMARY KEY, name TEXT, first INTEGER)",
    """CREATE TABLE passages (
        first INTEGER PRIMARY KEY, rows INTEGER, apart INTEGER, said, text TEXT
    )""",
)
_INSERT: Final = {
    "subsets": "INSERT INTO subsets VALUES (?, ?, ?)",
    "hosts": "INSERT INTO hosts VALUES (?, ?, ?)",
    "passages": "INSERT INTO passages VALUES (?, ?, ?, ?, ?)",
}
_PAGE: Final = 8192
"""Bytes: a batch has some fifty leaves, and up to eight hundred have room below one root."""
_PAGES: Final = slice(28, 32)
"""Where a database says how many pages it has (sqlite.org/fileformat2.html, 1.3.7)."""
_RESERVED: Final = 20
"""Where, how many bytes at the end of each are not SQLite's (1.3.4)."""
_LARGE: Final = 4 << 20
"""Bytes of the small tables, when they are."""
_REMEMBERED: Final = 65_536
"""Names of one kind whose number is, at most."""
_REPEATS: Final = 4
"""How often a licence occurs in a batch, on average, if it is one."""


class Places(Protocol):
    """Which of a line's cuts is what (``fetcher.source.ordinary``)."""

    @property
    def id(self) -> int: ...
    @property
    def subset(self) -> int | None: ...
    @property
    def url(self) -> int: ...
    @property
    def origin(self) -> int: ...
    @property
    def size(self) -> int | None: ...
    @property
    def md5(self) -> int | None: ...
    @property
    def extra(self) -> tuple[int, ...]: ...
    @property
    def columns(self) -> int: ...
    @property
    def apart(self) -> tuple[int, int] | None: ...
    @property
    def delimiter(self) -> str: ...
    @property
    def width(self) -> int: ...


class _Told(NamedTuple):
    """Of one text of a column."""

    text: str
    first: int
    """The first row that has it, from 0."""
    rows: int
    bytes: int
    """Of these rows' images."""


class Stager:
    """Makes batches ready; it has no manifest at hand, but may ask how that numbers names.

    ``subset`` is of all rows where ``places`` has none.
    """

    def __init__(
        self, places: Places, subset: str, number: Callable[[NamesToNumber], NameNumbers]
    ) -> None:
        self._places = places
        self._subset = subset
        self._number = number
        self._hosts: dict[str, int] = {}
        self._subsets: dict[str, int] = {}
        self._texts: dict[str, int] = {}
        self._open()

    def _open(self) -> None:
        self._connection = sqlite3.connect(":memory:", isolation_level=None)
        for pragma in ("journal_mode = OFF", f"page_size = {_PAGE}", "auto_vacuum = NONE"):
            self._connection.execute(f"PRAGMA {pragma}")
        for table in _TABLES:
            self._connection.execute(table)
        self._root: int = self._connection.execute(
            "SELECT rootpage FROM sqlite_schema WHERE name = 'rows'"
        ).fetchone()[0]
        self._has_whole_pages = self._connection.serialize()[_RESERVED] == 0

    def close(self) -> None:
        self._connection.close()

    def stage(self, line: int, parts: Sequence[Part]) -> StagedRows | None:
        """The rows of ``parts``, the first of which is ``line``; ``None`` if there is a URL among
        them that cannot be asked for, one licence after another, or a row as long as a page; and
        where SQLite was built to leave bytes of each page to itself.
        """
        if not self._has_whole_pages:
            return None
        at = self._places
        origins, origin_of = self._tally(parts, at.origin)
        subsets, subset_of = self._tally(parts, at.subset)
        licences, licence_of = self._tally(parts, None if at.apart is None else at.apart[0])
        count = sum(one.rows for one in origins)
        stands = [standing(one.text) for one in origins]
        if any(one.state != PENDING for one in stands) or (
            len(licences) > 1 and len(licences) * _REPEATS > count
        ):
            return None
        hosts = [one.host for one in stands]
        names = [self._subset if at.subset is None else one.text for one in subsets]
        texts = [] if at.apart is None else [unquoted(one.text) for one in licences]
        self._learn(hosts, names, texts)
        host_numbers = [self._hosts[host] for host in hosts]
        subset_numbers = [self._subsets[name] for name in names]
        first = dict(zip(reversed(hosts), reversed(origins), strict=True))  # so the first one stays
        small = self._small_tables(
            hosts=[(self._hosts[host], host, 1 + one.first) for host, one in first.items()],
            subsets=[
                (number, one.rows, one.bytes)
                for number, one in zip(subset_numbers, subsets, strict=True)
            ],
            passages=self._passages(parts, [self._texts[text] for text in texts], licence_of),
        )
        columns: tuple[_pages.Column, ...] = (
            None,  # the row's number
            ("t", at.id),
            (origin_of, host_numbers),
            ("t", at.url),
            None if at.size is None else ("n", at.size),
            None if at.md5 is None else ("?", at.md5),
            (subset_of, subset_numbers),
        )
        laid = _pages.lay(parts, at.width, columns, _PAGE, len(small) // _PAGE + 1)
        if laid is None:
            return None
        image = bytearray(small)
        image[(self._root - 1) * _PAGE : self._root * _PAGE], leaves = laid
        image += leaves
        image[_PAGES] = (len(image) // _PAGE).to_bytes(4, "big")
        return StagedRows(line, count, image)

    def _tally(self, parts: Sequence[Part], place: int | None) -> tuple[list[_Told], bytes]:
        """What there is in a column, and which of it each line has; nothing, in no column."""
        size = self._places.size
        told, codes = _lines.tally(
            parts,
            self._places.width,
            -1 if place is None else place,
            -1 if size is None else size,
        )
        return [_Told(*one) for one in told], codes

    def _learn(self, hosts: Iterable[str], subsets: Iterable[str], texts: Iterable[str]) -> None:
        """The numbers of these names."""
        known = (self._hosts, self._subsets, self._texts)
        named = [tuple(dict.fromkeys(names)) for names in (hosts, subsets, texts)]
        if all(numbers.keys() >= set(names) for numbers, names in zip(known, named, strict=True)):
            return
        told = self._number(NamesToNumber(*named))
        for numbers, more in zip(known, (told.hosts, told.subsets, told.texts), strict=True):
            if len(numbers) > _REMEMBERED:
                numbers.clear()
            numbers.update(more)

    def _small_tables(self, **tables: Iterable[tuple[Any, ...]]) -> bytes:
        """The database with these rows in it."""
        self._connection.execute("BEGIN")
        for name, rows in tables.items():
            self._connection.execute(f"DELETE FROM {name}")  # noqa: S608  one of ours
            self._connection.executemany(_INSERT[name], rows)
        self._connection.execute("COMMIT")
        image = self._connection.serialize()
        if len(image) > _LARGE:  # pages that are free again stay in it
            self._connection.close()
            self._open()
        return image

    def _passages(
        self, parts: Sequence[Part], numbers: Sequence[int], number_of: bytes
    ) -> Iterator[tuple[int, int, int | None, int | str | None, str]]:
        at = self._places
        column = None if at.apart is None else at.apart[1]
        empty = '""' if at.columns == 1 else ""  # an empty line would be none
        codes = memoryview(number_of).cast("I")
        for first, count, text in _lines.passages(
            parts, at.width, at.extra, at.delimiter, empty, PAGE
        ):
            said: int | str | None = None
            if len(numbers) == 1:
                (said,) = numbers
            elif numbers:
                said = json.dumps([numbers[code] for code in codes[first - 1 : first - 1 + count]])
            yield first, count, column, said, text

"""Staged rows: a batch that another process has made ready, which comes in at the speed of C.

Ordinary rows need nothing decided: unless its id is known, each is an asset that is pending. So the
process that reads the list puts a batch into an SQLite database in memory and sends its bytes; here
they are laid beside the manifest, and one statement each moves them into ``assets`` and
``passages``, while this process's other threads go on (``bulk`` says what a step costs otherwise).

That no id is known is not asked beforehand: the index that keeps ids unique says so when the first
one comes in twice. Then nothing of the batch is written, and its rows are taken back out and judged
one by one, as any others.
"""

# ruff: noqa: S608  every statement is put together from constants of this package

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from operator import itemgetter
from typing import Final, Protocol

from fetcher.manifest.origins import standing
from fetcher.manifest.passages import cells, put, written
from fetcher.manifest.schema import ROOM
from fetcher.manifest.states import PENDING
from fetcher.model import Expectation, Row
from fetcher.ports import NameNumbers, NamesToNumber, StagedRows

SCHEMA: Final = "staged"
"""The name of the place beside the manifest."""
BESIDE: Final = f"ATTACH ':memory:' AS {SCHEMA}"

# Rows count from 1; ``first`` is the first row of a host or passage. Without a subset of its own, a
# row has that of all.
_TABLES: Final = (
    """CREATE TABLE rows (
        n INTEGER PRIMARY KEY, image_id TEXT, host INTEGER, url TEXT, size TEXT, md5 TEXT,
        subset INTEGER
    )""",
    "CREATE TABLE subsets (id INTEGER PRIMARY KEY, rows INTEGER, bytes INTEGER)",
    "CREATE TABLE hosts (id INTEGER PRIMARY KEY, name TEXT, first INTEGER)",
    """CREATE TABLE passages (
        first INTEGER PRIMARY KEY, rows INTEGER, apart INTEGER, said, text BLOB
    )""",
)
_INSERT: Final = "INSERT INTO rows (image_id, host, url, size, md5{}) VALUES (?, ?, ?, ?, ?{})"
_REMEMBERED: Final = 65_536
"""Names of one kind whose number is, at most."""
_REPEATS: Final = 4
"""How often a licence occurs in a batch, on average, if it is one."""


class Places(Protocol):
    """Where in the cells of a row what is (``fetcher.source.ordinary``)."""

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
        self._connection = sqlite3.connect(":memory:", isolation_level=None)
        self._connection.execute("PRAGMA journal_mode = OFF")
        for table in _TABLES:
            self._connection.execute(table)

    def close(self) -> None:
        self._connection.close()

    def stage(self, line: int, lines: Sequence[tuple[str, ...]]) -> StagedRows | None:
        """The rows of ``lines``, the first of which is ``line``; ``None`` if there is a URL among
        them that cannot be asked for, or one licence after another.
        """
        at = self._places
        origins = _column(lines, at.origin)
        stands = {origin: standing(origin) for origin in dict.fromkeys(origins)}
        if any(one.state != PENDING for one in stands.values()):
            return None
        subset = [self._subset] if at.subset is None else _column(lines, at.subset)
        apart = [] if at.apart is None else _column(lines, at.apart[0])
        said = {cell: _unquoted(cell) for cell in dict.fromkeys(apart)}
        if len(said) > 1 and len(said) * _REPEATS > len(lines):
            return None
        subsets = dict.fromkeys(subset)
        self._learn([one.host for one in stands.values()], subsets, said.values())
        host_of = {origin: self._hosts[one.host] for origin, one in stands.items()}
        hosts = [*map(host_of.__getitem__, origins)]
        sizes = _column(lines, at.size)
        columns: list[Sequence[str | int]] = [
            _column(lines, at.id),
            hosts,
            _column(lines, at.url),
            sizes,
            _column(lines, at.md5),
        ]
        several = len(subsets) > 1
        if several:
            columns.append([*map(self._subsets.__getitem__, subset)])
        # Of the last to the first, so that the first of a host stays.
        first = dict(zip(reversed(hosts), range(len(lines), 0, -1), strict=True))
        numbers = {cell: self._texts[text] for cell, text in said.items()}
        execute, insert = self._connection.execute, self._connection.executemany
        execute("BEGIN")
        for table in ("rows", "subsets", "hosts", "passages"):
            execute(f"DELETE FROM {table}")
        more = (", subset", ", ?") if several else ("", "")
        insert(_INSERT.format(*more), zip(*columns, strict=True))
        insert(
            "INSERT INTO subsets VALUES (?, ?, ?)",
            [(self._subsets[name], *n) for name, n in _counted(subset, sizes).items()],
        )
        names = {self._hosts[one.host]: one.host for one in stands.values()}
        insert(
            "INSERT INTO hosts VALUES (?, ?, ?)",
            [(number, name, first[number]) for number, name in names.items()],
        )
        insert("INSERT INTO passages VALUES (?, ?, ?, ?, ?)", self._passages(lines, apart, numbers))
        execute("COMMIT")
        return StagedRows(line, len(lines), self._connection.serialize())

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

    def _passages(
        self, lines: Sequence[tuple[str, ...]], apart: Sequence[str], numbers: Mapping[str, int]
    ) -> Iterator[tuple[int, int, int | None, int | str | None, bytes]]:
        at = self._places
        match at.extra:
            case ():
                rows = [""] * len(lines)
            case (one,):
                rows = [cells[one] for cells in lines]
            case places:
                rows = [*map(at.delimiter.join, map(itemgetter(*places), lines))]
        if at.columns == 1:  # of which an empty one would be none
            rows = [row or '""' for row in rows]
        column = None if at.apart is None else at.apart[1]
        for first, count, text in written(rows, at.delimiter):
            said: int | str | None = None
            if len(numbers) == 1:
                (said,) = numbers.values()
            elif numbers:
                said = json.dumps([numbers[cell] for cell in apart[first - 1 : first - 1 + count]])
            yield first, count, column, said, text


def _column(lines: Sequence[tuple[str, ...]], at: int | None) -> list[str]:
    return [""] * len(lines) if at is None else [cells[at] for cells in lines]


def _unquoted(cell: str) -> str:
    return cell[1:-1] if cell.startswith('"') else cell


def _counted(subsets: Sequence[str], sizes: Sequence[str]) -> dict[str, tuple[int, int]]:
    """Rows and bytes of each subset. One may stand for all."""
    rows, total = Counter(subsets), Counter[str]()
    if len(rows) == 1:
        return {subsets[0]: (len(sizes), sum(map(int, filter(None, sizes))))}
    for subset, size in zip(subsets, sizes, strict=True):
        total[subset] += int(size or 0)
    return {subset: (n, total[subset]) for subset, n in rows.items()}


ASSETS: Final = (
    "INSERT INTO main.assets (asset_id, image_id, subset_id, host_id, url, expected_size, "
    "expected_md5, state, code, updated_at, room) "
    f"SELECT ?1 - 1 + n, image_id, coalesce(subset, (SELECT id FROM {SCHEMA}.subsets)), host, url, "
    f"nullif(size, ''), nullif(md5, ''), {PENDING}, 0, ?2, '{ROOM}' FROM {SCHEMA}.rows"
)
PASSAGES: Final = (
    "INSERT INTO main.passages (first_asset, assets, source_id, first_line, layout_id, apart, "
    "said, text) SELECT ?1 - 1 + first, rows, ?2, ?3 - 1 + first, ?4, apart, said, "
    f"CAST(text AS TEXT) FROM {SCHEMA}.passages"
)
_AS_THEY_WERE: Final = (
    f"FROM {SCHEMA}.rows AS r CROSS JOIN main.assets AS a ON a.image_id = r.image_id "
    f"CROSS JOIN {SCHEMA}.passages AS p "
    f"ON p.first = (SELECT max(first) FROM {SCHEMA}.passages WHERE first <= r.n) "
    "CROSS JOIN main.passages AS g ON g.first_asset = a.asset_id - r.n + p.first "
    "WHERE a.asset_id < ?1 AND g.source_id = ?2 AND g.first_line = ?3 - 1 + p.first "
    "AND g.layout_id = ?4 AND g.assets = p.rows AND g.apart IS p.apart AND g.said IS p.said "
    "AND g.text = CAST(p.text AS TEXT) "
    "AND a.url = r.url AND a.expected_size IS CAST(nullif(r.size, '') AS INTEGER) "
    "AND a.expected_md5 IS nullif(r.md5, '') "
    "AND NOT EXISTS (SELECT 1 FROM main.details AS d WHERE d.asset_id = a.asset_id) "
    "AND NOT EXISTS (SELECT 1 FROM main.seen AS s WHERE s.asset_id = a.asset_id)"
)
CONFIRMED: Final = f"SELECT count(*) {_AS_THEY_WERE}"
SEEN: Final = (
    "INSERT INTO main.seen (asset_id, source_id, line) "
    f"SELECT a.asset_id, ?2, ?3 - 1 + r.n {_AS_THEY_WERE}"
)
_COUNTED: Final = (
    f"SELECT json_group_array(json_array(id, rows, bytes)) FROM {SCHEMA}.subsets WHERE rows > 0"
)
_FIRSTS: Final = f"SELECT json_group_array(json_array(name, id, first)) FROM {SCHEMA}.hosts"
_ROWS: Final = (
    "SELECT json_group_array(json_array(r.n, r.image_id, s.name, r.url, "
    "CAST(nullif(r.size, '') AS INTEGER), nullif(r.md5, ''))) "
    f"FROM {SCHEMA}.rows AS r CROSS JOIN main.subsets AS s "
    f"ON s.id = coalesce(r.subset, (SELECT id FROM {SCHEMA}.subsets)) ORDER BY r.n"
)
_FURTHER: Final = (
    "SELECT json_group_array(json_array(apart, CAST(text AS TEXT), "
    "json((SELECT json_group_array((SELECT name FROM main.texts WHERE id = e.value)) "
    f"FROM json_each(said) AS e)))) FROM (SELECT * FROM {SCHEMA}.passages ORDER BY first)"
)


def lay_beside(connection: sqlite3.Connection, staged: StagedRows) -> None:
    """Not within a transaction."""
    connection.deserialize(staged.image, name=SCHEMA)


def write_assets(connection: sqlite3.Connection, first_id: int, now: int) -> bool:
    """Whether all rows are new; if not, nothing is written. In a transaction."""
    connection.execute("SAVEPOINT staged")
    try:
        connection.execute(ASSETS, (first_id, now))
    except sqlite3.IntegrityError as error:
        if error.sqlite_errorname != "SQLITE_CONSTRAINT_UNIQUE":  # else an id is known
            raise
        connection.execute("ROLLBACK TO staged")
        known = True
    else:
        known = False
    connection.execute("RELEASE staged")
    return not known


def confirm(
    connection: sqlite3.Connection,
    staged: StagedRows,
    source_id: int,
    layout_id: int,
    before: int,
) -> bool:
    """Whether all rows say what they said when an earlier import took them from the same lines of
    the same source, into assets below ``before``, and none was met since; if so, that is noted. In
    a transaction.
    """
    where = (before, source_id, staged.line, layout_id)
    if connection.execute(CONFIRMED, where).fetchone()[0] != staged.count:
        return False
    connection.execute(SEEN, where)
    return True


def counted(connection: sqlite3.Connection) -> list[tuple[int, int, int]]:
    """Number, rows and bytes of each subset."""
    return [(*row,) for row in json.loads(connection.execute(_COUNTED).fetchone()[0])]


def first_by_host(connection: sqlite3.Connection, first_id: int) -> dict[str, tuple[int, int]]:
    """As ``Leases.offer`` takes it."""
    hosts = json.loads(connection.execute(_FIRSTS).fetchone()[0])
    return {name: (number, first_id - 1 + first) for name, number, first in hosts}


def rows(connection: sqlite3.Connection, line: int) -> list[Row]:
    """The staged rows as any others. In a transaction."""
    array = json.loads(connection.execute(_ROWS).fetchone()[0])
    return [
        Row(line - 1 + n, image_id, subset, url, Expectation(size, md5), (*extra,))
        for (n, image_id, subset, url, size, md5), extra in zip(
            array, _further(connection), strict=True
        )
    ]


def _further(connection: sqlite3.Connection) -> Iterator[list[str]]:
    """The further cells of each row."""
    for apart, text, texts in json.loads(connection.execute(_FURTHER).fetchone()[0]):
        found, said = cells(text), texts or [None]
        for row, one in zip(found, said * len(found) if len(said) == 1 else said, strict=True):
            yield put(row, apart, one)

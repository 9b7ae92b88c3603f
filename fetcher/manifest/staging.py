"""Staged rows: a batch that another process has made ready, which comes in at the speed of C.

Ordinary rows need nothing decided: unless its id is known, each is an asset that is pending. So the
process that reads the list puts a batch into an SQLite database in memory and sends its bytes; here
they are laid beside the manifest, and one statement each moves them into ``assets`` and
``details``, while this process's other threads go on (``bulk`` says what a step costs otherwise).

That no id is known is not asked beforehand: the index that keeps ids unique says so when the first
one comes in twice. Then nothing of the batch is written, and its rows are taken back out and judged
one by one, as any others.
"""

# ruff: noqa: S608 - every statement is put together from constants of this package

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from json.encoder import encode_basestring
from operator import itemgetter
from typing import Final, Protocol

from fetcher.manifest.extras import DECODED
from fetcher.manifest.origins import standing
from fetcher.manifest.schema import ROOM
from fetcher.manifest.states import PENDING
from fetcher.model import Expectation, Row
from fetcher.ports import StagedRows

SCHEMA: Final = "staged"
"""The name of the place beside the manifest."""
BESIDE: Final = f"ATTACH ':memory:' AS {SCHEMA}"

# Rows count from 1, subsets and hosts from 0; ``first`` is the first row of a host.
_ROWS_TABLE: Final = (
    "CREATE TABLE rows (n INTEGER PRIMARY KEY, image_id TEXT, host INTEGER, url TEXT, size TEXT, "
    "md5 TEXT, extra TEXT, subset INTEGER DEFAULT 0)"
)
_SUBSETS_TABLE: Final = (
    "CREATE TABLE subsets (n INTEGER PRIMARY KEY, name TEXT, id INTEGER, rows INTEGER, "
    "bytes INTEGER)"
)
_HOSTS_TABLE: Final = (
    "CREATE TABLE hosts (n INTEGER PRIMARY KEY, name TEXT, id INTEGER, first INTEGER)"
)
_INSERT: Final = (
    "INSERT INTO rows (image_id, host, url, size, md5, extra{}) VALUES (?, ?, ?, ?, ?, ?{})"
)
_TEMPLATES: Final = 1_024


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
    def extra(self) -> tuple[tuple[int, int], ...]: ...


class Stager:
    """Makes batches ready; it has no manifest at hand.

    ``numbers`` are those of texts in the further columns ``repeated``, by position among these;
    ``subset`` is of all rows where ``places`` has none.
    """

    def __init__(
        self, places: Places, subset: str, repeated: Sequence[int], numbers: Mapping[str, int]
    ) -> None:
        self._places = places
        self._subset = subset
        self._extras = _Extras(places.extra, frozenset(repeated), numbers)
        self._connection = sqlite3.connect(":memory:", isolation_level=None)
        self._connection.execute("PRAGMA journal_mode = OFF")
        for table in (_ROWS_TABLE, _SUBSETS_TABLE, _HOSTS_TABLE):
            self._connection.execute(table)

    def close(self) -> None:
        self._connection.close()

    def stage(self, line: int, lines: Sequence[tuple[str, ...]]) -> StagedRows | None:
        """The rows of ``lines``, the first of which is ``line``; ``None`` if there is a URL among
        them that cannot be asked for.
        """
        at = self._places
        origins = [cells[at.origin] for cells in lines]
        stands = {origin: standing(origin) for origin in dict.fromkeys(origins)}
        if any(one.state != PENDING for one in stands.values()):
            return None
        hosts = {host: n for n, host in enumerate(dict.fromkeys(s.host for s in stands.values()))}
        host_of = {origin: hosts[one.host] for origin, one in stands.items()}
        host = [*map(host_of.__getitem__, origins)]
        sizes = _column(lines, at.size)
        subset = [self._subset] if at.subset is None else _column(lines, at.subset)
        subsets = {name: n for n, name in enumerate(dict.fromkeys(subset))}
        columns: list[Iterable[str | int]] = [
            _column(lines, at.id),
            host,
            _column(lines, at.url),
            sizes,
            _column(lines, at.md5),
            self._extras.of(lines),
        ]
        several = len(subsets) > 1
        if several:
            columns.append(map(subsets.__getitem__, subset))
        # Of the last to the first, so that the first of a host stays.
        first = dict(zip(reversed(host), range(len(lines), 0, -1), strict=True))
        execute = self._connection.execute
        execute("BEGIN")
        for table in ("rows", "subsets", "hosts"):
            execute(f"DELETE FROM {table}")
        insert = self._connection.executemany
        more = (", subset", ", ?") if several else ("", "")
        insert(_INSERT.format(*more), zip(*columns, strict=True))
        counted = _counted(subset, sizes)
        insert(
            "INSERT INTO subsets VALUES (?, ?, NULL, ?, ?)",
            [(n, name, *counted[name]) for name, n in subsets.items()],
        )
        insert(
            "INSERT INTO hosts VALUES (?, ?, NULL, ?)",
            [(n, name, first[n]) for name, n in hosts.items()],
        )
        execute("COMMIT")
        return StagedRows(line, len(lines), self._connection.serialize())


def _column(lines: Sequence[tuple[str, ...]], at: int | None) -> list[str]:
    return [""] * len(lines) if at is None else [cells[at] for cells in lines]


def _counted(subsets: Sequence[str], sizes: Sequence[str]) -> dict[str, tuple[int, int]]:
    """Rows and bytes of each subset. One may stand for all."""
    rows, total = Counter(subsets), Counter[str]()
    if len(rows) == 1:
        return {subsets[0]: (len(sizes), sum(map(int, filter(None, sizes))))}
    for subset, size in zip(subsets, sizes, strict=True):
        total[subset] += int(size or 0)
    return {subset: (n, total[subset]) for subset, n in rows.items()}


class _Made(dict[tuple[str, ...], str]):
    """What is not there yet is made."""

    def __init__(self, make: Callable[[tuple[str, ...]], str]) -> None:
        super().__init__()
        self._make = make

    def __missing__(self, key: tuple[str, ...]) -> str:
        made = self[key] = self._make(key)
        return made


class _Extras:
    """The further columns of rows as ``extras.encode`` writes them, by templates: one for each
    combination of texts in the columns that repeat themselves.
    """

    def __init__(
        self,
        pairs: Sequence[tuple[int, int]],
        repeated: frozenset[int],
        numbers: Mapping[str, int],
    ) -> None:
        self._pairs = pairs
        self._repeated = repeated
        self._numbers = numbers
        self._templates = _Made(self._template)
        keys = [place for at in sorted(repeated) for place in pairs[at]]
        rest = [place for at, pair in enumerate(pairs) if at not in repeated for place in pair]
        # Each column has two places, so these always give tuples.
        self._key = itemgetter(*keys) if keys else lambda _: ()
        self._rest = itemgetter(*rest) if rest else lambda _: ()

    def of(self, lines: Sequence[tuple[str, ...]]) -> list[str]:
        key, rest, templates = self._key, self._rest, self._templates
        if len(templates) > _TEMPLATES:
            templates.clear()
        made = [templates[key(cells)] % rest(cells) for cells in lines]
        for n, extra in enumerate(made):
            if "\\" in extra:  # the one thing in an ordinary cell that JSON has to mask
                made[n] = self._masked(lines[n])
        return made

    def _template(self, key: tuple[str, ...]) -> str:
        texts = iter(key)
        members = [
            self._member(next(texts) + next(texts)).replace("%", "%%")
            if at in self._repeated
            else '"%s%s"'
            for at in range(len(self._pairs))
        ]
        return "[" + ",".join(members) + "]"

    def _member(self, text: str) -> str:
        number = self._numbers.get(text)
        return encode_basestring(text) if number is None else str(number)

    def _masked(self, cells: tuple[str, ...]) -> str:
        texts = [cells[one] + cells[other] for one, other in self._pairs]
        members = [
            self._member(text) if at in self._repeated else encode_basestring(text)
            for at, text in enumerate(texts)
        ]
        return "[" + ",".join(members) + "]"


_NAME: Final = f"INSERT OR IGNORE INTO main.{{0}} (name) SELECT name FROM {SCHEMA}.{{0}} ORDER BY n"
_NUMBER: Final = (
    f"UPDATE {SCHEMA}.{{0}} SET id = (SELECT id FROM main.{{0}} WHERE name = {SCHEMA}.{{0}}.name)"
)
NAMES: Final = tuple(
    statement.format(table) for table in ("subsets", "hosts") for statement in (_NAME, _NUMBER)
)
ASSETS: Final = (
    "INSERT INTO main.assets (asset_id, image_id, subset_id, host_id, url, expected_size, "
    "expected_md5, state, code, updated_at, room) "
    "SELECT ?1 - 1 + r.n, r.image_id, s.id, h.id, r.url, nullif(r.size, ''), nullif(r.md5, ''), "
    f"{PENDING}, 0, ?2, '{ROOM}' "
    f"FROM {SCHEMA}.rows AS r CROSS JOIN {SCHEMA}.subsets AS s ON s.n = r.subset "
    f"CROSS JOIN {SCHEMA}.hosts AS h ON h.n = r.host"
)
DETAILS: Final = (
    "INSERT INTO main.details (asset_id, source_id, line, layout_id, extra) "
    f"SELECT ?1 - 1 + n, ?2, ?3 - 1 + n, ?4, extra FROM {SCHEMA}.rows"
)
_AS_THEY_WERE: Final = (
    f"FROM {SCHEMA}.rows AS r CROSS JOIN main.assets AS a ON a.image_id = r.image_id "
    "CROSS JOIN main.details AS d ON d.asset_id = a.asset_id "
    "WHERE a.asset_id < ?1 AND d.source_id = ?2 AND d.line = ?3 - 1 + r.n AND d.layout_id = ?4 "
    "AND a.url = r.url AND a.expected_size IS CAST(nullif(r.size, '') AS INTEGER) "
    "AND a.expected_md5 IS nullif(r.md5, '') AND d.extra = r.extra "
    "AND NOT EXISTS (SELECT 1 FROM main.seen AS s WHERE s.asset_id = a.asset_id)"
)
CONFIRMED: Final = f"SELECT count(*) {_AS_THEY_WERE}"
SEEN: Final = (
    "INSERT INTO main.seen (asset_id, source_id, line) "
    f"SELECT a.asset_id, ?2, d.line {_AS_THEY_WERE}"
)
_COUNTED: Final = (
    f"SELECT json_group_array(json_array(id, rows, bytes)) FROM {SCHEMA}.subsets WHERE rows > 0"
)
_FIRSTS: Final = f"SELECT json_group_array(json_array(name, id, first)) FROM {SCHEMA}.hosts"
_ROWS: Final = (
    "SELECT json_group_array(json_array(d.n, d.image_id, s.name, d.url, "
    f"CAST(nullif(d.size, '') AS INTEGER), nullif(d.md5, ''), json({DECODED}))) "
    f"FROM {SCHEMA}.rows AS d CROSS JOIN {SCHEMA}.subsets AS s ON s.n = d.subset ORDER BY d.n"
)


def lay_beside(connection: sqlite3.Connection, staged: StagedRows) -> None:
    """Not within a transaction."""
    connection.deserialize(staged.image, name=SCHEMA)


def write_assets(connection: sqlite3.Connection, first_id: int, now: int) -> bool:
    """Whether all rows are new; if not, nothing is written. In a transaction."""
    connection.execute("SAVEPOINT staged")
    try:
        for statement in NAMES:
            connection.execute(statement)
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
        for n, image_id, subset, url, size, md5, extra in array
    ]

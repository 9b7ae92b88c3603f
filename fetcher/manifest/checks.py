"""The manifest's book of checks: what is recorded of stored files, and what was found of them.

Positions and findings of a batch are one transaction, with the assets that it put back to pending,
so a check that is stopped, however that happens, goes on behind the last batch it committed.
"""

# ruff: noqa: S608  every statement is put together from constants of this package

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from itertools import chain
from typing import Any, Final

from fetcher.manifest import packing, shards
from fetcher.manifest.bulk import Bulk
from fetcher.manifest.maintaining import ManifestMaintainer
from fetcher.manifest.plausible import require_inside
from fetcher.manifest.reopening import reopen_assets
from fetcher.manifest.states import PENDING, VERIFIED
from fetcher.policy import tar
from fetcher.policy.findings import Batch, Finding, Kind, Part, Put, Standing, Stray
from fetcher.policy.tar import Member

BATCH: Final = 512
"""Files in a batch at most: some milliseconds of small ones, a second of large ones."""

PATH: Final = (
    "CASE substr(a.path, 1, 1) "
    "WHEN '.' THEN 'images/' || iif(s.name = '', '', s.name || '/') "
    "|| substr(a.image_id, 1, 3) || '/' || a.image_id || a.path "
    "WHEN '!' THEN 'mismatched/' || iif(s.name = '', '', s.name || '/') "
    "|| substr(a.image_id, 1, 3) || '/' || a.image_id || substr(a.path, 2) "
    "WHEN '#' THEN (SELECT name FROM shards WHERE id = CAST(substr(a.path, 2) AS INTEGER)) "
    "|| '/' || replace(replace(a.image_id, '%', '%25'), '.', '%2E') "
    "|| substr(a.path, instr(a.path, '.')) "
    "ELSE a.path END"
)
"""As the view ``images`` has it, which knows no asset ids."""
_SIZE: Final = f"coalesce(a.actual_size, iif(a.state = {VERIFIED}, a.expected_size, NULL))"
_MD5: Final = f"coalesce(a.actual_md5, iif(a.state = {VERIFIED}, a.expected_md5, NULL))"
OFFSET: Final = (
    "iif(substr(a.path, 1, 1) = '#', CAST(substr(a.path, instr(a.path, ':') + 1) AS INTEGER), NULL)"
)
"""Of an image in a shard: its first byte there."""

_STORED: Final = (
    "SELECT count(*), coalesce(max(asset_id), 0), "
    "json_group_array(json_array(asset_id, path, size, md5, offset)), "
    # One that may lead out of DIR: no part of a path that a run has made begins with a dot.
    "max(CASE WHEN instr(path, '/.') OR substr(path, 1, 1) = '.' THEN path END) FROM ("
    f"SELECT a.asset_id, {PATH} AS path, {_SIZE} AS size, {_MD5} AS md5, {OFFSET} AS offset "
    "FROM assets AS a CROSS JOIN subsets AS s ON s.id = a.subset_id "
    "WHERE a.asset_id > ? AND a.path IS NOT NULL AND a.asset_id % ? = ? "
    "ORDER BY a.asset_id LIMIT ?)"
)
_ONCE: Final = (
    "SELECT json_array(o.size, o.md5) FROM past_states AS o WHERE o.asset_id = a.asset_id "
    f"AND o.path IS NOT NULL AND {PATH.replace('a.path', 'o.path')} = v.path "
    "ORDER BY o.id DESC LIMIT 1"
)
_STRAYS: Final = Bulk(
    "WITH v (path, stem) AS (VALUES {rows}), p (check_id) AS (VALUES (?)) "
    "SELECT json_group_array(json_array(v.path, a.asset_id, "
    f"a.state = {PENDING}, s.name, json(({_ONCE})), {PATH}, a.expected_size, a.expected_md5, "
    "(SELECT path FROM findings WHERE check_id = p.check_id AND asset_id = a.asset_id))) "
    "FROM p CROSS JOIN v LEFT JOIN assets AS a ON a.image_id = v.stem "
    "LEFT JOIN subsets AS s ON s.id = a.subset_id "
    f"WHERE v.path IS NOT NULL AND {PATH} IS NOT v.path",
    width=2,
)
_STRANGERS: Final = Bulk(
    "WITH v (at, image_id, path) AS (VALUES {rows}) "
    "SELECT json_group_array(v.at) FROM v LEFT JOIN assets AS a ON a.image_id = v.image_id "
    "WHERE v.at IS NOT NULL AND a.path IS NOT v.path",
    width=3,
)
_FINDINGS: Final = Bulk(
    "INSERT OR REPLACE INTO findings (check_id, path, kind, detail, asset_id, observed_size, "
    "observed_md5, recorded_md5, moved_to) "
    "SELECT * FROM (VALUES {rows}) WHERE column1 IS NOT NULL",
    width=9,
)
_SWAPPED: Final = (
    "UPDATE findings AS f SET kind = 'swapped', detail = 'the bytes of ' || ("
    "SELECT o.path FROM findings AS o WHERE o.check_id = f.check_id "
    "AND o.recorded_md5 = f.observed_md5 AND o.path != f.path) "
    "WHERE f.check_id = ? AND f.observed_md5 IS NOT NULL AND f.observed_md5 != f.recorded_md5 "
    "AND EXISTS (SELECT 1 FROM findings AS o WHERE o.check_id = f.check_id "
    "AND o.recorded_md5 = f.observed_md5 AND o.path != f.path)"
)
_CASE_VARIANTS: Final = (
    "UPDATE findings AS f SET kind = 'case-variant', detail = 'of ' || ("
    "SELECT o.path FROM findings AS o WHERE o.check_id = f.check_id "
    "AND lower(o.path) = lower(f.path) AND o.kind = 'missing') "
    "WHERE f.check_id = ? AND f.kind = 'extra' "
    "AND EXISTS (SELECT 1 FROM findings AS o WHERE o.check_id = f.check_id "
    "AND lower(o.path) = lower(f.path) AND o.kind = 'missing')"
)
_PENDING_AGAIN: Final = (
    "SELECT count(*) FROM assets WHERE asset_id IN "
    f"(SELECT asset_id FROM findings WHERE check_id = ?) AND state = {PENDING}"
)


class Places:
    """Which places are whose, for a thread beside that of the book."""

    def __init__(self, reading: Callable[[], AbstractContextManager[sqlite3.Connection]]) -> None:
        self._reading = reading

    def nobodys(self, names: Sequence[tuple[str, str]]) -> set[str]:
        """The paths among them that are no stored image's place. A name is as in ``strays``."""
        with self._reading() as connection:
            return {path for path, *_ in _STRAYS.read(connection, names, None)}


class CheckBook:
    def __init__(self, manifest: ManifestMaintainer) -> None:
        self._manifest = manifest

    def begin(self, parts: int, *, repair: bool) -> Standing:
        """Go on with the same check if the last one was stopped, and no run was on since; else
        begin one, of the part whose last check is longest ago.
        """
        with self._manifest.transaction() as connection:
            stopped = _stopped(connection, parts, repair=repair)
            if stopped is not None:
                return stopped
            part = Part(_next_part(connection, parts), parts)
            now = self._manifest.wall()
            check_id = connection.execute(
                "INSERT INTO checks (started_at, updated_at, part, parts, repair, after_run) "
                "VALUES (?, ?, ?, ?, ?, (SELECT coalesce(max(id), 0) FROM runs)) RETURNING id",
                (now, now, part.which, part.of, int(repair)),
            ).fetchone()[0]
            return Standing(check_id, part, repair, now)

    def stored(self, part: Part) -> int:
        """How many files it is about; counts."""
        with self._manifest.reading() as connection:
            row = connection.execute(
                "SELECT count(*) FROM assets WHERE path IS NOT NULL AND asset_id % ? = ?",
                (part.of, part.which),
            ).fetchone()
        return int(row[0])

    def batch(self, part: Part, after: int) -> Batch | None:
        """The next files behind the asset ``after``; ``None`` at the end."""
        with self._manifest.reading() as connection:
            count, last, records, dotted = connection.execute(
                _STORED, (after, part.of, part.which, BATCH)
            ).fetchone()
            require_inside([dotted])
        return Batch(count, last, records) if count else None

    @contextmanager
    def places(self) -> Iterator[Places]:
        """For one more thread, to be entered and left there."""
        with self._manifest.beside() as reading:
            yield Places(reading)

    def strays(self, check_id: int, names: Sequence[tuple[str, str]]) -> list[Stray]:
        """Those that are no stored image's place. A name is a path, and the image id in it."""
        with self._manifest.reading() as connection:
            strays = [
                Stray(
                    path, asset_id, bool(pending), subset or "", once and (once[0], once[1]), *rest
                )
                for path, asset_id, pending, subset, once, *rest in _STRAYS.read(
                    connection, names, check_id
                )
            ]
            require_inside(chain.from_iterable((one.subset, one.place) for one in strays))
            return strays

    def shards(self) -> dict[str, int]:
        """Where what is recorded to lie in each shard ends, by the shard's path."""
        with self._manifest.reading() as connection:
            return shards.read(connection).sizes

    def unrecorded(self, shard: str, members: Sequence[Member]) -> list[Member]:
        """Those images of a shard that are not where their asset is recorded to be."""
        with self._manifest.reading() as connection:
            number = connection.execute("SELECT id FROM shards WHERE name = ?", (shard,)).fetchone()
            names = [
                (
                    at,
                    tar.image_id_of(one.name),
                    packing.pack_member(one.name, number[0], one.offset),
                )
                for at, one in enumerate(members)
            ]
            found: Iterable[Any] = _STRANGERS.read(connection, names)
            return [members[at] for at in found]

    def record(self, standing: Standing, puts: Sequence[Put], reopened: Sequence[int]) -> None:
        """Commit where the check stands, what it found, and the assets that a repair reopens."""
        now = self._manifest.wall()
        with self._manifest.transaction() as connection:
            if reopened:
                reopen_assets(connection, reopened, now)
            _FINDINGS.write(connection, [_row(standing.check_id, put) for put in puts])
            connection.execute(
                "UPDATE checks SET updated_at = ?, through_asset = ?, through_folder = ?, "
                "files = ?, bytes = ?, entries = ? WHERE id = ?",
                (
                    now,
                    standing.through_asset,
                    standing.through_folder,
                    standing.files,
                    standing.read,
                    standing.entries,
                    standing.check_id,
                ),
            )

    def finish(self, standing: Standing) -> None:
        """The check has been over everything: see what findings have to do with each other."""
        now = self._manifest.wall()
        with self._manifest.transaction() as connection:
            connection.execute(_SWAPPED, (standing.check_id,))
            connection.execute(_CASE_VARIANTS, (standing.check_id,))
            connection.execute(
                "UPDATE checks SET updated_at = ?1, ended_at = ?1 WHERE id = ?2",
                (now, standing.check_id),
            )

    def pending_again(self, check_id: int) -> int:
        """How many of the images that the check has something to say of are pending now."""
        with self._manifest.reading() as connection:
            row = connection.execute(_PENDING_AGAIN, (check_id,)).fetchone()
        return int(row[0])

    def counts(self, check_id: int) -> Counter[Kind]:
        with self._manifest.reading() as connection:
            return Counter(
                {
                    Kind(kind): n
                    for kind, n in connection.execute(
                        "SELECT kind, count(*) FROM findings WHERE check_id = ? GROUP BY kind",
                        (check_id,),
                    )
                }
            )

    def findings(self, check_id: int) -> Iterator[Put]:
        """All of the check's, by path."""
        with self._manifest.reading() as connection:
            for kind, moved_to, *rest in connection.execute(
                "SELECT kind, moved_to, path, detail, asset_id, observed_size, observed_md5, "
                "recorded_md5 FROM findings WHERE check_id = ? ORDER BY path",
                (check_id,),
            ):
                yield Put(Finding(Kind(kind), *rest), moved_to)


def _stopped(connection: sqlite3.Connection, parts: int, *, repair: bool) -> Standing | None:
    row = connection.execute(
        "SELECT id, part, started_at, through_asset, through_folder, files, bytes, entries "
        "FROM checks WHERE id = (SELECT max(id) FROM checks) AND ended_at IS NULL "
        "AND parts = ? AND repair = ? "
        "AND after_run = (SELECT coalesce(max(id), 0) FROM runs)",
        (parts, int(repair)),
    ).fetchone()
    if row is None:
        return None
    check_id, part, started_at, *rest = row
    return Standing(check_id, Part(part, parts), repair, started_at, True, *rest)


def _next_part(connection: sqlite3.Connection, parts: int) -> int:
    last = dict(
        connection.execute(
            "SELECT part, max(id) FROM checks WHERE parts = ? AND ended_at IS NOT NULL "
            "GROUP BY part",
            (parts,),
        )
    )
    return min(range(parts), key=lambda part: last.get(part, 0))


def _row(check_id: int, put: Put) -> tuple[int | str | None, ...]:
    found = put.finding
    return (
        check_id,
        found.path,
        str(found.kind),
        found.detail,
        found.asset_id,
        found.size,
        found.md5,
        found.recorded_md5,
        put.moved_to,
    )

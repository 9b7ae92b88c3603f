"""Import: rows of a source become assets, duplicates or rejected rows; none is dropped.

What becomes of a row is decided in ``fetcher.manifest.rows``; here it is looked up and written. A
batch, its counts and the reading position are one transaction, so a kill neither loses nor doubles
a row. Law 1 holds at every commit, because a source's ``accepted`` counts the assets that it owns,
and its ``duplicate`` and ``rejected`` begin at zero when it is read anew: an asset whose row has
vanished from the list stays, and stays counted.
"""

# ruff: noqa: S608  every statement is put together from constants of this package

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from fetcher.manifest import beside, listed
from fetcher.manifest.bulk import Bulk, Value
from fetcher.manifest.extras import encode
from fetcher.manifest.leasing import Leases
from fetcher.manifest.names import AllNames
from fetcher.manifest.rows import Batch, Change, Conflict, Known, Whole, cut
from fetcher.manifest.schema import ROOM
from fetcher.manifest.sources import Reading, Sources
from fetcher.manifest.states import PENDING
from fetcher.manifest.tallies import STORED_BYTES, TallyChanges
from fetcher.model import BadRow, Row
from fetcher.ports import StagedRows

KNOWN: Final = Bulk(
    "SELECT json_group_array(json_array(a.asset_id, a.image_id, a.url, a.expected_size, "
    f"a.expected_md5, a.state, a.code, a.subset_id, {STORED_BYTES}, {listed.SOURCE}, "
    f"{listed.LINE}, {listed.LAYOUT}, s.source_id, s.line, {listed.PARTS})) "
    f"FROM (VALUES {{rows}}) CROSS JOIN assets AS a ON a.image_id = column1 {listed.JOINED} "
    "LEFT JOIN seen AS s ON s.asset_id = a.asset_id",
    width=1,
)
_NEW_ASSETS: Final = Bulk(
    "INSERT INTO assets (asset_id, image_id, subset_id, host_id, url, expected_size, "
    "expected_md5, state, code, updated_at, room) "
    f"SELECT *, '{ROOM}' FROM (VALUES {{rows}}) WHERE column1 IS NOT NULL",
    width=10,
)
_DETAILS: Final = Bulk(
    "INSERT INTO details (asset_id, source_id, line, layout_id, extra) "
    "SELECT * FROM (VALUES {rows}) WHERE column1 IS NOT NULL "
    "ON CONFLICT (asset_id) DO UPDATE SET source_id = excluded.source_id, line = excluded.line, "
    "layout_id = excluded.layout_id, extra = excluded.extra",
    width=5,
)
_SEEN: Final = Bulk(
    "INSERT OR REPLACE INTO seen (asset_id, source_id, line) "
    "SELECT * FROM (VALUES {rows}) WHERE column1 IS NOT NULL",
    width=3,
)
_REJECTED: Final = Bulk(
    "INSERT INTO rejected_rows (source_id, line, reason, detail, text) "
    "SELECT * FROM (VALUES {rows}) WHERE column1 IS NOT NULL",
    width=5,
)
REOPENED: Final = Bulk(
    "WITH v (asset_id, url, host_id, size, md5, state, code, now) AS (VALUES {rows}) "
    "UPDATE assets SET url = v.url, host_id = v.host_id, expected_size = v.size, "
    "expected_md5 = v.md5, state = v.state, code = v.code, updated_at = v.now, attempts = 0, "
    "http_status = NULL, final_url = NULL, actual_size = NULL, actual_md5 = NULL, path = NULL, "
    f"room = '{ROOM}' FROM v WHERE assets.asset_id = v.asset_id",
    width=8,
)
MOVED: Final = Bulk(
    # The bytes came from the old URL; ``final_url`` is left out only where it is the listed one.
    "WITH v (asset_id, url, host_id, now) AS (VALUES {rows}) "
    "UPDATE assets SET final_url = nullif(coalesce(final_url, iif(http_status IS NULL, NULL, "
    "assets.url)), v.url), url = v.url, host_id = v.host_id, updated_at = v.now "
    "FROM v WHERE assets.asset_id = v.asset_id",
    width=4,
)


class Importer:
    """Writes batches. ``write`` is called within a transaction, ``apply`` when it is committed."""

    def __init__(
        self, connection: sqlite3.Connection, names: AllNames, sources: Sources, leases: Leases
    ) -> None:
        self._connection = connection
        self._names = names
        self._sources = sources
        self._leases = leases
        self._next_id: int = connection.execute(
            "SELECT coalesce(max(asset_id), 0) + 1 FROM assets"
        ).fetchone()[0]

    def write(
        self, source_id: int, rows: Sequence[Row | BadRow], through_line: int, now: int
    ) -> Batch:
        source = self._sources.reading(source_id)
        if rows and not source.through_line < rows[0].line <= rows[-1].line <= through_line:
            raise ValueError(
                f"lines {rows[0].line} to {rows[-1].line} are not between "
                f"{source.through_line} and {through_line}"
            )
        batch = Batch(source, self._known(rows), met_before=self._met_before)
        batch.sort(rows)
        tallies = TallyChanges()
        work: dict[str, tuple[int, int]] = {}
        self._write_new(batch, source, tallies, work, now)
        self._write_changes(batch.changes, tallies, work, now)
        self._write_seen(batch.seen, source)
        self._write_details(batch.details, source)
        self._write_rejected(batch, source)
        self._write_position(batch, source, through_line)
        tallies.write(self._connection)
        self._leases.offer(work)
        return batch

    def write_staged(self, source_id: int, staged: StagedRows, now: int) -> Batch | Whole:
        """Write what lies beside the manifest (``fetcher.manifest.staging``)."""
        source = self._sources.reading(source_id)
        if staged.line <= source.through_line:
            raise ValueError(f"line {staged.line} is not after {source.through_line}")
        if not beside.write_assets(self._connection, self._next_id, staged.count, now):
            first = self._sources.current.first_asset_id
            if not self._sources.stands(source_id) and beside.confirm(
                self._connection, staged, source_id, source.layout_id, first
            ):
                batch = Whole(confirmed=staged.count)
                self._write_position(batch, source, staged.through)
                return batch
            rows = beside.rows(self._connection, staged.line)
            return self.write(source_id, rows, staged.through, now)
        self._connection.execute(
            beside.PASSAGES, (self._next_id, source_id, staged.line, source.layout_id)
        )
        tallies = TallyChanges()
        for subset, n, size in beside.counted(self._connection):
            tallies.shift((subset, PENDING, 0), n, size, 0)
        batch = Whole(new=staged.count)
        self._write_position(batch, source, staged.through)
        tallies.write(self._connection)
        self._leases.offer(beside.first_by_host(self._connection, self._next_id))
        return batch

    def apply(self, batch: Batch | Whole, source_id: int, through_line: int) -> None:
        self._next_id += len(batch.new)
        self._sources.reading(source_id).through_line = through_line
        self._leases.supersede(c.was.asset_id for c in batch.changes if c.reopened is not None)

    def _known(self, rows: Sequence[Row | BadRow]) -> dict[str, Known]:
        ids = [(row.image_id,) for row in rows if isinstance(row, Row)]
        found = list(KNOWN.read(self._connection, ids))
        return {
            image_id: Known(asset_id, *values, extra)  # type: ignore[call-arg]  # as many as KNOWN has
            for (asset_id, image_id, *values), extra in listed.with_cells(self._connection, found)
        }

    def _met_before(self, known: Known) -> bool:
        return (
            known.asset_id >= self._sources.current.first_asset_id
            or known.seen_source is not None
            or self._sources.stands(known.source_id)
        )

    def _write_new(
        self,
        batch: Batch,
        source: Reading,
        tallies: TallyChanges,
        work: dict[str, tuple[int, int]],
        now: int,
    ) -> None:
        if not batch.new:
            return
        subsets = self._names.subsets.ids(row.subset for row, _ in batch.new)
        hosts = self._names.hosts.ids(standing.host for _, standing in batch.new)
        codes = self._codes(standing.code for _, standing in batch.new)
        assets: list[tuple[Value, ...]] = []
        for asset_id, (row, standing) in enumerate(batch.new, self._next_id):
            size, state = row.expected.size, standing.state
            subset, host, code = subsets[row.subset], hosts[standing.host], codes[standing.code]
            assets.append(
                (
                    asset_id,
                    row.image_id,
                    subset,
                    host,
                    row.url,
                    size,
                    row.expected.md5,
                    state,
                    code,
                    now,
                )
            )
            tallies.add((subset, state, code), size)
            if state == PENDING and standing.host not in work:
                work[standing.host] = (host, asset_id)
        _NEW_ASSETS.write(self._connection, assets)
        numbered = enumerate((row for row, _ in batch.new), self._next_id)
        self._write_details(dict(numbered), source)

    def _write_changes(
        self,
        changes: Sequence[Change],
        tallies: TallyChanges,
        work: dict[str, tuple[int, int]],
        now: int,
    ) -> None:
        if not changes:
            return
        hosts = self._names.hosts.ids(change.host for change in changes)
        codes = self._codes(c.reopened.code for c in changes if c.reopened is not None)
        reopened: list[tuple[Value, ...]] = []
        moved: list[tuple[Value, ...]] = []
        for change in changes:
            was, row, host = change.was, change.row, hosts[change.host]
            if change.reopened is None:
                moved.append((was.asset_id, row.url, host, now))
                continue
            state, code = change.reopened.state, codes[change.reopened.code]
            size, md5 = row.expected.size, row.expected.md5
            reopened.append((was.asset_id, row.url, host, size, md5, state, code, now))
            tallies.add((was.subset_id, was.state, was.code), was.size, was.stored, n=-1)
            tallies.add((was.subset_id, state, code), size)
            if state == PENDING:
                first = work.get(change.host, (host, was.asset_id))[1]
                work[change.host] = (host, min(first, was.asset_id))
        REOPENED.write(self._connection, reopened)
        MOVED.write(self._connection, moved)

    def _write_seen(self, lines: Mapping[int, int], source: Reading) -> None:
        _SEEN.write(
            self._connection,
            [(asset_id, source.source_id, line) for asset_id, line in lines.items()],
        )

    def _write_details(self, rows: Mapping[int, Row], source: Reading) -> None:
        """Where these assets' rows are, and what they say besides."""
        me, layout = source.source_id, source.layout_id
        extras = encode(list(rows.values()), self._names.texts)
        _DETAILS.write(
            self._connection,
            [
                (asset_id, me, row.line, layout, extra)
                for (asset_id, row), extra in zip(rows.items(), extras, strict=True)
            ],
        )

    def _write_rejected(self, batch: Batch, source: Reading) -> None:
        me = source.source_id
        rejected: list[tuple[Value, ...]] = [
            (me, bad.line, bad.reason, bad.detail, cut(bad.text)) for bad in batch.bad
        ]
        for conflict in batch.conflicts:
            row, expected = conflict.row, conflict.row.expected
            text = f"{row.image_id},{row.url},{expected.size or ''},{expected.md5 or ''}"
            detail = self._describe(conflict)
            rejected.append((me, row.line, "conflicting-id", detail, cut(text)))
        _REJECTED.write(self._connection, rejected)

    def _describe(self, conflict: Conflict) -> str:
        list_path, member = self._connection.execute(
            "SELECT list_path, member FROM sources WHERE id = ?", (conflict.first_source,)
        ).fetchone()
        where = list_path if member is None else f"{list_path}, {member}"
        return f"another {conflict.differs} than in {where}, line {conflict.first_line}"

    def _write_position(self, batch: Batch | Whole, source: Reading, through_line: int) -> None:
        for loser, n in batch.taken_from.items():
            self._connection.execute(
                "UPDATE sources SET accepted = accepted - ?1, duplicate = duplicate + ?1 "
                "WHERE id = ?2",
                (n, loser),
            )
        self._connection.execute(
            "UPDATE sources SET accepted = accepted + ?, duplicate = duplicate + ?, "
            "rejected = rejected + ?, through_line = ? WHERE id = ?",
            (
                batch.gained,
                batch.duplicates,
                len(batch.bad) + len(batch.conflicts),
                through_line,
                source.source_id,
            ),
        )

    def _codes(self, names: Iterable[str | None]) -> dict[str | None, int]:
        """``None``, as in "no code", is 0."""
        codes: dict[str | None, int] = {None: 0}
        codes.update(self._names.codes.ids(name for name in names if name is not None))
        return codes

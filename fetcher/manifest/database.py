"""The manifest, synchronously: everything that one thread may ask of it.

Each method is one transaction, and whatever is known in memory changes only when that is
committed, so an error (a full disk, say) leaves both as they were. All methods belong to the
thread that opened it; ``fetcher.manifest.thread`` gives it one.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from fetcher.killpoints import Point, reached
from fetcher.manifest import (
    beside,
    damage,
    listed,
    memories,
    reopening,
    robots,
    runs,
    schema,
    shards,
    tallies,
)
from fetcher.manifest.auditing import Audit, AuditSettlement, AuditTerms
from fetcher.manifest.faults import translated
from fetcher.manifest.importing import Importer
from fetcher.manifest.leasing import LeasePart, Leases
from fetcher.manifest.lock import RunLock
from fetcher.manifest.names import AllNames
from fetcher.manifest.opening import connect
from fetcher.manifest.places import require_plain_files
from fetcher.manifest.runs import RunInfo
from fetcher.manifest.selecting import selected
from fetcher.manifest.settling import Settlement
from fetcher.manifest.shards import Shards
from fetcher.manifest.sources import Sources
from fetcher.manifest.whereabouts import Whereabouts
from fetcher.model import (
    BadRow,
    HostMemory,
    LeaseRequest,
    Outcome,
    RobotsNote,
    Row,
    RowTally,
    Selection,
    SourceInfo,
    Tally,
)
from fetcher.policy.sampling import StratumCount
from fetcher.ports import NameNumbers, NamesToNumber, SourceCursor, StagedRows

_TO_WRITE: Final = "BEGIN IMMEDIATE"


class Database:
    """``group_of`` maps a host name to its group. ``selection`` narrows leases, nothing else."""

    def __init__(
        self,
        path: Path,
        connection: sqlite3.Connection,
        lock: RunLock,
        *,
        group_of: Callable[[str], str],
        selection: Selection,
        wall: Callable[[], float],
    ) -> None:
        self._path = path
        self._connection = connection
        self._lock = lock
        self._whereabouts = Whereabouts(path)
        self._selection = selection
        self._group_of = group_of
        self._wall = wall
        self._names = AllNames(connection)
        self._sources = Sources(connection, self._names.layouts)
        self._leases = Leases(connection, group_of=group_of, selection=selection)
        self._importer = Importer(connection, self._names, self._sources, self._leases)
        self._run_id: int | None = None
        self._with_extra = False
        self._audit: Audit | None = None

    @classmethod
    def open(
        cls,
        path: Path,
        *,
        command: str,
        group_of: Callable[[str], str],
        selection: Selection = Selection(),  # noqa: B008  immutable
        wall: Callable[[], float] = time.time,
        images_stored: bool = False,
        place: Path | None = None,
    ) -> Database:
        """The manifest at ``path``, made if there is none; locked against other runs until closed,
        and so is ``place``, where its DIR has temporary files.
        ``images_stored``: it has been worked with before, so that an empty one is a damaged one.

        Raises ``LockedError``, ``ManifestUnusableError`` (no manifest, of a newer schema, no such
        folder), ``ManifestError`` or ``StoreError``.
        """
        schema.require_sqlite()
        lock = RunLock.acquire(path, command=command, now=wall(), place=place)
        reached(Point.LOCKED)
        try:
            require_plain_files(path)
            with translated(path):
                connection = connect(path, images_stored=images_stored)
                try:
                    return cls(
                        path, connection, lock, group_of=group_of, selection=selection, wall=wall
                    )
                except BaseException:
                    connection.close()
                    raise
        except BaseException:
            lock.release()
            raise

    def begin_run(self, info: RunInfo) -> int:
        with self._transaction():
            run_id = runs.begin(self._connection, info, self._wall())
        reached(Point.RUN_BEGUN)
        self._run_id = run_id
        return run_id

    def end_run(self, exit_code: int, reason: str | None = None) -> None:
        with self._transaction():
            runs.end(self._connection, self._running(), exit_code, reason, self._wall())
        reached(Point.RUN_ENDED)

    def runs_without_end(self) -> int:
        """How many runs died, one after another, before this one."""
        return runs.without_end(self._connection, self._running())

    def shards(self) -> Shards:
        """What is known of shards before, or after, a run."""
        with self._transaction("BEGIN"):
            return shards.read(self._connection)

    def fill_shards(self) -> None:
        """Images of this run go into shards: leases have the list's other columns with them, and a
        commit survives a power cut at once, or the next run would take what it was about for a
        tail.
        """
        self._with_extra = True
        self._connection.execute("PRAGMA synchronous = FULL")

    def list_is_complete(self, path: str, fingerprint: str) -> bool:
        """Whether this very list was read to its end: then it need not be opened again."""
        with translated(self._path):
            return self._sources.list_is_complete(path, fingerprint)

    def finish_list(self, path: str, fingerprint: str) -> None:
        """All of its sources are finished."""
        with self._transaction():
            self._sources.finish_list(path, fingerprint)
        reached(Point.LIST_FINISHED)

    def begin_source(self, info: SourceInfo, fingerprint: str) -> SourceCursor:
        """Where to go on reading ``info``.

        ``fingerprint`` changes when the source, or the way it is read, may have changed.
        """
        with self._transaction():
            begun = self._sources.begin(info, fingerprint)
        reached(Point.SOURCE_BEGUN)
        self._sources.apply(begun)
        return begun.cursor

    def import_rows(
        self, source_id: int, rows: Sequence[Row | BadRow], through_line: int
    ) -> RowTally:
        """Import rows in the order of their lines; ``through_line`` is the last line read. Returns
        what became of these rows.
        """
        with self._transaction():
            batch = self._importer.write(source_id, rows, through_line, int(self._wall()))
            reached(Point.ROWS_WRITTEN)
        reached(Point.ROWS_COMMITTED)
        self._importer.apply(batch, source_id, through_line)
        return batch.tally

    def number_names(self, names: NamesToNumber) -> NameNumbers:
        """Numbers of names, which stay theirs."""
        with self._transaction():
            return NameNumbers(
                self._names.hosts.ids(names.hosts),
                self._names.subsets.ids(names.subsets),
                self._names.texts.ids(names.texts),
            )

    def import_staged(self, source_id: int, staged: StagedRows) -> RowTally:
        """The same as ``import_rows`` of the rows that were staged."""
        with damage.blamed(self._connection, self._path):
            beside.lay(self._connection, staged)
        with self._transaction():
            now = int(self._wall())
            batch = self._importer.write_staged(source_id, staged, now)
            reached(Point.ROWS_WRITTEN)
        reached(Point.ROWS_COMMITTED)
        self._importer.apply(batch, source_id, staged.through)
        return batch.tally

    def finish_source(self, source_id: int) -> None:
        """All of it has been imported."""
        self._sources.reading(source_id)
        with self._transaction():
            self._sources.finish(source_id)
        reached(Point.SOURCE_FINISHED)
        self._sources.finished(source_id)

    def finish_import(self) -> None:
        """All lists of the command are finished: forget what only telling duplicates needed."""
        with self._transaction():
            self._connection.execute("DELETE FROM seen")
        reached(Point.IMPORT_FINISHED)
        self._sources.reset()

    def lease_part(self, request: LeaseRequest) -> LeasePart:
        """A slice of a lease; if it is empty and not done, ask again."""
        reached(Point.BEFORE_LEASE)
        with self._transaction("BEGIN"):  # writes nothing but the ring, which is temporary
            part = self._leases.take(request)
            if self._with_extra:
                listed.attach(self._connection, part.leased)
        reached(Point.LEASED)
        self._leases.keep(part.leased)
        return part

    def give_back(self, asset_ids: Sequence[int]) -> None:
        leased = [self._leases.out(asset_id) for asset_id in asset_ids]
        with self._transaction("BEGIN"):
            self._leases.offer_back(leased)
        reached(Point.GIVEN_BACK)
        self._leases.end(asset_ids)

    def settle(self, outcomes: Sequence[Outcome]) -> bool:
        """Whether that made assets available again: those that were superseded."""
        run_id = self._running()
        with self._transaction():
            codes = Settlement.codes(outcomes, self._names.codes)
            numbers = Settlement.shards(outcomes, self._names.shards)
            settlement = (
                Settlement(outcomes, self._leases, codes, run_id, numbers)
                if self._audit is None
                else AuditSettlement(outcomes, self._leases, codes, run_id, self._audit.audit_id)
            )
            available = settlement.write(self._connection)
        reached(Point.SETTLED)
        settlement.apply()
        return available

    def reopen_found(self) -> None:
        """What audits found there and did not keep is to be fetched, if it is selected."""
        with self._transaction():
            chosen = selected(self._connection, self._selection)
        found, now = False, self._wall()
        for bounds in reopening.slices(self._connection):
            with self._transaction():
                found |= bool(reopening.reopen_found(self._connection, chosen, bounds, now))
        if found:
            self._leases = self._new_leases()
            self._importer = Importer(self._connection, self._names, self._sources, self._leases)

    def begin_audit(self, terms: AuditTerms) -> Audit:
        """Begin an audit, or go on with one of the same terms that has not ended; from now on,
        what is leased and settled is the audit's. To be called when all lists are read.
        """
        run_id, now = self._running(), self._wall()
        with self._transaction():
            audit = Audit.begun(
                self._connection,
                terms,
                self._selection,
                self._group_of,
                run_id=run_id,
                now=now,
            )
        for bounds in reopening.slices(self._connection):
            with self._transaction():
                reopening.reopen_audited(self._connection, audit.audit_id, bounds, now)
        self._audit = audit
        self._leases = self._new_leases()
        return audit

    def finish_audit(self) -> None:
        """Close the audit's book, if all that it asks for has been answered."""
        if self._audit is not None:
            with self._transaction():
                self._audit.finish(self._connection, self._wall())

    def audit_tally(self) -> Tally:
        """What the audit found so far, and what it has yet to ask for."""
        if self._audit is None:
            raise ValueError("no audit has begun")
        with self._transaction("BEGIN"):
            return self._audit.tally(self._connection)

    def audit_counts(self) -> list[StratumCount]:
        if self._audit is None:
            raise ValueError("no audit has begun")
        with self._transaction("BEGIN"):
            return self._audit.counts(self._connection)

    def _new_leases(self) -> Leases:
        if self._audit is None:
            return Leases(self._connection, group_of=self._group_of, selection=self._selection)
        queue = self._audit.queue()
        return Leases(self._connection, group_of=self._group_of, selection=Selection(), queue=queue)

    def recall_robots(self, origins: Sequence[str], token: str) -> dict[str, RobotsNote]:
        with self._transaction("BEGIN"):
            return robots.recall(self._connection, origins, token)

    def remember_robots(self, notes: Sequence[RobotsNote]) -> None:
        with self._transaction():
            robots.remember(self._connection, notes)

    def tally(self) -> Tally:
        with self._transaction("BEGIN"):
            return tallies.read(self._connection)

    def selected_tally(self) -> Tally:
        """Of the selection alone; the rows are those of all sources."""
        with self._transaction("BEGIN"):
            return tallies.read_selected(self._connection, self._selection)

    def host_memories(self) -> list[HostMemory]:
        """What was learned of host groups."""
        with translated(self._path):
            return memories.read(self._connection)

    def remember_hosts(self, learned: Sequence[HostMemory]) -> None:
        """Each replaces what was known of its group."""
        with self._transaction():
            memories.write(self._connection, learned)

    def close(self) -> None:
        """Leave one file if nobody else looks on, else SQLite's own that the next run tidies."""
        try:
            self._whereabouts.leave_one_file(self._connection)
            reached(Point.LOG_FOLDED)
        finally:
            self._connection.close()
            self._lock.release()

    def _running(self) -> int:
        if self._run_id is None:
            raise ValueError("no run has begun")
        return self._run_id

    @contextmanager
    def _transaction(self, begin: str = _TO_WRITE) -> Iterator[None]:
        if begin == _TO_WRITE:
            self._whereabouts.require()
        with damage.blamed(self._connection, self._path):
            self._connection.execute(begin)
            try:
                yield
                self._connection.execute("COMMIT")
            except BaseException:
                self._names.forget()
                with suppress(sqlite3.Error):  # SQLite may have rolled back by itself
                    self._connection.execute("ROLLBACK")
                raise

"""``ports.Manifest`` and the import, as one thread with a queue serves them: in turn, each call in
some time, committed at one instant. It can fail, and be cut off before and after each commit.

The rules are those of ``records``. In some seeds the real database is asked beside them, and has to
say the same.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

from fetcher.errors import FetcherError, ManifestError, StoreError
from fetcher.manifest.database import Database
from fetcher.manifest.runs import RunInfo
from fetcher.model import (
    HostMemory,
    Lease,
    LeaseRequest,
    Outcome,
    RobotsNote,
    SourceInfo,
    State,
    Tally,
)
from fetcher.policy.hosts import HostGroups
from tests.fakes.clock import EPOCH
from tests.manifest.opened import check_laws, images
from tests.simulation.life import Life
from tests.simulation.records import Records
from tests.simulation.scenario import Scenario
from tests.simulation.witness import Witness

T = TypeVar("T")

SOURCE = SourceInfo("/list.csv", None, ())


class Book:
    """Of all runs of a seed; ``begin`` and ``end`` bracket one run."""

    def __init__(
        self,
        *,
        scenario: Scenario,
        records: Records,
        witness: Witness,
        groups: HostGroups,
        folder: Path | None,
    ) -> None:
        self._scenario = scenario
        self._records = records
        self._witness = witness
        self._trace = witness.trace
        self._group_of = groups.group_of
        self._path = folder / "manifest.sqlite" if folder is not None else None
        self._database: Database | None = None
        self._source_id = 0
        self._life = Life.none()
        self._free_at = 0.0
        self._memories: dict[str, HostMemory] = {}
        self._notes: dict[str, RobotsNote] = {}

    def begin(self, life: Life) -> None:
        self._life, self._free_at = life, 0.0
        self._records.forget_leases()
        if self._path is not None:
            self._database = Database.open(
                self._path,
                command="simulated",
                group_of=self._group_of,
                wall=lambda: EPOCH + self._trace.clock(),
            )
            self._database.begin_run(RunInfo("simulated", "0"))

    async def host_memories(self) -> Sequence[HostMemory]:
        return list(self._memories.values())

    async def remember_hosts(self, memories: Sequence[HostMemory]) -> None:
        self._life.check()
        self._memories.update((memory.group, memory) for memory in memories)

    # ports.RobotsBook

    async def recall(self, origins: Sequence[str], token: str) -> Mapping[str, RobotsNote]:
        await self._turn()
        self._step("recall")
        found = {origin: self._notes[origin] for origin in origins if origin in self._notes}
        if self._database is not None:
            really = self._database.recall_robots(origins, token)
            same = really == found
            self._trace.require(same, "the manifest", lambda: f"robots: {really}, not {found}")
        return found

    async def remember(self, notes: Sequence[RobotsNote]) -> None:
        await self._surely(lambda: self._remember(notes))

    def _remember(self, notes: Sequence[RobotsNote]) -> None:
        self._step("remember")
        if self._database is not None:
            self._database.remember_robots(notes)
        for note in notes:
            self._notes[note.origin] = note
            self._witness.owners.remembered(note.origin, note.fetched_at - EPOCH)
        self._step("remembered")

    def end(self, *, cleanly: bool) -> None:
        """After a kill nothing is said; what is committed is there."""
        database, self._database = self._database, None
        if database is None:
            return
        self._compare(database)
        if cleanly:
            database.end_run(0)
            database.close()
        else:
            database._connection.close()
            database._lock.release()

    # ports.Manifest

    async def lease(self, request: LeaseRequest) -> Lease:
        await self._turn()
        self._step("lease")
        lease = self._lease(request)
        self._trace.note("lease", len(lease.assets))
        self._witness.leased(lease.assets)
        held = len(self._records.leased)
        most = 3 * self._scenario.limits.capacity
        self._trace.require(held <= most, "law 7", lambda: f"{held} assets are held")
        return lease

    async def give_back(self, asset_ids: Sequence[int]) -> None:
        await self._surely(lambda: self._give_back(asset_ids))

    async def settle(self, outcomes: Sequence[Outcome]) -> bool:
        return await self._surely(lambda: self._settle(outcomes))

    def _give_back(self, asset_ids: Sequence[int]) -> None:
        self._step("give back")
        if self._database is not None:
            self._database.give_back(asset_ids)
        self._records.give_back(asset_ids)
        self._trace.note("give back", len(asset_ids))

    def _settle(self, outcomes: Sequence[Outcome]) -> bool:
        self._step("settle")
        really = self._database.settle(outcomes) if self._database is not None else None
        available = False
        for outcome in outcomes:
            self._witness.committed(outcome, self._records.leased[outcome.asset_id])
            available |= self._records.settle(outcome)
        if really not in (None, available):
            self._trace.breach("the manifest", f"settle says {really}, and not {available}")
        self._step("settled")
        return available

    async def tally(self) -> Tally:
        await self._turn()
        if self._database is not None:
            return self._database.tally()
        states = dict.fromkeys(State, 0)
        for record in self._records.by_id.values():
            states[record.state] += 1
        return Tally(states)

    # The import.

    async def read(self, version: int, gaps: float, stirred: Callable[[], None]) -> None:
        """Read this version of the list from where its reading stopped."""
        await self._turn()
        lines = self._scenario.versions[version]
        self._step("begin")
        if self._database is not None and not self._database.list_is_complete(
            SOURCE.list_path, str(version)
        ):
            cursor = self._database.begin_source(SOURCE, str(version))
            self._source_id = cursor.source_id
        if not self._records.begin(version):
            return
        left = [line for line in lines if line.line > self._records.through]
        for start in range(0, len(left), self._scenario.batch):
            part = left[start : start + self._scenario.batch]
            await asyncio.sleep(gaps)
            await self._turn()
            self._step("import")
            if self._database is not None:
                self._database.import_rows(self._source_id, part, part[-1].line)
            self._records.take_in(part)
            self._trace.note("import", len(part))
            self._step("imported")
            stirred()
        await self._turn()
        self._step("finish")
        if self._database is not None:
            self._database.finish_source(self._source_id)
            self._database.finish_list(SOURCE.list_path, str(version))
            self._database.finish_import()
        self._records.finish()

    # Inside.

    async def _turn(self) -> None:
        """Wait for one's turn, as in the queue of the thread that owns the database."""
        self._life.check()
        loop = asyncio.get_running_loop()
        now = loop.time()
        self._free_at = max(now, self._free_at) + self._scenario.booking
        await asyncio.sleep(self._free_at - now)

    async def _surely(self, call: Callable[[], T]) -> T:
        """A caller that is cancelled stops waiting; what it asked for is done all the same."""
        try:
            await self._turn()
        except asyncio.CancelledError:
            with suppress(FetcherError):
                call()
            raise
        return call()

    def _step(self, step: str) -> None:
        """Raises ``FetcherError`` or ``Killed``."""
        kind = self._life.step("book")
        if kind is None or step in {"settled", "imported", "remembered", "give back"}:
            return
        self._trace.note("book fails", step, kind)
        self._life.book_failed = kind
        if step in {"lease", "settle", "recall", "remember"}:
            self._witness.stops(f"the manifest failed to {step}")
        raise _error(kind)

    def _lease(self, request: LeaseRequest) -> Lease:
        if self._database is None:
            return self._records.lease(request)
        part = self._database.lease_part(request)
        while not part.leased and not part.done:
            part = self._database.lease_part(request)
        assets = tuple(leased.asset for leased in part.leased)
        for asset in assets:
            record = self._records.by_id[asset.asset_id]
            if asset.asset_id in self._records.leased or record.state is not State.PENDING:
                self._trace.breach("law 5", f"asset {asset.asset_id} is {record.state} or leased")
            if asset != record.asset:
                self._trace.breach("the manifest", f"{asset} should be {record.asset}")
        self._records.withhold(assets)
        self._records.hand_out(assets)
        return Lease(assets, exhausted=part.done)

    def _compare(self, database: Database) -> None:
        """Law 1; and that the database says what the records do."""
        assert self._path is not None
        try:
            check_laws(database._connection, database.tally())
        except AssertionError as error:
            self._trace.breach("law 1", f"the tallies are wrong: {error}")
        found = {
            row["image_id"]: (row["url"], row["state"], row["code"], row["path"], row["attempts"])
            for row in images(self._path)
        }
        wanted = {
            record.asset.image_id: (
                record.asset.url,
                record.state.value,
                record.code,
                record.path,
                record.asset.attempts,
            )
            for record in self._records.by_id.values()
        }
        for image_id in sorted(found.keys() | wanted.keys()):
            if found.get(image_id) != wanted.get(image_id):
                self._trace.breach(
                    "the manifest",
                    f"{image_id} is {found.get(image_id)}, and should be {wanted.get(image_id)}",
                )


def _error(kind: str) -> FetcherError:
    if kind == "busy":
        return ManifestError("Another program holds the manifest for writing.")
    return StoreError("The disk of the manifest …", fault_code=kind)


@contextmanager
def folder(*, real: bool) -> Iterator[Path | None]:
    """A place for a real database, in memory where there is one."""
    if not real:
        yield None
        return
    shared = Path("/dev/shm")  # noqa: S108  made and removed by tempfile
    place = Path(tempfile.mkdtemp(dir=shared if shared.is_dir() else None))
    try:
        yield place
    finally:
        shutil.rmtree(place)

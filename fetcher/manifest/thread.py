"""The manifest for an event loop, served by one thread.

It is ``ports.Manifest``, ``ports.RowBook`` and ``ports.RobotsBook``.

One thread owns the connection; what is asked of it goes through a queue and comes back through a
future. It is first come, first served, but for rows to import, which let others pass for a while:
so a settlement waits for one batch of them at most. A lease that is large, or has to pass over many
assets that nobody selected, is cut into slices, for the same reason.

A caller that is cancelled stops waiting; what it asked for is done all the same. A lease that
nobody waits for any more is given back.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread
from types import TracebackType
from typing import Any, Final, Self, TypeVar

from msgspec import Struct

from fetcher.manifest.auditing import Audit, AuditTerms
from fetcher.manifest.database import Database
from fetcher.manifest.leasing import LeasePart
from fetcher.manifest.runs import RunInfo
from fetcher.manifest.shards import Shards
from fetcher.model import (
    BadRow,
    HostMemory,
    Lease,
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

T = TypeVar("T")

PATIENCE: Final = 4
"""Other calls that a batch of rows lets pass: a lease and some settlements."""


class _Call(Struct, frozen=True):
    """One question to the thread, and where its answer goes."""

    ask: Callable[[Database], Any]
    undo: Callable[[Database, Any], None] | None
    """What to do with an answer that nobody waits for."""
    loop: asyncio.AbstractEventLoop
    reply: asyncio.Future[Any]
    patient: bool = False
    """Whatever else is asked for meanwhile comes first."""


class _Calls:
    """What is asked of the thread, in its order; but patient calls let the others pass.

    Rows to import are patient: a lease that waited for a batch of them would leave the network
    idle. But after ``PATIENCE`` others it is their turn.
    """

    def __init__(self) -> None:
        self._queue: SimpleQueue[_Call | None] = SimpleQueue()
        self._patient: deque[_Call] = deque()
        self._passed = 0
        """Calls since the last patient one."""

    def put(self, call: _Call | None) -> None:
        """``None`` is the end, after all that was put before."""
        self._queue.put(call)

    def take(self) -> _Call | None:
        """The next one; waits for it."""
        while not self._patient or self._passed < PATIENCE:
            try:
                call = self._queue.get(block=not self._patient)
            except Empty:
                break
            if call is None and self._patient:
                self._queue.put(None)
                break
            if call is None or not call.patient:
                self._passed += 1
                return call
            self._patient.append(call)
        self._passed = 0
        return self._patient.popleft()


class ManifestThread:
    """Use it as an async context manager: entering opens the manifest, leaving closes it.

    Its methods are those of ``Database``, which says what they do; they may be called from any
    task of the loop that entered.
    """

    def __init__(
        self,
        path: Path,
        *,
        command: str,
        group_of: Callable[[str], str],
        selection: Selection = Selection(),  # noqa: B008  immutable
        wall: Callable[[], float] = time.time,
        images_stored: bool = False,
        place: Path | None = None,
    ) -> None:
        self._open: Callable[[], Database] = lambda: Database.open(
            path,
            command=command,
            group_of=group_of,
            selection=selection,
            wall=wall,
            images_stored=images_stored,
            place=place,
        )
        self._calls = _Calls()

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        opened = loop.create_future()
        self._thread = Thread(target=self._serve, args=(loop, opened), name="manifest", daemon=True)
        self._thread.start()
        try:
            await asyncio.shield(opened)
        except asyncio.CancelledError:
            # What is being opened is closed again: it is locked, and may have been made just now.
            self._calls.put(None)
            await asyncio.to_thread(self._thread.join)
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._calls.put(None)
        await asyncio.to_thread(self._thread.join)

    async def begin_run(self, info: RunInfo) -> int:
        return await self._call(lambda database: database.begin_run(info))

    async def runs_without_end(self) -> int:
        return await self._call(Database.runs_without_end)

    async def shards(self) -> Shards:
        return await self._call(Database.shards)

    async def fill_shards(self) -> None:
        await self._call(Database.fill_shards)

    async def end_run(self, exit_code: int, reason: str | None = None) -> None:
        await self._call(lambda database: database.end_run(exit_code, reason))

    async def list_is_complete(self, path: str, fingerprint: str) -> bool:
        return await self._call(lambda database: database.list_is_complete(path, fingerprint))

    async def finish_list(self, path: str, fingerprint: str) -> None:
        await self._call(lambda database: database.finish_list(path, fingerprint))

    async def begin_source(self, info: SourceInfo, fingerprint: str) -> SourceCursor:
        return await self._call(lambda database: database.begin_source(info, fingerprint))

    async def import_rows(
        self, source_id: int, rows: Sequence[Row | BadRow], through_line: int
    ) -> RowTally:
        return await self._call(
            lambda database: database.import_rows(source_id, rows, through_line), patient=True
        )

    async def number_names(self, names: NamesToNumber) -> NameNumbers:
        return await self._call(lambda database: database.number_names(names))

    async def import_staged(self, source_id: int, staged: StagedRows) -> RowTally:
        return await self._call(
            lambda database: database.import_staged(source_id, staged), patient=True
        )

    async def finish_source(self, source_id: int) -> None:
        await self._call(lambda database: database.finish_source(source_id))

    async def finish_import(self) -> None:
        await self._call(Database.finish_import)

    async def lease(self, request: LeaseRequest) -> Lease:
        while True:
            part = await self._call(lambda database: database.lease_part(request), undo=_give_back)
            if part.leased or part.done:
                assets = tuple(leased.asset for leased in part.leased)
                return Lease(assets, exhausted=part.done)

    async def give_back(self, asset_ids: Sequence[int]) -> None:
        await self._call(lambda database: database.give_back(asset_ids))

    async def settle(self, outcomes: Sequence[Outcome]) -> bool:
        return await self._call(lambda database: database.settle(outcomes))

    async def reopen_found(self) -> None:
        await self._call(Database.reopen_found)

    async def begin_audit(self, terms: AuditTerms) -> Audit:
        return await self._call(lambda database: database.begin_audit(terms))

    async def finish_audit(self) -> None:
        await self._call(Database.finish_audit)

    async def audit_tally(self) -> Tally:
        return await self._call(Database.audit_tally)

    async def audit_counts(self) -> list[StratumCount]:
        return await self._call(Database.audit_counts)

    async def recall(self, origins: Sequence[str], token: str) -> dict[str, RobotsNote]:
        return await self._call(lambda database: database.recall_robots(origins, token))

    async def remember(self, notes: Sequence[RobotsNote]) -> None:
        await self._call(lambda database: database.remember_robots(notes))

    async def tally(self) -> Tally:
        return await self._call(Database.tally)

    async def selected_tally(self) -> Tally:
        return await self._call(Database.selected_tally)

    async def host_memories(self) -> Sequence[HostMemory]:
        return await self._call(Database.host_memories)

    async def remember_hosts(self, memories: Sequence[HostMemory]) -> None:
        await self._call(lambda database: database.remember_hosts(memories))

    async def _call(
        self,
        ask: Callable[[Database], T],
        undo: Callable[[Database, T], None] | None = None,
        *,
        patient: bool = False,
    ) -> T:
        loop = asyncio.get_running_loop()
        reply: asyncio.Future[T] = loop.create_future()
        self._calls.put(_Call(ask, undo, loop, reply, patient))
        return await reply

    def _serve(self, loop: asyncio.AbstractEventLoop, opened: asyncio.Future[None]) -> None:
        """The thread: nothing but this touches the database."""
        try:
            database = self._open()
        except BaseException as error:  # noqa: BLE001  it is raised where it was asked for
            _tell(loop, _deliver, opened, None, error)
            return
        try:
            _tell(loop, _deliver, opened, None, None)
            for call in iter(self._calls.take, None):
                self._answer(database, call)
        finally:
            database.close()

    def _answer(self, database: Database, call: _Call) -> None:
        try:
            result = call.ask(database)
        except BaseException as error:  # noqa: BLE001  likewise
            _tell(call.loop, _deliver, call.reply, None, error)
        else:
            _tell(call.loop, self._hand_over, call, result)

    def _hand_over(self, call: _Call, result: Any) -> None:
        undo = call.undo
        if call.reply.cancelled() and undo is not None:
            nobody = call.loop.create_future()
            self._calls.put(_Call(lambda database: undo(database, result), None, call.loop, nobody))
        _deliver(call.reply, result, None)


def _give_back(database: Database, part: LeasePart) -> None:
    database.give_back([leased.asset.asset_id for leased in part.leased])


def _deliver(future: asyncio.Future[Any], result: Any, error: BaseException | None) -> None:
    if future.done():  # its caller was cancelled
        return
    if error is not None:
        future.set_exception(error)
    else:
        future.set_result(result)


def _tell(loop: asyncio.AbstractEventLoop, function: Callable[..., None], *arguments: Any) -> None:
    with suppress(RuntimeError):  # the loop is closed: nobody waits any more
        loop.call_soon_threadsafe(function, *arguments)

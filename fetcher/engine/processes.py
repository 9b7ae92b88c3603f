"""A crew of several processes, each with an event loop, connections and finishing threads.

The run stays in charge. One frontier decides what may start, so every limit of a host group holds
over all workers, and what one of them learns of a host counts for all. A worker is only a crew at
the other end of a socket: errands go there, reports come back, and neither says which process did
the work.

An errand goes to the least busy worker; for a host group that may have few requests in flight, to
the least busy of few workers, so that its connections are used again.

A worker that dies takes its requests along and nothing else: when it is known how it ended, each of
them is reported as ``worker-lost``, a fault of our own side, and another worker takes its place.
What was there when it died is suspected (``fetcher.policy.suspects``): one worker, the cell, is
kept out of the others' work for as long as there are suspects to be sent, and has few of them or
one at a time (``fetcher.policy.cell``). Which of them is why workers die is reported as
``crashed``; where it is none of them, the run gives up (``fetcher.policy.deaths``). A worker whose
run has gone ends at once.

A worker that hangs, stopped by a signal or lost in a library, would keep what it has for ever. But
nothing keeps its event loop for long: so one that has said nothing for a while is asked whether it
is there, and killed if it does not answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Final
from zlib import crc32

from msgspec import structs

from fetcher.engine.courier import Courier
from fetcher.engine.handle import WorkerHandle
from fetcher.engine.messages import (
    Abandon,
    Broke,
    Close,
    Closed,
    Ping,
    Reach,
    Reached,
    Turn,
    unpack,
)
from fetcher.engine.workforce import Workforce
from fetcher.errors import WorkerBrokeError, WorkersLostError
from fetcher.model import Fault, Landed, Method
from fetcher.nursery.hiring import GRACE, Hired
from fetcher.policy import auditing
from fetcher.policy.cell import Cell
from fetcher.policy.deaths import GIVE_UP, Deaths
from fetcher.policy.suspects import Suspects
from fetcher.ports import Abandoned, Arrived, Errand, Refused, Report, Step, TurnedBack

Deliver = Callable[[Sequence[Report]], None]
Broken = Callable[[BaseException], None]

ALONE: Final = 8
"""Requests in flight to one host group that a worker should have before a second one joins in."""
FIRST_WAIT: Final = 0.25
LONGEST_WAIT: Final = 30.0
"""Seconds until a worker's place is filled again when that was in vain twice, and at most."""
SILENCE: Final = 20.0
"""Seconds after which a worker that has something to do is asked whether it is there."""
HANGS: Final = 60.0
"""Seconds for an answer. Not to have one is to hang, not to be slow."""
_LOOK: Final = 0.5
"""Seconds between two looks at whether a worker that is to end hangs."""
_GROUPS_REMEMBERED: Final = 4_096
"""Whose choice of workers is not made anew."""


class ProcessCrew:
    """``ports.Crew`` over workers. ``concurrency_of`` gives the most requests that may be in flight
    to a host group.
    """

    def __init__(self, force: Workforce, concurrency_of: Callable[[str], int]) -> None:
        self._force = force
        self._concurrency_of = concurrency_of
        self._workers: list[WorkerHandle] = []
        self._choices: dict[str, list[WorkerHandle]] = {}
        self._suspects = Suspects()
        self._cell: WorkerHandle | None = None
        self._entry = Cell(self._suspects)
        self._for_the_cell: dict[int, Errand] = {}
        """By asset, those that ``_entry`` has in its line."""
        self._put_off: list[Report] = []
        """To be delivered, at the latest before the end of what they are about."""
        self._deaths = Deaths()
        self._closing = False
        self._until = 0.0
        """When the workers' time is over."""
        self._ends = asyncio.Event()
        """It is closing."""
        self._burying: set[asyncio.Task[None]] = set()
        self._watch: asyncio.TimerHandle | None = None

    async def start(self, deliver: Deliver, broken: Broken) -> None:
        self._deliver = deliver
        self._broken = broken
        for one in self._force.workers:
            await self._engage(one)

    def send(self, errand: Errand) -> None:
        if self._watch is None:
            self._watch_over()
        if not self._workers:
            nobody = Report(
                errand.asset.asset_id, Fault("worker-lost", "no worker process is left")
            )
            asyncio.get_running_loop().call_soon(self._hand_on, [nobody])
        elif errand.asset.asset_id in self._suspects.deaths or not (
            choice := self._choice(errand.group)
        ):
            self._to_the_cell(errand)
        else:
            min(choice, key=WorkerHandle.load).send(errand)

    def _to_the_cell(self, errand: Errand) -> None:
        if errand.leave:  # others may be sent meanwhile
            self._put_off.append(Report(errand.asset.asset_id, Step.PUT_OFF))
            asyncio.get_running_loop().call_soon(self._hand_on, [])
            errand = structs.replace(errand, leave=False)
        self._for_the_cell[errand.asset.asset_id] = errand
        self._entry.queue(errand.asset.asset_id)
        if self._cell is None:
            self._cell = min(self._workers, key=WorkerHandle.load)
            self._choices.clear()
        self._fill_cell()

    def _fill_cell(self) -> None:
        """Send it what it may have, for as long as there is something."""
        cell = self._cell
        assert cell is not None  # noqa: S101  for mypy: who calls has looked
        while (asset_id := self._entry.admit(len(cell.out))) is not None:
            cell.send(self._for_the_cell.pop(asset_id))
        if not cell.out:
            self._dissolve_cell()

    def _dissolve_cell(self) -> list[Errand]:
        """It is a worker as others. What still waited for it."""
        self._cell = None
        self._choices.clear()
        return [self._for_the_cell.pop(asset_id) for asset_id in self._entry.dissolve()]

    def may_send(self, asset_id: int) -> None:
        self._tell_turn(asset_id, may_send=True)

    def turn_back(self, asset_id: int) -> None:
        self._tell_turn(asset_id, may_send=False)

    def _tell_turn(self, asset_id: int, *, may_send: bool) -> None:
        for worker in self._workers:
            if asset_id in worker.out:
                worker.courier.send(Turn(asset_id, may_send))

    async def reach(self, urls: Sequence[str]) -> bool:
        """By one worker: all of them are on the same machine."""
        if not self._workers:
            return False
        if self._watch is None:
            self._watch_over()
        worker = self._workers[0]
        asked = asyncio.get_running_loop().create_future()
        worker.asked.append(asked)
        worker.courier.send(Reach(tuple(urls)))
        return bool(await asked)

    def abandon(self) -> None:
        self._until = asyncio.get_running_loop().time()
        for worker in self._workers:
            worker.courier.send(Abandon())

    async def close(self, patience: float) -> None:
        now = asyncio.get_running_loop().time()
        if self._closing:
            if now + patience < self._until:
                self.abandon()
        else:
            self._closing = True
            self._until = now + patience
            self._ends.set()
            if self._watch is not None:
                self._watch.cancel()
            waiting = self._dissolve_cell()
            self._hand_on([Report(errand.asset.asset_id, Abandoned()) for errand in waiting])
            for worker in self._workers:
                worker.heard = now
                worker.courier.send(Close(patience))
        if self._burying:
            await asyncio.wait(self._burying)
        for worker in tuple(self._workers):
            await self._until_gone(worker)
            worker.courier.close()
            await asyncio.to_thread(worker.hired.see_off)
        if self._burying:  # of those that died meanwhile
            await asyncio.wait(self._burying)

    def _watch_over(self) -> None:
        if not self._closing:  # which has its own end of patience
            self._watch = asyncio.get_running_loop().call_later(SILENCE, self._look_after)

    def _look_after(self) -> None:
        """See to those that hang, for as long as any has something to do."""
        now = asyncio.get_running_loop().time()
        self._watch = None
        for worker in self._workers:
            if worker.owes is not None:
                if now - worker.owes > HANGS:
                    worker.hired.kill()
            elif worker.has_to_do() and now - worker.heard > SILENCE:
                worker.owes = now
                worker.courier.send(Ping())
        if any(worker.has_to_do() for worker in self._workers):
            self._watch_over()

    async def _until_gone(self, worker: WorkerHandle) -> None:
        """It takes its leave, or it hangs: who is still landing says so now and then."""
        while not worker.gone.is_set():
            now = asyncio.get_running_loop().time()
            if now > max(self._until, worker.heard) + GRACE:
                worker.hired.kill()
            with suppress(TimeoutError):
                async with asyncio.timeout(_LOOK):
                    await worker.gone.wait()

    def _choice(self, group: str) -> list[WorkerHandle]:
        """The workers that may ask this host group; none if there is but the cell."""
        choice = self._choices.get(group)
        if choice is None:
            if len(self._choices) >= _GROUPS_REMEMBERED:
                self._choices.clear()
            workers = [worker for worker in self._workers if worker is not self._cell]
            count = len(workers)
            few = min(count, max(1, self._concurrency_of(group) // ALONE))
            first = crc32(group.encode()) % count if count else 0
            choice = [workers[(first + n) % count] for n in range(few)]
            self._choices[group] = choice
        return choice

    async def _engage(self, one: Hired, vain: int = 0) -> None:
        worker = WorkerHandle(one, vain, heard=asyncio.get_running_loop().time())
        worker.courier = await Courier.over(
            one.end,
            lambda messages: self._heard(worker, messages),
            lambda: self._lost(worker),
        )
        self._workers.append(worker)
        self._choices.clear()
        if self._closing:
            worker.courier.send(Close(0.0))

    def _heard(self, worker: WorkerHandle, messages: Sequence[Any]) -> None:
        worker.heard = asyncio.get_running_loop().time()
        worker.owes = None
        reports: list[Report] = []
        for message in map(unpack, messages):
            if isinstance(message, Report):
                self._note(worker, message)
                reports.append(message)
            elif isinstance(message, Reached):
                worker.answered(reached=message.reached)
            elif isinstance(message, Closed):
                worker.gone.set()
            elif isinstance(message, Broke):
                self._broken(WorkerBrokeError(message.traceback))
        if reports:
            self._hand_on(reports)
        if worker is self._cell:
            self._fill_cell()
        for one in self._workers:
            one.courier.flush()

    def _note(self, worker: WorkerHandle, report: Report) -> None:
        if isinstance(report.result, Arrived):
            worker.out[report.asset_id] = True
        elif not isinstance(report.result, Step):
            del worker.out[report.asset_id]
            if not isinstance(report.result, Abandoned | TurnedBack):
                worker.of_use = True
                if self._deaths.some:
                    self._deaths.forget()
            if self._suspects.deaths and comes_through(report.result):
                self._suspects.cleared(report.asset_id)

    def _hand_on(self, reports: Sequence[Report]) -> None:
        if self._put_off:
            reports = [*self._put_off, *reports]
            self._put_off.clear()
        try:
            self._deliver(reports)
        except Exception as error:  # noqa: BLE001  a bug; the loop would only log it
            self._broken(error)

    def _lost(self, worker: WorkerHandle) -> None:
        """Its end of the socket is closed: it has taken its leave, or it is dead."""
        if worker.gone.is_set():
            return
        worker.gone.set()
        while worker.asked:
            worker.answered(reached=False)
        self._workers.remove(worker)
        self._choices.clear()
        waiting = self._dissolve_cell() if worker is self._cell else []
        task = asyncio.get_running_loop().create_task(self._bury(worker, waiting))
        self._burying.add(task)
        task.add_done_callback(self._buried)

    async def _bury(self, worker: WorkerHandle, waiting: Sequence[Errand]) -> None:
        """Learn how it ended, report what was lost with it and what ``waiting`` was to come to it,
        and fill its place again.
        """
        exit_code = await asyncio.to_thread(worker.hired.see_off)
        culprit, hopeless = None, self._closing
        if not self._closing:
            culprit = self._judge(worker, exit_code)
            hopeless = self._gives_up()
        lost = [worker.lost_with(asset_id, culprit=asset_id == culprit) for asset_id in worker.out]
        lost += [worker.lost_with(errand.asset.asset_id) for errand in waiting]
        self._hand_on(lost)
        if not hopeless:
            of_use = worker.of_use or culprit is not None
            await self._replace(0 if of_use else worker.vain + 1)

    def _judge(self, worker: WorkerHandle, exit_code: int | None) -> int | None:
        """The culprit, if that is known now."""
        culprit = self._suspects.died(worker.out, exit_code)
        self._deaths.died(worker.out, explained=culprit is not None)
        return culprit

    def _gives_up(self, why: str = "") -> bool:
        hopeless = self._deaths.too_many
        if hopeless:
            self._broken(WorkersLostError(f"{GIVE_UP} worker processes died in a row{why}."))
        return hopeless

    async def _replace(self, vain: int) -> None:
        """Another process in its place."""
        while True:
            if vain > 1:
                await self._wait_after(vain)
            if self._closing:
                return
            try:
                one = await asyncio.to_thread(self._force.hire)
            except (OSError, MemoryError, RuntimeError) as error:  # of processes, memory, threads
                vain = max(2, vain + 1)
                self._deaths.not_started()
                if self._gives_up(f", or could not be started: {error!r}"):
                    return
            else:
                await self._engage(one, vain)
                return

    async def _wait_after(self, vain: int) -> None:
        """Unless it closes meanwhile."""
        with suppress(TimeoutError):
            async with asyncio.timeout(min(FIRST_WAIT * 2.0 ** min(vain - 2, 32), LONGEST_WAIT)):
                await self._ends.wait()

    def _buried(self, task: asyncio.Task[None]) -> None:
        self._burying.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._broken(error)


def comes_through(result: object) -> bool:
    """Whether this is what the errand's asset was wanted for, or spends an attempt of it. What only
    leads to another request clears nobody: not a redirect, not a rung of an audit, no silence.
    """
    if isinstance(result, Fault):
        status = result.http_status
        more = any(auditing.refuses(method, status) for method in Method)
        return status is not None and not more
    return isinstance(result, Landed | Refused)

"""Worker processes, without any process: the real ``ProcessCrew``, the real couriers and the real
service of a worker, over pipes in memory; each worker with a network and a landing of its own.

A worker can be killed like a run: from that instant on, nothing that it had begun does anything any
more, what it was spooling lies torn on the disk, and the run learns of it by the pipe alone.

Whoever looks from outside sees errands go out and reports come back: what a host group may be asked
is decided where errands are, and what has come of one is known when its report is here. What is on
the wire meanwhile can only be less.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from fetcher.engine import TaskCrew
from fetcher.engine.processes import ProcessCrew
from fetcher.engine.worker import _Service
from fetcher.engine.workforce import Workforce
from fetcher.model import Arrival, Body, Fault, Found, Landed, Redirect
from fetcher.nursery.hiring import Hired
from fetcher.ports import (
    Abandoned,
    Arrived,
    Crew,
    Errand,
    FetchRequest,
    Refused,
    Report,
    Step,
    TurnedBack,
)
from tests.simulation.disk import SPOOLS, Disk, WorkersDisk
from tests.simulation.landing import TurnedLanding
from tests.simulation.life import Killed, Life, WorkerLife
from tests.simulation.network import Network
from tests.simulation.pipe import End
from tests.simulation.scenario import Crash, Fleet
from tests.simulation.trace import Trace
from tests.simulation.witness import Witness

Answer = Arrival | Found | Redirect | Fault
Workshop = Callable[["Onlooker", Disk, WorkerLife], tuple[Network, TurnedLanding]]
"""Makes a worker's network and landing."""


class Onlooker:
    """Sees the wire itself: never more at once than the host groups' budgets allow."""

    def __init__(self, trace: Trace, group_of: Callable[[str], str], most: dict[str, int]) -> None:
        self.trace = trace
        self._group_of = group_of
        self._most = most
        self._open: Counter[str] = Counter()
        self.seen: dict[int, Answer] = {}
        """The last answer to what was asked for each asset."""

    def sent(self, request: FetchRequest) -> None:
        group = self._group_of(request.url)
        self._open[group] += 1
        if self._open[group] > self._most[group]:
            self.trace.breach("law 4", f"{group}: {self._open[group]} requests on the wire")

    def answered(self, request: FetchRequest, result: Answer) -> None:
        self.seen[request.asset_id] = result
        self.gone(request.url)

    def cancelled(self, request: FetchRequest) -> None:
        self.gone(request.url)

    def reached(self, *, somebody: bool) -> None:
        pass

    def landed(self, results: Sequence[Landed | Refused]) -> None:
        pass

    def gone(self, url: str) -> None:
        self._open[self._group_of(url)] -= 1


class _OneOf:
    """What one worker shows the onlooker: when it is killed, its requests are off the wire."""

    def __init__(self, onlooker: Onlooker) -> None:
        self.trace = onlooker.trace
        self._all = onlooker
        self._open: dict[int, FetchRequest] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._all, name)

    def sent(self, request: FetchRequest) -> None:
        self._open[request.asset_id] = request
        self._all.sent(request)

    def answered(self, request: FetchRequest, result: Answer) -> None:
        del self._open[request.asset_id]
        self._all.answered(request, result)

    def cancelled(self, request: FetchRequest) -> None:
        del self._open[request.asset_id]
        self._all.cancelled(request)

    def killed(self) -> None:
        for request in self._open.values():
            self._all.gone(request.url)


class _WatchedService(_Service):
    """Left alone by its run it would end its process."""

    left_alone: Callable[[], None]

    def _lost(self) -> None:
        if not self._all_said:
            self.left_alone()
        self._hung_up.set()


class Worker(Hired):
    """A worker that is no process; made while the loop runs."""

    def __init__(self, depot: Depot, number: int) -> None:
        loop = asyncio.get_running_loop()
        fleet = depot.fleet
        ours, theirs = End.pair(loop, fleet.delay, depot.chance, torn=fleet.torn)
        self.end: Any = ours
        self.number = number
        self._theirs = theirs
        self._depot = depot
        crash = next((crash for crash in depot.crashes if crash.worker == number), None)
        self.hand = WorkerLife(depot.life, self._die, crash)
        self._eye = _OneOf(depot.onlooker)
        disk = WorkersDisk(depot.disk, self.hand)
        self.network, landing = depot.workshop(self._eye, disk, self.hand)  # type: ignore[arg-type]
        self._crew = TaskCrew(self.network, landing, lambda asset_id: f"{SPOOLS}/{asset_id}.part")
        self._service = _WatchedService(self._crew)
        self._service.left_alone = self._left_alone
        self.serving = loop.create_task(self._serve())
        if crash is not None and crash.after is not None:
            loop.call_later(crash.after, self.hand.kill)

    @property
    def pid(self) -> int:
        return self.number

    @property
    def lives(self) -> bool:
        return not self.serving.done()

    def kill(self) -> None:
        self._depot.life.check()
        self.hand.kill()

    def see_off(self) -> int | None:
        lives = self.lives and not self.hand.dead
        self._depot.trace.require(not lives, "a worker's end", lambda: "it is seen off alive")
        return self.hand.exit_code

    async def _serve(self) -> None:
        with suppress(Killed):
            await self._service.serve(self._theirs)  # type: ignore[arg-type]

    def _left_alone(self) -> None:
        if not self.hand.dead:
            self._depot.trace.breach("a worker's end", f"{self.number} is left alone")

    def _die(self) -> None:
        depot = self._depot
        depot.trace.note("worker dies", self.number)
        depot.deaths += 1
        self.network.tear(asyncio.get_running_loop().time())
        self._eye.killed()
        self._theirs.cut_off()
        self.serving.cancel()
        for runner in tuple(self._crew._runners):
            runner.cancel()


@dataclass(slots=True)
class Depot:
    """Where a run's workers come from."""

    fleet: Fleet
    crashes: tuple[Crash, ...]
    life: Life
    disk: Disk
    trace: Trace
    chance: random.Random
    onlooker: Onlooker
    workshop: Workshop
    deaths: int = 0
    workers: list[Worker] = field(default_factory=list)

    def hire(self) -> Worker:
        worker = Worker(self, len(self.workers))
        self.trace.note("hired", len(self.workers))
        self.workers.append(worker)
        return worker

    def crew(self, kind: type[ProcessCrew], concurrency_of: Callable[[str], int]) -> ProcessCrew:
        first = [self.hire() for _ in range(self.fleet.workers)]
        return kind(Workforce(first, self.hire), concurrency_of)

    def tear(self, now: float) -> None:
        for worker in self.workers:
            if not worker.hand.crashed:
                worker.network.tear(now)

    def close(self) -> None:
        """The run is over: so is each worker."""
        left = [w.number for w in self.workers if w.lives and not w.hand.dead]
        self.trace.require(not left, "a worker's end", lambda: f"{left} outlive the run")


class WatchedCrew:
    """``ports.Crew``: tells the witness what goes out, and what comes back."""

    def __init__(self, crew: Crew, witness: Witness, depot: Depot) -> None:
        self._crew = crew
        self._witness = witness
        self._depot = depot
        self._out: dict[int, FetchRequest] = {}

    async def start(
        self,
        deliver: Callable[[Sequence[Report]], None],
        broken: Callable[[BaseException], None],
    ) -> None:
        self._deliver = deliver
        await self._crew.start(self._heard, broken)

    def send(self, errand: Errand) -> None:
        asset = errand.asset
        request = FetchRequest(
            url=errand.url,
            asset_id=asset.asset_id,
            memory=errand.memory,
            spool="",
            partial=errand.partial,
            cut_at=errand.cut_at,
            method=errand.method,
        )
        if asset.asset_id in self._out:
            self._witness.trace.breach("law 5", f"asset {asset.asset_id} is sent out twice")
        self._out[asset.asset_id] = request
        self._witness.sent(request)
        self._crew.send(errand)

    def may_send(self, asset_id: int) -> None:
        self._crew.may_send(asset_id)

    def turn_back(self, asset_id: int) -> None:
        self._crew.turn_back(asset_id)

    async def reach(self, urls: Sequence[str]) -> bool:
        reached = await self._crew.reach(urls)
        self._witness.reached(somebody=reached)
        return reached

    def abandon(self) -> None:
        self._crew.abandon()

    async def close(self, patience: float) -> None:
        await self._crew.close(patience)
        self._depot.life.check()
        left = sorted(self._out)
        self._witness.trace.require(not left, "no errand is lost", lambda: f"{left} are out")

    def _heard(self, reports: Sequence[Report]) -> None:
        for report in reports:
            self._tell(report)
        self._deliver(reports)

    def _tell(self, report: Report) -> None:
        result, witness = report.result, self._witness
        request = self._out.get(report.asset_id)
        if request is None:
            witness.trace.breach("law 5", f"asset {report.asset_id} is reported on, and not out")
            return
        if isinstance(result, Step):
            return
        if isinstance(result, Arrived):
            body = Body(result.received)
            witness.answered(
                request, Arrival(body, 200, None, request.url, received=result.received)
            )
            return
        del self._out[report.asset_id]
        if isinstance(result, Landed | Refused):
            witness.landed([result])
        elif isinstance(result, Abandoned):
            witness.cancelled(request)
        elif isinstance(result, TurnedBack):
            witness.turned_back(request)
        elif isinstance(result, Arrival | Found | Redirect | Fault):
            seen = self._depot.onlooker.seen.get(report.asset_id)
            if _code(result) in {"worker-lost", "crashed"}:  # by which right, the oracle knows
                right = self._depot.deaths > 0
            else:
                right = type(seen) is type(result) and _code(seen) == _code(result)
            witness.trace.require(right, "whose fault", lambda: f"{result}, and it was {seen}")
            witness.answered(request, result)


def _code(answer: Answer | None) -> str | None:
    return answer.code if isinstance(answer, Fault) else None

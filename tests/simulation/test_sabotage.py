"""That the simulation sees what it is there to see: each test breaks one part, and names the law
whose breach has to be found within a few seeds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, cast

import pytest
from msgspec import structs

from fetcher.engine import EngineOptions, Finisher, LandingRules
from fetcher.engine.processes import ProcessCrew
from fetcher.model import Arrival, Fault, LeaseRequest, Method, Outcome, RobotsNote, State
from fetcher.policy.frontier import Decision, WaitUntil
from fetcher.policy.groups import Change, Group, Job
from fetcher.policy.limits import Pace
from fetcher.policy.retry import RetryRule
from fetcher.ports import Errand, FetchRequest, Report, Staged
from tests.fakes.clock import EPOCH
from tests.simulation.book import Book
from tests.simulation.disk import Disk
from tests.simulation.draw import draw
from tests.simulation.network import Network, Result
from tests.simulation.onerun import Parts
from tests.simulation.run import simulate
from tests.simulation.watch import WatchedFrontier

SEEDS = range(1, 150)


def found(parts: Parts, law: str) -> str | None:
    """The first breach of ``law`` in any of the seeds."""
    for seed in SEEDS:
        scenario = replace(draw(seed), real_database=False)
        for breach in simulate(seed, scenario, parts).trace.breaches:
            if breach.law == law:
                return str(breach)
    return None


class NoPace(WatchedFrontier):
    def _start(self, group: Group, now: float) -> Job:
        group.pace = Pace(None, 1, now)
        return super()._start(group, now)


class NoDebts(WatchedFrontier):
    def finished(
        self, job: Job, received: int, now: float, fault: Fault | None = None
    ) -> Change | None:
        return super().finished(job, 0 * received, now, fault)


class NoCoolDown(WatchedFrontier):
    def cool_down(self, name: str, until: float, now: float, code: str | None = None) -> None:
        pass


class Impolite(WatchedFrontier):
    """Counts no connections of a group."""

    def _start(self, group: Group, now: float) -> Job:
        job = super()._start(group, now)
        group.in_flight = 0
        self._settle_place(group, now)
        return job

    def finished(
        self, job: Job, received: int, now: float, fault: Fault | None = None
    ) -> Change | None:
        self._groups[job.group].in_flight = 1
        return super().finished(job, received, now, fault)


class Greedy(WatchedFrontier):
    """Gives slots back before the manifest has committed."""

    def finished(
        self, job: Job, received: int, now: float, fault: Fault | None = None
    ) -> Change | None:
        change = super().finished(job, received, now, fault)
        self._slots_taken -= 1
        self._memory_taken -= job.memory
        return change

    def _free(self, job: Job) -> None:
        pass


class Unfair(WatchedFrontier):
    """Whoever was served last is served first."""

    def _settle_place(self, group: Group, now: float) -> None:
        super()._settle_place(group, now)
        if self._ring and self._ring[-1] is group:
            self._ring.rotate(1)


class Sleepless(WatchedFrontier):
    """Wakes up over and over while there is nothing to do."""

    def next(self, now: float) -> Decision:
        decision = super().next(now)
        if isinstance(decision, WaitUntil):
            return WaitUntil(min(decision.at, now + 1e-3))
        return decision


class Forgetful(WatchedFrontier):
    """Loses an asset here and there."""

    def add(self, job: Job, now: float, **more: Any) -> None:
        if job.asset.asset_id % 7:
            super().add(job, now, **more)


class TornNames(Disk):
    def _place(self, staged: Staged) -> None:
        super()._place(staged)
        self.files[staged.key] = self.files[staged.key][:-1]


class NoSync(Disk):
    """Says that names are on the disk when they are not."""

    def publish(self, batch: Sequence[Staged]) -> None:
        super().publish(batch)
        self._unsynced.update(staged.key for staged in batch)


class Messy(Disk):
    """Leaves temporary files where they are."""

    def discard(self, path: Any) -> None:
        pass


class _Unpublished:
    def __init__(self, store: Any) -> None:
        self._store = store

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def publish(self, batch: Sequence[Staged]) -> None:
        pass


class RowsFirst(Finisher):
    """The row first, the file second."""

    def finish(self, batch: Any) -> Any:
        store, self._store = self._store, cast("Any", _Unpublished(self._store))
        try:
            return super().finish(batch)
        finally:
            self._store = store


class TrustsParts(Finisher):
    """Takes two responses for one image, whatever they add up to."""

    def _settle_one(self, item: Any, receipt: Any) -> Any:
        arrival: Arrival = item.arrival
        whole = structs.replace(item, arrival=structs.replace(arrival, resumed=False))
        return super()._settle_one(whole, receipt)


class Amnesia(Book):
    """Says that it has committed, and has not."""

    def _settle(self, outcomes: Sequence[Outcome]) -> bool:
        kept = [o for o in outcomes if o.state is State.PENDING or o.asset_id % 11]
        return super()._settle(kept)


class Twice(Book):
    """Leases what is leased."""

    def _lease(self, request: LeaseRequest) -> Any:
        lease = super()._lease(request)
        again = [self._records.leased[key] for key in sorted(self._records.leased)[:1]]
        return structs.replace(lease, assets=(*lease.assets, *again))


class Wanderer(Network):
    """Follows redirects by itself, wherever they lead."""

    async def _fetch(self, request: FetchRequest) -> Result:
        result = await super()._fetch(request)
        if not isinstance(result, Arrival) and request.asset_id % 5 == 0:
            self.witness.sent(structs.replace(request, url="http://10.0.0.1/"))
        return result


class Oblivious(Book):
    """Keeps nothing of what robots.txt files said."""

    async def recall(self, origins: Sequence[str], token: str) -> dict[str, RobotsNote]:
        await super().recall(origins, token)
        return {}


class Trusting(Book):
    """Takes what they said for new, however old it is."""

    async def recall(self, origins: Sequence[str], token: str) -> dict[str, RobotsNote]:
        notes, now = await super().recall(origins, token), EPOCH + self._trace.clock()
        return {origin: structs.replace(note, fetched_at=now) for origin, note in notes.items()}


class Hoarding(Finisher):
    """Keeps what an audit is only to measure."""

    def __init__(self, store: Any, rules: LandingRules) -> None:
        super().__init__(store, structs.replace(rules, measure_only=False))


class Losing(ProcessCrew):
    """Says nothing of what a dead worker had to do."""

    async def _bury(self, worker: Any, waiting: Sequence[Errand]) -> None:
        worker.out.clear()
        await super()._bury(worker, waiting)


class Hasty(ProcessCrew):
    """Takes whoever was there for the culprit."""

    def _judge(self, worker: Any, exit_code: int | None) -> int | None:
        super()._judge(worker, exit_code)
        return next(iter(worker.out), None)


class Blaming(ProcessCrew):
    """Puts it on the hosts that a worker died."""

    def _hand_on(self, reports: Sequence[Report]) -> None:
        super()._hand_on(
            [
                structs.replace(report, result=Fault("connection-refused"))
                if isinstance(report.result, Fault) and report.result.code == "worker-lost"
                else report
                for report in reports
            ]
        )


class Deserting(ProcessCrew):
    """Does not wait for its workers to end."""

    async def close(self, patience: float) -> None:
        del patience


def more(options: EngineOptions) -> EngineOptions:
    rule = options.retry
    return structs.replace(
        options, retry=RetryRule(rule.attempts + 1, 0.0, 0.0, rule.max_retry_after)
    )


def unasked(options: EngineOptions) -> EngineOptions:
    return structs.replace(options, consent=None)


def mistaken(options: EngineOptions) -> EngineOptions:
    """Takes itself for somebody else."""
    rule, name = options.consent, "other"
    return structs.replace(
        options, consent=structs.replace(rule, token=name) if rule is not None else None
    )


def wasteful(options: EngineOptions) -> EngineOptions:
    return structs.replace(options, method=Method.GET)


CASES: list[tuple[Callable[[], Parts], str]] = [
    (lambda: Parts(frontier=NoPace), "law 4"),
    (lambda: Parts(frontier=NoDebts), "law 4"),
    (lambda: Parts(frontier=NoCoolDown), "law 4"),
    (lambda: Parts(frontier=Impolite), "law 4"),
    (lambda: Parts(frontier=Greedy), "law 7"),
    (lambda: Parts(frontier=Unfair), "fairness"),
    (lambda: Parts(frontier=Sleepless), "no busy loop"),
    (lambda: Parts(frontier=Forgetful), "no asset is lost"),
    (lambda: Parts(disk=TornNames), "law 3"),
    (lambda: Parts(disk=NoSync), "law 2"),
    (lambda: Parts(disk=Messy), "no file is left behind"),
    (lambda: Parts(finisher=RowsFirst), "law 2"),
    (lambda: Parts(finisher=TrustsParts), "the oracle"),
    (lambda: Parts(book=Amnesia), "no asset is lost"),
    (lambda: Parts(book=Twice), "law 5"),
    (lambda: Parts(network=Wanderer), "law 9"),
    (lambda: Parts(options=more), "the oracle"),
    (lambda: Parts(options=unasked), "consent"),
    (lambda: Parts(options=mistaken), "consent"),
    (lambda: Parts(book=Oblivious), "consent"),
    (lambda: Parts(book=Trusting), "consent"),
    (lambda: Parts(options=wasteful), "the ladder"),
    (lambda: Parts(finisher=Hoarding), "an audit keeps nothing"),
    (lambda: Parts(crew=Losing), "no errand is lost"),
    (lambda: Parts(crew=Blaming), "whose fault"),
    (lambda: Parts(crew=Hasty), "the oracle"),
    (lambda: Parts(crew=Deserting), "a worker's end"),
]


@pytest.mark.parametrize(("parts", "law"), CASES)
def test_what_is_broken_is_found(parts: Callable[[], Parts], law: str) -> None:
    assert found(parts(), law) is not None

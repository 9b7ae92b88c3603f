"""The engine: one run, from the first lease to the last settlement.

The frontier decides, this file acts. Three kinds of tasks share the loop:

    feeder    keeps the frontier supplied with leases
    runners   carry out what is dispatched: one request each at a time, and many after another
    settler   commits outcomes in batches: all that came up while the last commit was under way

Nothing else waits. An image costs no task, no timer and no future of its own; a retry waits as data
in the frontier, and an arrival in the landing's queue.

An attempt's way: dispatched → (hop → hop …) → arrival or fault → landing → outcome → committed.
Only then is its slot free: what a crash can cost is bounded by ``fetch.concurrency``.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from fetcher.engine.keeper import Keeper
from fetcher.engine.ledger import Entry, Ledger
from fetcher.errors import FetcherError
from fetcher.events import BreakerOpened, CooledDown, Draining, Paused, Resumed
from fetcher.model import Arrival, Asset, Fate, Fault, Landed, LeaseRequest, Redirect
from fetcher.policy import codes, urls
from fetcher.policy.frontier import Dispatch, Frontier, WaitUntil
from fetcher.policy.groups import GroupStatus, Job
from fetcher.policy.redirects import RedirectRule
from fetcher.policy.retry import RetryRule
from fetcher.ports import Clock, FetchRequest, Landing, Manifest, Observer, Refused, Transport

STOPS_THE_RUN: Final = frozenset({"disk-full", "disk-error"})
"""Local faults that do not clear by themselves; the others pause the run."""


class EndReason(StrEnum):
    """Why a run ended."""

    COMPLETE = "complete"
    LIMIT = "limit"
    STOPPED = "stopped"
    LOCAL_FAULT = "local-fault"


@dataclass(frozen=True, slots=True)
class Ending:
    reason: EndReason
    detail: str = ""
    fault_code: str | None = None


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """``limit``: assets to settle in this run. Durations in seconds, sizes in bytes."""

    retry: RetryRule
    redirects: RedirectRule
    spool_above: int
    drain: float
    limit: int | None = None
    first_pause: float = 1.0
    longest_pause: float = 60.0


class Engine:
    """Wires the ports together for one run. Everything it does not own is handed in."""

    def __init__(
        self,
        *,
        frontier: Frontier,
        group_of: Callable[[str], str],
        transport: Transport,
        landing: Landing,
        manifest: Manifest,
        spool_path: Callable[[int], str],
        clock: Clock,
        chance: Callable[[], float],
        observer: Observer,
        options: EngineOptions,
    ) -> None:
        self._frontier = frontier
        self._group_of = group_of
        self._transport = transport
        self._landing = landing
        self._manifest = manifest
        self._spool_path = spool_path
        self._clock = clock
        self._chance = chance
        self._observer = observer
        self._options = options
        self._ledger = Ledger(manifest, observer, self._committed)
        self._runners: dict[asyncio.Task[None], None] = {}
        self._parked: list[asyncio.Future[Job | None]] = []
        self._landing_jobs: dict[int, tuple[Job, Arrival]] = {}
        longest = max(options.retry.max_retry_after, options.retry.max_delay)
        self._keeper = Keeper(frontier, manifest, clock, longest=longest)
        self._leased = 0
        self._pauses = 0
        self._paused_until = -math.inf
        self._more_to_come = True
        self._stopping = False
        self._drain_for = options.drain
        self._food = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0
        self._ended: asyncio.Future[Ending] = asyncio.get_running_loop().create_future()

    # What the outside may do while a run is on.

    def stirred(self) -> None:
        """Rows were imported: there may be something to lease."""
        self._frontier.stirred()
        self._food.set()

    def no_more_to_come(self) -> None:
        """All lists are read: a manifest without pending assets now means the end."""
        self._more_to_come = False
        self.stirred()

    def stop(self, detail: str) -> None:
        """End in good order: no new requests, those in flight have ``drain`` seconds."""
        self._end(Ending(EndReason.STOPPED, detail))

    def stop_now(self) -> None:
        """After ``stop``: do not wait for those in flight. What has arrived is settled still."""
        self._drain_for = 0.0
        for runner in tuple(self._runners):
            runner.cancel()

    @property
    def ending(self) -> bool:
        return self._ended.done()

    def groups(self) -> list[GroupStatus]:
        """The host groups that hold assets, for display."""
        return list(self._frontier.status(self._clock.now()))

    # The run.

    async def run(self) -> Ending:
        """Run to the end. Raises ``ManifestError`` or ``StoreError`` if nothing can be settled."""
        self._landing.start(self._landed, self._landing_broke)
        try:
            return await self._run()
        except* FetcherError as errors:
            raise errors.exceptions[0] from None
        finally:
            # However it ended: no thread may go on storing when the manifest's lock is given up.
            await self._landing.close()

    async def _run(self) -> Ending:
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            for cool_down in await self._keeper.restore():
                self._observer.notify(cool_down)
            settler = tasks.create_task(self._ledger.run())
            keeper = tasks.create_task(self._keeper.run())
            feeder = tasks.create_task(self._feed())
            ending = await self._ended
            self._stopping = True
            feeder.cancel()
            await self._drain(ending)
            await self._landing.close()
            await asyncio.sleep(0)  # let the landing's last delivery in
            await self._ledger.close()
            await settler
            self._keeper.close()
            await keeper
            await self._return_leases()
        return ending

    def _end(self, ending: Ending) -> None:
        if not self._ended.done():
            self._ended.set_result(ending)

    async def _drain(self, ending: Ending) -> None:
        if self._timer is not None:
            self._timer.cancel()
        for parked in self._parked:
            if not parked.done():
                parked.set_result(None)
        self._parked.clear()
        busy = self._frontier.slots_taken
        if busy and ending.reason is not EndReason.COMPLETE:
            self._observer.notify(Draining(ending.detail or ending.reason, busy))
        if self._runners:
            await asyncio.wait(self._runners, timeout=self._drain_for)
        left = list(self._runners)
        for runner in left:
            runner.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    async def _return_leases(self) -> None:
        # What there is of their bodies, the landing has removed when it was closed.
        left = self._frontier.withdraw()
        await self._manifest.give_back([job.asset.asset_id for job in left])

    # Feeding.

    async def _feed(self) -> None:
        while True:
            self._food.clear()
            request = self._wanted()
            if request is None:
                await self._look_for_the_limit()
                await self._food.wait()
                continue
            lease = await self._manifest.lease(request)
            self._leased += len(lease.assets)
            adoption = await self._landing.adopt(lease.assets)
            found = {landed.asset_id: landed for landed in adoption.landed}
            jobs: list[Job] = []
            adopted: list[Job] = []
            for asset in lease.assets:
                job = self._job(asset)
                job.partial = adoption.partials.get(asset.asset_id)
                if asset.asset_id in found:
                    self._ledger.adopted(job, found[asset.asset_id], self._clock.wall())
                    adopted.append(job)
                else:
                    jobs.append(job)
            self._frontier.fed(
                request, jobs, self._clock.now(), adopted=adopted, exhausted=lease.exhausted
            )
            self._pump()
            self._look_for_the_end()

    def _wanted(self) -> LeaseRequest | None:
        request = self._frontier.wants()
        if request is None or self._options.limit is None:
            return request
        limit = min(request.limit, self._options.limit - self._leased)
        return LeaseRequest(limit, request.room, request.default_room) if limit > 0 else None

    def _limit_reached(self) -> bool:
        return self._options.limit is not None and self._leased >= self._options.limit

    def _job(self, asset: Asset) -> Job:
        size, most = asset.expected.size, self._options.spool_above
        return Job(
            asset=asset,
            home=self._group_of(asset.host),
            memory=min(size, most) if size is not None else most,
            attempt=asset.attempts + 1,
        )

    def _look_for_the_end(self) -> None:
        if self._frontier.held or self._ledger.open:
            return
        if self._limit_reached():
            self._food.set()
        elif not self._frontier.hungry and not self._more_to_come:
            # Not hungry while it holds nothing: the manifest had nothing when last asked.
            self._end(Ending(EndReason.COMPLETE))

    async def _look_for_the_limit(self) -> None:
        """End if as many assets as allowed are settled. But while the lists are being read, and all
        that is known of them is settled, wait: that may have been everything.
        """
        if not self._limit_reached() or self._frontier.held or self._ledger.open:
            return
        if not self._more_to_come or (await self._manifest.tally()).pending:
            self._end(Ending(EndReason.LIMIT, f"limit of {self._options.limit} reached"))

    # Dispatching.

    def _pump(self) -> None:
        """Hand every job that may start now to a runner."""
        while not self._stopping:
            decision = self._frontier.next(self._clock.now())
            if isinstance(decision, Dispatch):
                if self._parked:
                    self._parked.pop().set_result(decision.job)
                else:
                    runner = self._tasks.create_task(self._runner(decision.job))
                    self._runners[runner] = None
                    runner.add_done_callback(self._runners.pop)
                continue
            if isinstance(decision, WaitUntil):
                self._wake_at(decision.at)
            return

    def _wake_at(self, at: float) -> None:
        if self._timer is not None:
            if self._timer_at <= at:
                return
            self._timer.cancel()
        delay = max(0.0, at - self._clock.now())
        self._timer_at = at
        self._timer = asyncio.get_running_loop().call_later(delay, self._wake)

    def _wake(self) -> None:
        self._timer = None
        self._pump()

    async def _runner(self, job: Job | None) -> None:
        while job is not None:
            await self._attempt(job)
            if self._stopping:
                return
            decision = self._frontier.next(self._clock.now())
            if isinstance(decision, Dispatch):
                job = decision.job
                continue
            if isinstance(decision, WaitUntil):
                self._wake_at(decision.at)
            parked: asyncio.Future[Job | None] = asyncio.get_running_loop().create_future()
            self._parked.append(parked)
            job = await parked

    async def _attempt(self, job: Job) -> None:
        """One request: a hop of an attempt, or all of it."""
        asset = job.asset
        request = FetchRequest(
            url=job.url,
            asset_id=asset.asset_id,
            memory=job.memory,
            spool=self._spool_path(asset.asset_id),
            expected_size=asset.expected.size,
            partial=job.partial,
        )
        try:
            result = await self._transport.fetch(request)
        except asyncio.CancelledError:
            # The transport has removed what it had of the body.
            self._frontier.retry(job, self._clock.now(), self._clock.now())
            job.partial = None
            raise
        now = self._clock.now()
        received = 0 if isinstance(result, Redirect) else result.received
        fault = result if isinstance(result, Fault) else None
        change = self._frontier.finished(job, received, now, fault)
        if change is not None:
            self._keeper.note()
            if change.shut_for:
                self._observer.notify(BreakerOpened(change.group, change.shut_for, change.code))
        if isinstance(result, Arrival):
            self._landing_jobs[asset.asset_id] = (job, result)
            self._landing.submit(asset, result)
        elif isinstance(result, Redirect):
            self._redirected(job, result, now)
        else:
            self._failed(job, result, now)

    def _redirected(self, job: Job, redirect: Redirect, now: float) -> None:
        code = self._options.redirects.judge(job.url, redirect.target, job.hops)
        if code is None:
            target = urls.judge(redirect.target)
            assert isinstance(target, urls.Target)  # noqa: S101  judge has just said so
            self._frontier.redirected(job, redirect.target, self._group_of(target.host), now)
            self._pump()
        else:
            shown = urls.redact_credentials(redirect.target)
            self._failed(
                job, Fault(code, f"redirected to {shown}", redirect.http_status, shown), now
            )

    # What came of it.

    def _failed(self, job: Job, fault: Fault, now: float) -> None:
        """An attempt ended without an image."""
        info = codes.CODES[fault.code]
        if fault.partial is not None:
            job.partial = fault.partial
            if fault.partial.validators.if_range is None and job.asset.expected.md5 is None:
                # Nothing would tell if the rest were another image's.
                self._drop_partial(job)
        if info.fate is Fate.LOCAL:
            self._our_fault(job, fault, now)
            return
        self._back_in_order()
        if fault.code == "range-mismatch" or info.fate is Fate.PERMANENT:
            self._drop_partial(job)
        wait = self._cool_down(job, fault, now)
        rule = self._options.retry
        if info.fate is Fate.TRANSIENT and job.attempt < rule.attempts:
            due = now + max(wait, rule.delay(job.attempt, self._chance()))
            self._ledger.failed(job, fault, self._clock, retry_at=due)
        else:
            self._drop_partial(job)
            self._ledger.failed(job, fault, self._clock, retry_at=None)

    def _cool_down(self, job: Job, fault: Fault, now: float) -> float:
        """Leave the host group alone if it asked for that; the seconds for which.

        A refusal that does not say for how long lowers the group's rate instead, and pauses it for
        a round trip: the frontier knows.
        """
        if fault.retry_after is None:
            return 0.0
        wait = min(fault.retry_after, self._options.retry.max_retry_after)
        if wait > 0:
            self._frontier.cool_down(job.group, now + wait, now, fault.code)
            self._keeper.note()
            self._observer.notify(CooledDown(job.group, wait, fault.code))
        return wait

    def _our_fault(self, job: Job, fault: Fault, now: float) -> None:
        """No attempt is charged; the run pauses, or ends if waiting does not help."""
        self._frontier.retry(job, now, now)
        if fault.code in STOPS_THE_RUN:
            self._end(Ending(EndReason.LOCAL_FAULT, fault.detail, fault.code))
            return
        if now >= self._paused_until:  # else this one was under way when the pause began
            pause = min(self._options.longest_pause, self._options.first_pause * 2.0**self._pauses)
            self._pauses = min(self._pauses + 1, 32)
            self._paused_until = now + pause
            self._frontier.pause(self._paused_until)
            self._observer.notify(Paused(fault.code, fault.detail, pause))
        self._pump()

    def _back_in_order(self) -> None:
        if self._pauses:
            self._pauses = 0
            self._observer.notify(Resumed())

    def _landed(self, results: Sequence[Landed | Refused]) -> None:
        """The landing's delivery."""
        for result in results:
            job, arrival = self._landing_jobs.pop(result.asset_id)
            job.partial = None
            if isinstance(result, Refused):
                self._failed(job, result.fault, self._clock.now())
            else:
                self._back_in_order()
                self._ledger.landed(job, arrival, result, self._clock)

    def _landing_broke(self, error: BaseException) -> None:
        if not self._ended.done():
            self._ended.set_exception(error)

    def _drop_partial(self, job: Job) -> None:
        if job.partial is not None:
            self._landing.discard(job.partial)
            job.partial = None

    def _committed(self, entries: Sequence[Entry]) -> None:
        """The ledger's delivery: these outcomes are in the manifest."""
        now = self._clock.now()
        for entry in entries:
            if entry.adopted:
                continue
            if entry.retry_at is not None:
                entry.job.attempt += 1
                self._frontier.retry(entry.job, entry.retry_at, now)
            else:
                self._frontier.settled(entry.job)
        self._pump()
        if self._frontier.hungry:
            self._food.set()
        self._look_for_the_end()

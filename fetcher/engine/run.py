"""The engine: one run, from the first lease to the last settlement.

The frontier decides, this file acts. What it decides on comes from three sides:

    feeder    a task that keeps the frontier supplied with leases
    crew      carries out what is dispatched, in this process or in others, and reports
    settler   a task that commits outcomes: all that came up while the last commit was under way
    consent   looks up what robots.txt files said (``fetcher.engine.consent``)

Nothing else waits. An image costs no task, no timer and no future of its own; a retry waits as data
in the frontier.

An attempt's way: dispatched → (hop → hop …) → arrived or fault → landed → outcome → committed. Only
then is its slot free: what a crash can cost is bounded by ``fetch.concurrency``.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from fetcher.engine.consent import Consent
from fetcher.engine.keeper import Keeper
from fetcher.engine.ledger import Entry, Ledger
from fetcher.engine.suspicion import SILENCE, Held, Suspicion
from fetcher.errors import FetcherError
from fetcher.events import BreakerOpened, CooledDown, Draining, Paused, Resumed
from fetcher.model import (
    Arrival,
    Asset,
    Fate,
    Fault,
    Found,
    Landed,
    Lease,
    LeaseRequest,
    Method,
    Redirect,
)
from fetcher.policy import auditing, codes, urls
from fetcher.policy.consent import ConsentRule
from fetcher.policy.frontier import Dispatch, Frontier, WaitUntil
from fetcher.policy.groups import GroupStatus, Job, Leave
from fetcher.policy.redirects import RedirectRule
from fetcher.policy.retry import RetryRule
from fetcher.policy.robots import MAX_BYTES
from fetcher.policy.turns import Send, TurnBack
from fetcher.ports import (
    Abandoned,
    Arrived,
    Clock,
    Crew,
    Errand,
    Manifest,
    Observer,
    Recovery,
    Refused,
    Report,
    RobotsBook,
    Step,
)

STOPS_THE_RUN: Final = frozenset({"disk-full", "disk-error"})
"""Local faults that do not clear by themselves; the others pause the run."""
_LEAVE: Final = {Leave.NEEDS_NONE: None, Leave.GIVEN: True, Leave.PUT_OFF: False}


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
    consent: ConsentRule | None = None
    method: Method = Method.GET
    first_pause: float = 1.0
    longest_pause: float = 60.0


class Engine:
    """Wires the ports together for one run. Everything it does not own is handed in."""

    def __init__(
        self,
        *,
        frontier: Frontier,
        group_of: Callable[[str], str],
        crew: Crew,
        recovery: Recovery,
        manifest: Manifest,
        clock: Clock,
        chance: Callable[[], float],
        observer: Observer,
        options: EngineOptions,
        robots: RobotsBook | None = None,
    ) -> None:
        self._frontier = frontier
        self._group_of = group_of
        self._crew = crew
        self._recovery = recovery
        self._manifest = manifest
        self._clock = clock
        self._chance = chance
        self._observer = observer
        self._options = options
        self._ledger = Ledger(manifest, observer, self._committed, self.stirred)
        self._consent: Consent | None = None
        if options.consent is not None and options.consent.robots and robots is not None:
            self._consent = Consent(
                options.consent,
                robots,
                frontier,
                group_of=group_of,
                redirects=options.redirects,
                retry=options.retry,
                clock=clock,
                chance=chance,
                observer=observer,
                refuse=self._refuse,
                moved=self._moved,
            )
        self._out: dict[int, Job] = {}
        """What the crew has not reported the end of, by asset."""
        self._suspicion = Suspicion(reach=crew.reach, theirs=self._charge, ours=self._excuse)
        longest = max(options.retry.max_retry_after, options.retry.max_delay)
        self._keeper = Keeper(frontier, manifest, clock, longest=longest)
        self._leased = 0
        self._unfed: Sequence[Asset] = ()
        """Leased assets on their way to the frontier."""
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
        """Rows were imported, or assets became available again: there may be something to lease."""
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
        self._crew.abandon()

    @property
    def ending(self) -> bool:
        return self._ended.done()

    def groups(self) -> list[GroupStatus]:
        """The host groups that hold assets, for display."""
        return list(self._frontier.status(self._clock.now()))

    # The run.

    async def run(self) -> Ending:
        """Run to the end. Raises ``ManifestError`` or ``StoreError`` if nothing can be settled."""
        await self._crew.start(self._reported, self._broke)
        try:
            return await self._run()
        except* FetcherError as errors:
            raise errors.exceptions[0] from None
        finally:
            # However it ended: nothing may go on storing when the manifest's lock is given up.
            await self._crew.close(0.0)
            await self._recovery.close()

    async def _run(self) -> Ending:
        async with asyncio.TaskGroup() as tasks:
            for cool_down in await self._keeper.restore():
                self._observer.notify(cool_down)
            settler = tasks.create_task(self._or_stop(self._ledger.run()))
            keeper = tasks.create_task(self._or_stop(self._keeper.run()))
            feeder = tasks.create_task(self._or_stop(self._feed()))
            consent = None
            if self._consent is not None:
                consent = tasks.create_task(self._or_stop(self._consent.run()))
            ending = await self._ended
            feeder.cancel()
            await self._drain(ending)
            if self._consent is not None:
                self._consent.close()
            await self._ledger.close()
            await settler
            if consent is not None:
                await consent
            self._keeper.close()
            await keeper
            await self._return_leases()
        return ending

    async def _or_stop(self, work: Coroutine[Any, Any, None]) -> None:
        """Do ``work``, without which there is nothing to run for: if it fails, nothing may start
        while the other tasks are being ended.
        """
        try:
            await work
        except BaseException:
            self._stopping = True
            raise

    def _end(self, ending: Ending) -> None:
        self._stopping = True  # what ends the run is heard of later than runners ask for more
        if not self._ended.done():
            self._ended.set_result(ending)

    async def _drain(self, ending: Ending) -> None:
        if self._timer is not None:
            self._timer.cancel()
        busy = self._frontier.slots_taken
        if busy and ending.reason is not EndReason.COMPLETE:
            self._observer.notify(Draining(ending.detail or ending.reason, busy))
        await self._crew.close(self._drain_for)
        for job, _ in self._suspicion.close():  # neither charged nor a reason to pause
            self._frontier.retry(job, self._clock.now(), self._clock.now())

    async def _return_leases(self) -> None:
        # What there is of their bodies is removed when the recovery is closed.
        left = [job.asset for job in self._frontier.withdraw() if not job.is_robots]
        await self._manifest.give_back([asset.asset_id for asset in (*left, *self._unfed)])

    # Feeding.

    async def _feed(self) -> None:
        while not self.ending:
            self._food.clear()
            request = self._wanted()
            if request is None:
                await self._look_for_the_limit()
                await self._food.wait()
                continue
            lease = await self._manifest.lease(request)
            self._leased += len(lease.assets)
            self._unfed = lease.assets  # adopting may be interrupted
            adoption = await self._recovery.adopt(lease.assets)
            if adoption.fault is not None:
                self._unfed = ()
                await self._could_not_look(lease, adoption.fault)
                continue
            found = {landed.asset_id: landed for landed in adoption.landed}
            jobs: list[Job] = []
            adopted: list[Job] = []
            for asset in lease.assets:
                job = self._job(asset)
                job.partial = adoption.partials.get(asset.asset_id)
                if asset.asset_id in found:
                    self._ledger.adopted(job, found[asset.asset_id], self._clock.wall())
                    adopted.append(job)
                elif (objection := self._objection(job, job.url)) is not None:
                    self._refuse(job, objection)
                    adopted.append(job)
                else:
                    jobs.append(job)
            self._unfed = ()
            self._frontier.fed(
                request, jobs, self._clock.now(), adopted=adopted, exhausted=lease.exhausted
            )
            self._pump()
            self._look_for_the_end()

    async def _could_not_look(self, lease: Lease, fault: Fault) -> None:
        """The disk does not let us see what an earlier run left; what was leased is not touched."""
        await self._manifest.give_back([asset.asset_id for asset in lease.assets])
        self._leased -= len(lease.assets)
        self._stop_or_pause(fault, self._clock.now())
        await asyncio.sleep(max(0.0, self._paused_until - self._clock.now()))
        self._frontier.stirred()  # it has not got what it had asked for

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
            method=self._options.method,
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
        """Send the crew out for every job that may start now."""
        while not self._stopping:
            decision = self._frontier.next(self._clock.now())
            if isinstance(decision, Dispatch):
                job = decision.job
                self._out[job.asset.asset_id] = job
                cut_at = MAX_BYTES if job.is_robots else None
                self._crew.send(
                    Errand(
                        job.asset,
                        job.url,
                        job.group,
                        job.memory,
                        job.partial,
                        cut_at,
                        job.method,
                        _LEAVE[job.leave],
                    )
                )
            elif isinstance(decision, Send):
                self._crew.may_send(decision.job.asset.asset_id)
            elif isinstance(decision, TurnBack):
                self._crew.turn_back(decision.job.asset.asset_id)
            else:
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

    # What came of it.

    def _reported(self, reports: Sequence[Report]) -> None:
        """The crew's delivery."""
        now = self._clock.now()
        for asset_id, result in reports:
            if isinstance(result, Arrived):
                job = self._out[asset_id]
                self._suspicion.answered(job)
                job.received = result.received
                self._finished(job, result.received, now)
            elif isinstance(result, Step):
                self._stepped(self._out[asset_id], result, now)
            else:
                self._ended_with(self._out.pop(asset_id), result, now)
        self._pump()

    def _stepped(self, job: Job, step: Step, now: float) -> None:
        if step is Step.SENT:
            self._frontier.sent(job, now)
        elif step is Step.PUT_OFF:
            self._frontier.put_off(job, now)
        else:
            self._frontier.asks_for_leave(job, now)

    def _ended_with(
        self,
        job: Job,
        result: Arrival | Found | Redirect | Fault | Landed | Refused | Abandoned,
        now: float,
    ) -> None:
        if isinstance(result, Landed):
            job.partial = None
            self._back_in_order()
            self._ledger.landed(job, result, self._clock)
        elif isinstance(result, Refused):
            job.partial = None
            self._failed(job, result.fault, now)
        elif isinstance(result, Arrival):
            self._suspicion.answered(job)
            self._finished(job, result.received, now)
            self._robots_answered(job, result, now)
        elif isinstance(result, Redirect):
            self._suspicion.answered(job)
            self._finished(job, 0, now)
            self._answered_otherwise(job, result, now)
        elif isinstance(result, Found):
            self._suspicion.answered(job)
            self._finished(job, result.received, now)
            self._back_in_order()
            self._found(job, result, now)
        elif isinstance(result, Fault):
            self._finished(job, result.received, now, result)
            if result.code in SILENCE:
                self._suspicion.hold(job, result)
            else:
                if result.http_status is not None:
                    self._suspicion.answered(job)
                self._answered_otherwise(job, result, now)
        else:
            self._frontier.abandoned(job, now)
            self._frontier.retry(job, now, now)
            job.partial = None

    def _finished(self, job: Job, received: int, now: float, fault: Fault | None = None) -> None:
        """The frontier learns from it what the host group can bear."""
        change = self._frontier.finished(job, received, now, fault)
        if change is not None:
            self._keeper.note()
            if change.shut_for:
                self._observer.notify(BreakerOpened(change.group, change.shut_for, change.code))

    def _answered_otherwise(self, job: Job, result: Redirect | Fault, now: float) -> None:
        """Not with a body."""
        if job.is_robots:
            self._robots_answered(job, result, now)
        elif isinstance(result, Redirect):
            self._redirected(job, result, now)
        elif auditing.refuses(job.method, result.http_status):
            self._ask_more(job, now)
        else:
            self._failed(job, result, now)

    def _found(self, job: Job, found: Found, now: float) -> None:
        """It is there, as far as the answer tells."""
        verdict = auditing.judge(job.asset.expected, found)
        if verdict is None:
            self._ask_more(job, now)
        else:
            self._ledger.found(job, found, verdict, self._clock)

    def _ask_more(self, job: Job, now: float) -> None:
        """The answer tells nothing for certain: the same URL once more, by a method that does."""
        job.method = auditing.NEXT[job.method]
        job.climbed += 1
        self._frontier.redirected(job, job.url, job.group, now)

    def _charge(self, held: Held) -> None:
        """Others answer: who was silent has to answer for it."""
        for job, fault in held:
            self._answered_otherwise(job, fault, self._clock.now())
        self._pump()

    def _excuse(self, held: Held) -> None:
        """Nobody answers: it is our network, and no attempt is charged."""
        for job, fault in held:
            if fault.partial is not None:
                job.partial = fault.partial
            local = Fault("network-down", f"{fault.code} at hosts of different owners")
            self._our_fault(job, local, self._clock.now())
        self._pump()

    def _redirected(self, job: Job, redirect: Redirect, now: float) -> None:
        hops = job.hops - job.climbed
        code = self._options.redirects.judge(job.url, redirect.target, hops)
        if code is not None:
            self._led_astray(job, redirect, Fault(code), now)
        elif (objection := self._objection(job, redirect.target)) is not None:
            self._led_astray(job, redirect, objection, now)
        else:
            target = urls.judge(redirect.target)
            assert isinstance(target, urls.Target)  # noqa: S101  judge has just said so
            self._frontier.redirected(job, redirect.target, self._group_of(target.host), now)

    def _led_astray(self, job: Job, redirect: Redirect, why: Fault, now: float) -> None:
        """A redirect leads where it is not followed."""
        shown = urls.redact_credentials(redirect.target)
        detail = f"redirected to {shown}" + (f": {why.detail}" if why.detail else "")
        self._failed(job, Fault(why.code, detail, redirect.http_status, shown), now)

    # Consent.

    def _objection(self, job: Job, url: str) -> Fault | None:
        """What robots.txt says against asking for ``url``; if that is not known, ``job`` awaits."""
        return self._consent.look(job, url) if self._consent is not None else None

    def _robots_answered(self, job: Job, result: Arrival | Redirect | Fault, now: float) -> None:
        assert self._consent is not None  # noqa: S101  nobody else asks for a robots.txt
        wait = 0.0
        if isinstance(result, Fault):
            if codes.fate(result.code) is Fate.LOCAL:
                self._our_fault(job, result, now)
                return
            wait = self._cool_down(job, result, now)
        self._back_in_order()
        self._consent.answered(job, result, now, wait)

    def _refuse(self, job: Job, fault: Fault) -> None:
        """It ends without a request; the frontier does not hold it."""
        self._drop_partial(job)
        self._ledger.refused(job, fault, self._clock)

    def _moved(self) -> None:
        """Something else may start, or be leased, or that was all."""
        self._pump()
        if self._frontier.hungry:
            self._food.set()
        self._look_for_the_end()

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
        self._stop_or_pause(fault, now)

    def _stop_or_pause(self, fault: Fault, now: float) -> None:
        if fault.code in STOPS_THE_RUN:
            self._end(Ending(EndReason.LOCAL_FAULT, fault.detail, fault.code))
        elif now >= self._paused_until:  # else this one was under way when the pause began
            pause = min(self._options.longest_pause, self._options.first_pause * 2.0**self._pauses)
            self._pauses = min(self._pauses + 1, 32)
            self._paused_until = now + pause
            self._frontier.pause(self._paused_until)
            self._observer.notify(Paused(fault.code, fault.detail, pause))

    def _back_in_order(self) -> None:
        if self._pauses:
            self._pauses = 0
            self._observer.notify(Resumed())

    def _broke(self, error: BaseException) -> None:
        """A bug has ended the crew, or the engine while the crew delivered."""
        self._stopping = True
        if not self._ended.done():
            self._ended.set_exception(error)

    def _drop_partial(self, job: Job) -> None:
        if job.partial is not None:
            self._recovery.discard(job.partial)
            job.partial = None

    def _committed(self, entries: Sequence[Entry]) -> None:
        """The ledger's delivery: these outcomes are in the manifest."""
        now = self._clock.now()
        for entry in entries:
            if entry.outside:
                continue
            if entry.retry_at is not None:
                entry.job.attempt += 1
                self._frontier.retry(entry.job, entry.retry_at, now)
            else:
                self._frontier.settled(entry.job)
        self._moved()

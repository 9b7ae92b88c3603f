"""What follows from a report: from what came of a request to what becomes of its asset.

    arrived    the host group's slot is free; the landing goes on
    landed     the ledger has it
    redirect   the next hop is charged to its host group, if it may be followed at all
    fault      another attempt later, the end, a pause of the run, or a doubt that is held for a
               moment (``fetcher.engine.suspicion``)
    found      an audit knows enough, or asks once more by a method that tells more

Rules are policies; here is only what to do when they have spoken.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from fetcher.engine.consent import Consent
from fetcher.engine.dispatching import Dispatcher
from fetcher.engine.keeper import Keeper
from fetcher.engine.ledger import Ledger
from fetcher.engine.options import EngineOptions
from fetcher.engine.pauses import Pauses
from fetcher.engine.recovery import drop_partial
from fetcher.engine.suspicion import SILENCE, Held, Suspicion
from fetcher.events import BreakerOpened, CooledDown
from fetcher.model import Arrival, Fate, Fault, Found, Landed, Redirect
from fetcher.policy import auditing, codes, urls
from fetcher.policy.frontier import Frontier
from fetcher.policy.groups import Job
from fetcher.ports import (
    Abandoned,
    Arrived,
    Clock,
    Observer,
    Recovery,
    Refused,
    Report,
    Step,
    TurnedBack,
)


class Consequences:
    """``reach`` tries URLs, of which one is enough (``ports.Crew.reach``)."""

    def __init__(
        self,
        *,
        frontier: Frontier,
        dispatcher: Dispatcher,
        ledger: Ledger,
        keeper: Keeper,
        pauses: Pauses,
        consent: Consent | None,
        recovery: Recovery,
        reach: Callable[[Sequence[str]], Awaitable[bool]],
        group_of: Callable[[str], str],
        clock: Clock,
        chance: Callable[[], float],
        observer: Observer,
        options: EngineOptions,
    ) -> None:
        self._frontier = frontier
        self._dispatcher = dispatcher
        self._ledger = ledger
        self._keeper = keeper
        self._pauses = pauses
        self._consent = consent
        self._recovery = recovery
        self._group_of = group_of
        self._clock = clock
        self._chance = chance
        self._observer = observer
        self._options = options
        self._suspicion = Suspicion(reach=reach, theirs=self._charge, ours=self._excuse)

    def close(self) -> None:
        """What is held is neither charged nor a reason to pause."""
        for job, _ in self._suspicion.close():
            self._frontier.retry(job, self._clock.now(), self._clock.now())

    def objection(self, job: Job, url: str) -> Fault | None:
        """What robots.txt says against asking for ``url``; if that is not known, ``job`` awaits."""
        return self._consent.look(job, url) if self._consent is not None else None

    def reported(self, reports: Sequence[Report]) -> None:
        """The crew's delivery."""
        now = self._clock.now()
        for report in reports:
            asset_id, result = report.asset_id, report.result
            if isinstance(result, Arrived):
                self._arrived(self._dispatcher.out_for(asset_id), result.received, now)
            elif isinstance(result, Step):
                self._dispatcher.stepped(asset_id, result, now)
            else:
                job = self._dispatcher.ended(asset_id)
                if report.received is not None:
                    self._arrived(job, report.received, now)
                self._ended_with(job, result, now)
        self._dispatcher.pump()

    def _arrived(self, job: Job, received: int, now: float) -> None:
        self._suspicion.answered(job)
        job.received = received
        self._finished(job, received, now)

    def _ended_with(
        self,
        job: Job,
        result: Arrival | Found | Redirect | Fault | Landed | Refused | Abandoned | TurnedBack,
        now: float,
    ) -> None:
        if isinstance(result, Landed):
            job.partial = None
            self._pauses.back_in_order()
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
            self._pauses.back_in_order()
            self._found(job, result, now)
        elif isinstance(result, Fault):
            self._finished(job, result.received, now, result)
            if result.code in SILENCE:
                self._suspicion.hold(job, result)
            else:
                if result.http_status is not None:
                    self._suspicion.answered(job)
                self._answered_otherwise(job, result, now)
        elif isinstance(result, TurnedBack):
            self._frontier.turned_back(job, now)
        else:
            self._frontier.abandoned(job, now)
            self._frontier.retry(job, now, now)
            job.partial = None  # its file has gone with the request

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
        self._dispatcher.pump()

    def _excuse(self, held: Held) -> None:
        """Nobody answers: it is our network, and no attempt is charged."""
        for job, fault in held:
            if fault.partial is not None:
                job.partial = fault.partial
            local = Fault("network-down", f"{fault.code} at hosts of different owners")
            self._pauses.our_fault(job, local, self._clock.now())
        self._dispatcher.pump()

    def _redirected(self, job: Job, redirect: Redirect, now: float) -> None:
        hops = job.hops - job.climbed
        code = self._options.redirects.judge(job.url, redirect.target, hops)
        if code is not None:
            self._led_astray(job, redirect, Fault(code), now)
        elif (objection := self.objection(job, redirect.target)) is not None:
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

    def _robots_answered(self, job: Job, result: Arrival | Redirect | Fault, now: float) -> None:
        assert self._consent is not None  # noqa: S101  nobody else asks for a robots.txt
        wait = 0.0
        if isinstance(result, Fault):
            if codes.fate(result.code) is Fate.LOCAL:
                self._pauses.our_fault(job, result, now)
                return
            wait = self._cool_down(job, result, now)
        self._pauses.back_in_order()
        self._consent.answered(job, result, now, wait)

    def _failed(self, job: Job, fault: Fault, now: float) -> None:
        """An attempt ended without an image."""
        info = codes.CODES[fault.code]
        if fault.partial is not None:
            job.partial = fault.partial
            if fault.partial.validators.if_range is None and job.asset.expected.md5 is None:
                # Nothing would tell if the rest were another image's.
                drop_partial(job, self._recovery)
        if info.fate is Fate.LOCAL:
            if fault.code == "worker-lost":
                drop_partial(job, self._recovery)  # added to, replaced or named: nobody knows
            self._pauses.our_fault(job, fault, now)
            return
        self._pauses.back_in_order()
        if fault.code == "range-mismatch" or info.fate is Fate.PERMANENT:
            drop_partial(job, self._recovery)
        wait = self._cool_down(job, fault, now)
        rule = self._options.retry
        if info.fate is Fate.TRANSIENT and job.attempt < rule.attempts:
            due = now + max(wait, rule.delay(job.attempt, self._chance()))
            self._ledger.failed(job, fault, self._clock, retry_at=due)
        else:
            drop_partial(job, self._recovery)
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

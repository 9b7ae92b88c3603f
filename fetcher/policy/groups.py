"""What the frontier keeps: jobs, and the host groups that they wait in.

A group knows its budget and its lines; where it stands, and whose turn it is, the frontier decides.
"""

from __future__ import annotations

import math
from collections import deque
from enum import Enum, auto

from msgspec import Struct, field

from fetcher.model import Asset, Fault, HostBudget, HostMemory, Method, Partial
from fetcher.policy.adapt import Adaptive
from fetcher.policy.breaker import Breaker
from fetcher.policy.health import Health, health
from fetcher.policy.holding import Hold, HoldReason
from fetcher.policy.limits import Pace, Throughput


class Leave(Enum):
    """Whether a request that is begun with may be sent, in a group with a rate."""

    NEEDS_NONE = auto()
    """There is no rate, or it was sent, or will not be."""
    GIVEN = auto()
    PUT_OFF = auto()
    """It has to ask for it when it is ready."""
    ASKED_FOR = auto()


class Job(Struct, eq=False):
    """A leased asset on its way: what the next attempt, or the next hop of it, will ask for."""

    asset: Asset
    home: str
    """The host group of the listed URL."""
    memory: int
    """Bytes of the memory budget that an attempt may use."""
    attempt: int
    """Number of the attempt that is under way or comes next; the first is 1."""
    url: str = ""
    group: str = ""
    hops: int = 0
    """Redirects followed in this attempt; ``url`` and ``group`` are where they led."""
    started: float = 0.0
    """When this attempt's first hop was dispatched."""
    asked: float = 0.0
    """When its latest hop was."""
    leave: Leave = Leave.NEEDS_NONE
    """Of its latest hop."""
    partial: Partial | None = None
    """What earlier attempts kept of the body."""
    received: int = 0
    """Bytes that the latest hop's body brought over the wire."""
    method: Method = Method.GET
    climbed: int = 0
    """Hops of this attempt that are no redirects: the method before did not tell enough."""
    awaits: str = ""
    """The origin whose robots.txt is to be known first: until then it is in no line."""

    @property
    def is_robots(self) -> bool:
        """Whether it is a robots.txt that is asked for: a request like any, but for no asset."""
        return self.asset.asset_id < 0

    def __post_init__(self) -> None:
        self.start_over()

    def start_over(self) -> None:
        """Back to the listed URL, for a new attempt."""
        self.url, self.group, self.hops, self.climbed = self.asset.url, self.home, 0, 0


class Place(Enum):
    RING = auto()
    TIMERS = auto()
    PARKED = auto()


class Change(Struct, frozen=True):
    """A failure has changed what its group is allowed."""

    group: str
    code: str
    lowered: bool
    """Its limits are lower now."""
    shut_for: float
    """Seconds for which its circuit breaker has opened; 0 if it has not."""


class Group(Struct, eq=False):
    name: str
    budget: HostBudget
    pace: Pace
    throughput: Throughput
    adaptive: Adaptive
    breaker: Breaker
    ready: deque[Job] = field(default_factory=deque)
    waiting: list[tuple[float, int, Job]] = field(default_factory=list)
    asking: deque[Job] = field(default_factory=deque)
    """Begun with, and ready to be sent: they ask for leave."""
    in_flight: int = 0
    held: int = 0
    quota: int = 0
    """How many assets it may hold."""
    limit: int = 0
    """Requests in flight that are allowed now."""
    shut_until: float = -math.inf
    """The latest of what only a failure, or an evenly spaced start, moves: ``_shut``."""
    cool_until: float = -math.inf
    cool_code: str | None = None
    shut_code: str | None = None
    """Of the failure that opened the circuit breaker."""
    place: Place = Place.PARKED
    timer: float = math.inf
    """Valid while in ``TIMERS``; entries of the timer heap that differ are stale."""
    turn: float = math.inf
    """When one of ``asking`` may be sent; entries of the heap of turns that differ are stale."""
    dry: bool = False
    """The manifest had no more for it when last asked."""

    def __post_init__(self) -> None:
        self.quota = quota(self.budget)
        self.limit = self.adaptive.concurrency

    def opens_at(self) -> float:
        """When it may be sent a request, as far as time decides."""
        return max(self.pace.ready_at(), self.throughput.ready_at(), self.shut_until)

    def may_start(self, now: float) -> bool:
        return bool(self.ready) and self.in_flight < self.limit and self.opens_at() <= now

    def start(self, job: Job, now: float) -> None:
        if self.pace.limited:
            job.leave = Leave.GIVEN if self.pace.begin(now) else Leave.PUT_OFF
        self.in_flight += 1
        if self.adaptive.spaced:  # looked up here: most groups never are
            self.adaptive.started(now)
            self._shut()

    def ended(self, job: Job, fault: Fault | None, now: float) -> Change | None:
        """A request ended, with an image or a redirect if there is no ``fault``."""
        flight = self.in_flight
        self.in_flight = flight - 1
        adaptive, breaker = self.adaptive, self.breaker
        if fault is None or (kind := health(fault)) is Health.HEALTHY:
            adaptive.healthy(job.asked, flight, now)
            self.limit = adaptive.concurrency
            if not breaker.fresh:
                breaker.healthy()
                self._shut()
            return None
        if kind is Health.UNTOLD:
            return None
        opened = breaker.failed(job.asked, now)
        lowered = False
        if breaker.spent and breaker.failures > 1:
            adaptive.give_up()
        else:
            lowered = adaptive.failed(kind, fault.code, job.asked, flight, now)
        if opened:
            self.shut_code = fault.code
        self.limit = 1 if breaker.tripped else adaptive.concurrency
        self._shut()
        if not opened and not lowered:
            return None
        return Change(self.name, fault.code, lowered, breaker.opens_at - now if opened else 0.0)

    def left_alone(self, now: float) -> bool:
        """Whether not even what is begun with should still be sent."""
        return now < max(self.cool_until, self.breaker.opens_at)

    def ended_unsent(self, job: Job, now: float) -> None:
        """Nothing was said of its being sent."""
        if job.leave is Leave.GIVEN:
            self.pace.sent(now)  # it may have been, and who would have said so died
        elif job.leave is Leave.ASKED_FOR:
            self.asking.remove(job)
            self.pace.stop_asking()
        job.leave = Leave.NEEDS_NONE

    def cool_down(self, until: float, code: str | None, now: float) -> None:
        self.cool_until, self.cool_code = until, code
        self.adaptive.obeyed(until, now)
        self._shut()

    def _shut(self) -> None:
        self.shut_until = max(self.cool_until, self.adaptive.opens_at, self.breaker.opens_at)

    def room(self) -> int:
        """How many more assets it can take, as far as the manifest may have them."""
        return 0 if self.dry else max(0, self.quota - self.held)

    def short(self) -> bool:
        """Whether it should be given more, if there is more."""
        return not self.dry and 2 * self.held <= self.quota

    # What is told of it.

    def status(self, now: float) -> GroupStatus:
        return GroupStatus(
            name=self.name,
            budget=self.budget,
            in_flight=self.in_flight,
            ready=len(self.ready),
            waiting=len(self.waiting),
            concurrency=self.limit,
            rate=self.adaptive.rate if self.adaptive.rate < math.inf else self.budget.rate,
            hold=self.hold(now),
        )

    def hold(self, now: float) -> Hold:
        """What holds it back at ``now``: the limit that gives way last."""
        adaptive, breaker = self.adaptive, self.breaker
        if now < max(self.cool_until, breaker.opens_at):
            if self.cool_until >= breaker.opens_at:
                return Hold(HoldReason.COOLING_DOWN, self.cool_code, self.cool_until)
            return Hold(HoldReason.BREAKER_OPEN, self.shut_code, breaker.opens_at)
        if breaker.tripped:
            return Hold(HoldReason.PROBING, self.shut_code)
        if self.in_flight >= self.limit:
            lower = self.limit < self.budget.concurrency
            return Hold(HoldReason.CONCURRENCY, adaptive.code if lower else None, lowered=lower)
        if not self.ready:
            if not self.waiting:
                return Hold(HoldReason.NOTHING)
            return Hold(HoldReason.RETRIES, until=self.waiting[0][0])
        paid, paced = self.throughput.ready_at(), self.pace.ready_at()
        if now < adaptive.opens_at and adaptive.opens_at >= max(paid, paced):
            return Hold(HoldReason.RATE, adaptive.code, lowered=True)
        if now < max(paid, paced):
            return Hold(HoldReason.RATE if paced >= paid else HoldReason.BANDWIDTH)
        return Hold(HoldReason.NOTHING)

    def memory(self, now: float, wall: float) -> HostMemory:
        """What the next run should know of it; ``now`` is ``wall`` on the engine's clock."""
        adaptive, hold = self.adaptive, max(self.cool_until, self.breaker.opens_at)
        held = hold > now
        cooling = self.cool_until >= self.breaker.opens_at
        lower = adaptive.lowered
        bad = adaptive.bad_rate()
        return HostMemory(
            group=self.name,
            at=wall,
            rate=adaptive.rate if lower and adaptive.rate < math.inf else None,
            bad_rate=bad if lower and adaptive.rate < math.inf and bad < math.inf else None,
            concurrency=adaptive.concurrency
            if lower and adaptive.concurrency < self.budget.concurrency
            else None,
            code=adaptive.code,
            held_until=wall + hold - now if held else None,
            held_code=(self.cool_code if cooling else self.shut_code) if held else None,
        )

    def recall(self, memory: HostMemory, now: float, wall: float) -> None:
        """Begin with what the last run knew of it."""
        self.adaptive.recall(memory, wall - memory.at)
        self.limit = self.adaptive.concurrency
        if memory.held_until is not None and memory.held_until > wall:
            self.cool_until = now + memory.held_until - wall
            self.cool_code = memory.held_code
            self._shut()


def quota(budget: HostBudget) -> int:
    """How many assets a group may hold: enough to stay busy while a lease is under way."""
    per_second = 1_000.0 if budget.rate is None else budget.rate
    return max(budget.concurrency, int(min(1_024, max(4 * budget.concurrency, 2 * per_second, 8))))


class GroupStatus(Struct, frozen=True):
    """One host group as the progress display shows it. Times are on the engine's clock."""

    name: str
    budget: HostBudget
    in_flight: int
    ready: int
    waiting: int
    concurrency: int
    """Requests in flight that are allowed now."""
    rate: float | None
    """Requests per second that are allowed now; ``None`` is "no limit"."""
    hold: Hold

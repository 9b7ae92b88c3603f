"""A host group as the model in ``test_frontier_machine`` has it: all is counted anew each time."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from fetcher.model import Fault, HostBudget
from fetcher.policy.adapt import Adaptive
from fetcher.policy.breaker import Breaker, BreakerRule
from fetcher.policy.groups import Job, Leave
from fetcher.policy.health import Health, health
from fetcher.policy.limits import HEADROOM

EPSILON = 1e-6
BREAKER = BreakerRule(first=0.5, longest=2.0)


@dataclass
class Side:
    """A host group as the model has it, with its bucket as a number of tokens; but that of what is
    sent, which is ``tests.policy.test_turns``'s matter, as its policy has it.
    """

    budget: HostBudget
    pending: int = 0
    """Assets that the model's manifest has."""
    tokens: float = 1.0
    counted_at: float = math.inf
    """``tokens`` were so many then; infinity while the frontier has never heard of the group."""
    sent_due: float = 0.0
    """When the bucket of what is sent would be full, less a token."""
    leave: dict[int, Job] = field(default_factory=dict)
    asking: dict[int, Job] = field(default_factory=dict)
    owed_until: float = -math.inf
    cool_until: float = -math.inf
    in_flight: int = 0
    adaptive: Adaptive = field(init=False)
    breaker: Breaker = field(init=False)
    ready: dict[int, Job] = field(default_factory=dict)
    aside: dict[int, Job] = field(default_factory=dict)
    """Jobs that await an origin."""
    waiting: dict[int, tuple[float, Job]] = field(default_factory=dict)

    def heard_of(self, now: float) -> None:
        if self.counted_at == math.inf:
            self.counted_at = now
            self.sent_due = now + self.tolerance
            self.adaptive, self.breaker = Adaptive(self.budget, now), Breaker(BREAKER)

    @property
    def limit(self) -> int:
        """Requests in flight that are allowed now."""
        return 1 if self.breaker.tripped else self.adaptive.concurrency

    def end(self, job: Job, fault: Fault | None, now: float) -> None:
        flight = self.in_flight
        self.in_flight -= 1
        kind = health(fault)
        if kind is Health.HEALTHY:
            self.adaptive.healthy(job.asked, flight, now)
            self.breaker.healthy()
        elif kind is not Health.UNTOLD:
            assert fault is not None
            self.breaker.failed(job.asked, now)
            self.adaptive.failed(kind, fault.code, job.asked, flight, now)

    @property
    def quota(self) -> float:
        per_second = 1_000.0 if self.budget.rate is None else self.budget.rate
        return min(1_024, max(4 * self.budget.concurrency, 2 * per_second, 8))

    @property
    def in_line(self) -> int:
        return len(self.ready) + len(self.waiting)

    @property
    def interval(self) -> float:
        return (1 + HEADROOM) / self.budget.rate if self.budget.rate is not None else 0.0

    @property
    def tolerance(self) -> float:
        return (self.budget.burst - 1) * self.interval

    @property
    def turn_at(self) -> float:
        """When one that asks may be given leave."""
        if len(self.leave) >= self.budget.burst:
            return math.inf
        return self.sent_due + len(self.leave) * self.interval - self.tolerance

    @property
    def left_alone_until(self) -> float:
        return max(self.cool_until, self.breaker.opens_at)

    def is_sent(self, key: int, now: float) -> None:
        if self.leave.pop(key, None) is not None:
            self.sent_due = max(self.sent_due, now) + self.interval

    def count_tokens(self, now: float) -> None:
        if self.budget.rate is not None:
            refill = max(0.0, now - self.counted_at) * self.budget.rate / (1 + HEADROOM)
            self.tokens = min(self.budget.burst, self.tokens + refill)
        self.counted_at = now

    def ripe_at(self, now: float) -> float:
        """When it could start something if nothing happened: infinity if it could not at all."""
        if not self.in_line or self.in_flight >= self.limit:
            return math.inf
        due = -math.inf if self.ready else min(due for due, _ in self.waiting.values())
        token = -math.inf
        if self.budget.rate is not None:
            self.count_tokens(now)
            if self.tokens < 1 - 1e-9:
                token = now + (1 - self.tokens) * self.interval
            if self.asking:
                behind = len(self.leave) + len(self.asking)
                token = max(token, self.sent_due + behind * self.interval - self.tolerance)
        shut = max(self.cool_until, self.adaptive.opens_at, self.breaker.opens_at)
        return max(due, token, self.owed_until, shut)

    def candidates(self, now: float) -> dict[int, Job]:
        due = {key: job for key, (at, job) in self.waiting.items() if at <= now}
        return self.ready | due

    def start(self, job: Job, now: float) -> None:
        self.ready.pop(job.asset.asset_id, None)
        self.waiting.pop(job.asset.asset_id, None)
        self.in_flight += 1
        self.count_tokens(now)
        if self.budget.rate is not None:
            self.tokens -= 1
            if abs(self.turn_at - now) > EPSILON:
                assert job.leave is (Leave.GIVEN if self.turn_at < now else Leave.PUT_OFF)
            if job.leave is Leave.GIVEN:
                self.leave[job.asset.asset_id] = job
        else:
            assert job.leave is Leave.NEEDS_NONE
        if self.adaptive.spaced:
            self.adaptive.started(now)

"""Hosts with limits, on a virtual clock: the real frontier, and what it meets.

A host answers after a round trip, and says 429 as its limiter decides. Assets never run out, and
one that was refused goes back in line, as the engine would have it.
"""

from __future__ import annotations

import heapq
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from typing import Protocol

from fetcher.model import Asset, Expectation, Fault, HostBudget
from fetcher.policy.frontier import Dispatch, Frontier, WaitUntil
from fetcher.policy.groups import Job

UNLIMITED = HostBudget(rate=None, burst=1, concurrency=64, adapt=True)
IN_LINE = 256


class Limiter(Protocol):
    def admits(self, now: float) -> bool:
        """Whether a request that arrives at ``now`` is answered."""


@dataclass(slots=True)
class Bucket:
    """``rate`` tokens per second, ``burst`` at most: a limiter that tolerates so much at once."""

    rate: float
    burst: float
    tokens: float = 0.0
    at: float = 0.0

    def __post_init__(self) -> None:
        self.tokens = self.burst

    def admits(self, now: float) -> bool:
        self.tokens = min(self.burst, self.tokens + (now - self.at) * self.rate)
        self.at = now
        if self.tokens < 1 - 1e-9:
            return False
        self.tokens -= 1
        return True


@dataclass(slots=True)
class Windows:
    """As many requests as ``rate`` allows in each window of ``seconds``, however they come."""

    rate: float
    seconds: float
    window: int = -1
    used: int = 0

    def admits(self, now: float) -> bool:
        if int(now / self.seconds) != self.window:
            self.window, self.used = int(now / self.seconds), 0
        self.used += 1
        return self.used <= self.rate * self.seconds


@dataclass(slots=True)
class Unlimited:
    def admits(self, now: float) -> bool:  # noqa: ARG002  whenever that is
        return True


@dataclass(slots=True)
class Host:
    """``round_trip`` draws the seconds of one; half of them lie before the limiter."""

    limiter: Limiter
    round_trip: Callable[[], float] = lambda: 0.05
    retry_after: float | None = None
    served: list[float] = field(default_factory=list)
    refused: list[float] = field(default_factory=list)


def jittery(mean: float, seed: int = 1) -> Callable[[], float]:
    """Round trips of ``mean`` seconds or more: with an exponential tail, as networks have it."""
    chance = random.Random(seed)
    return lambda: 0.8 * mean + chance.expovariate(1 / (0.2 * mean))


@dataclass(slots=True)
class Run:
    host: Host
    frontier: Frontier
    started: list[float] = field(default_factory=list)
    limits: list[tuple[float, int, float]] = field(default_factory=list)
    """(when, concurrency, rate) at each answer."""
    now: float = 0.0
    spare: deque[Job] = field(default_factory=lambda: deque(_job(n) for n in range(IN_LINE)))
    events: list[tuple[float, int, str, Job]] = field(default_factory=list)
    numbers: count[int] = field(default_factory=count)

    def until(self, end: float) -> Run:
        events, spare, numbers = self.events, self.spare, self.numbers
        while self.now < end:
            while spare:
                self.frontier.add(spare.popleft(), self.now)
            decision = self.frontier.next(self.now)
            if isinstance(decision, Dispatch):
                self.started.append(self.now)
                arrives = self.now + self.host.round_trip() / 2
                heapq.heappush(events, (arrives, next(numbers), "arrives", decision.job))
                continue
            at = decision.at if isinstance(decision, WaitUntil) else float("inf")
            if events and events[0][0] <= at:
                self.now, _, what, job = heapq.heappop(events)
                if what == "arrives":
                    well = self.host.limiter.admits(self.now)
                    (self.host.served if well else self.host.refused).append(self.now)
                    ends = self.now + self.host.round_trip() / 2
                    what = "served" if well else "refused"
                    heapq.heappush(events, (ends, next(numbers), what, job))
                else:
                    self._ended(job, well=what == "served")
                    spare.append(job)
            else:
                self.now = at
        return self

    def _ended(self, job: Job, *, well: bool) -> None:
        after = self.host.retry_after
        fault = None if well else Fault("rate-limited", http_status=429, retry_after=after)
        self.frontier.finished(job, 0, self.now, fault)
        if fault is not None and after is not None:
            self.frontier.cool_down(job.group, self.now + after, self.now, fault.code)
        (status,) = self.frontier.status(self.now)
        self.limits.append((self.now, status.concurrency, status.rate or float("inf")))
        self.frontier.settled(job)

    def rate(self, since: float = 0.0) -> float:
        """Requests per second that were served."""
        return sum(at >= since for at in self.host.served) / (self.now - since)

    def refused(self, since: float = 0.0) -> float:
        """The share of requests that were refused."""
        no = sum(at >= since for at in self.host.refused)
        return no / max(1, no + sum(at >= since for at in self.host.served))


def run(host: Host, budget: HostBudget, seconds: float) -> Run:
    frontier = Frontier(concurrency=256, memory=1, capacity=10_000, budget_of=lambda _: budget)
    return Run(host, frontier).until(seconds)


def _job(number: int) -> Job:
    asset = Asset(number, str(number), "", f"https://a.test/{number}", "a.test", Expectation())
    return Job(asset, "a.test", memory=0, attempt=1)

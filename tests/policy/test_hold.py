"""Which limit the frontier says holds a group back."""

from __future__ import annotations

from fetcher.model import Fault, HostBudget
from fetcher.policy.breaker import THRESHOLD, BreakerRule
from fetcher.policy.frontier import Frontier
from fetcher.policy.holding import Hold, HoldReason
from tests.policy.test_frontier import all_that_start, job_of

REFUSED = Fault("rate-limited", http_status=429)


def frontier(budget: HostBudget, jobs: int = 20) -> Frontier:
    it = Frontier(
        concurrency=64,
        memory=1,
        capacity=1_000,
        budget_of=lambda _: budget,
        breaker=BreakerRule(first=1.0, longest=60.0),
    )
    for number in range(jobs):
        it.add(job_of(number), 0.0)
    return it


def hold(it: Frontier, now: float) -> Hold:
    (status,) = it.status(now)
    return status.hold


def test_the_budgets_own_limits() -> None:
    it = frontier(HostBudget(None, 1, 2))
    assert hold(it, 0.0) == Hold(HoldReason.NOTHING)
    all_that_start(it, 0.0)
    assert hold(it, 0.0) == Hold(HoldReason.CONCURRENCY)
    it = frontier(HostBudget(1.0, 1, 8))
    all_that_start(it, 0.0)
    assert hold(it, 0.1) == Hold(HoldReason.RATE)
    it = frontier(HostBudget(None, 1, 1, bandwidth=10.0))
    (job,) = all_that_start(it, 0.0)
    it.finished(job, 100, 1.0)
    assert hold(it, 1.0) == Hold(HoldReason.BANDWIDTH)


def test_limits_that_a_fault_has_lowered() -> None:
    it = frontier(HostBudget(None, 1, 8, adapt=True))
    jobs = all_that_start(it, 0.0)
    assert hold(it, 0.0) == Hold(HoldReason.CONCURRENCY, lowered=True)  # approached slowly
    for job in jobs:
        it.finished(job, 0, 0.5, REFUSED)
        it.settled(job)
    assert hold(it, 0.6) == Hold(HoldReason.RATE, "rate-limited", lowered=True)


def test_cool_downs_breakers_probes_and_retries() -> None:
    it = frontier(HostBudget(None, 1, THRESHOLD))
    it.cool_down("a", 9.0, 0.0, "rate-limited")
    assert hold(it, 0.0) == Hold(HoldReason.COOLING_DOWN, "rate-limited", 9.0)
    for job in all_that_start(it, 9.0):
        it.finished(job, 0, 9.5, Fault("connection-refused"))
        it.settled(job)
    assert hold(it, 9.5) == Hold(HoldReason.BREAKER_OPEN, "connection-refused", 10.5)
    assert len(all_that_start(it, 10.5)) == 1
    assert hold(it, 10.5) == Hold(HoldReason.PROBING, "connection-refused")
    it = frontier(HostBudget(None, 1, 1), jobs=1)
    (job,) = all_that_start(it, 0.0)
    it.finished(job, 0, 1.0)
    it.retry(job, 5.0, 1.0)
    assert hold(it, 1.0) == Hold(HoldReason.RETRIES, until=5.0)

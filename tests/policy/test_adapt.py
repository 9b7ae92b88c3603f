"""The laws of adaptive limits, and that they find the limits of hosts."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import pytest
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st

from fetcher.model import HostBudget, HostMemory
from fetcher.policy import adapt
from fetcher.policy.adapt import Adaptive
from fetcher.policy.health import Health
from scripts.proofs.rate import worst_window
from tests.policy import throttle
from tests.policy.throttle import Bucket, Host, Limiter, Unlimited, Windows

BUDGETS = st.builds(
    HostBudget,
    rate=st.one_of(st.none(), st.floats(0.01, 1e4)),
    burst=st.integers(1, 50),
    concurrency=st.integers(1, 64),
    adapt=st.just(True),
)


@dataclass(frozen=True)
class Step:
    """After ``gap`` seconds a request ends that took ``took``."""

    gap: float
    took: float
    flight: int
    health: Health | None
    """``None``: the host asks to be left alone for ``took`` seconds."""


STEPS = st.lists(
    st.builds(
        Step,
        gap=st.floats(0.0, 3.0),
        took=st.floats(0.0, 5.0),
        flight=st.integers(1, 64),
        health=st.sampled_from([Health.HEALTHY] * 6 + [None] + [*Health]),
    ),
    max_size=80,
)


def tell(adaptive: Adaptive, step: Step, now: float) -> bool:
    """Whether that lowered the limits."""
    if step.health is None:
        adaptive.obeyed(now + step.took, now)
        return False
    if adaptive.spaced and adaptive.opens_at <= now:
        adaptive.started(now)
    asked = now - step.took
    if step.health is Health.HEALTHY:
        adaptive.healthy(asked, step.flight, now)
        return False
    return adaptive.failed(step.health, "code", asked, step.flight, now)


@given(BUDGETS, STEPS)
def test_limits_stay_between_the_floor_and_the_budget(
    budget: HostBudget, steps: list[Step]
) -> None:
    adaptive, now = Adaptive(budget, 0.0), 0.0
    cap = math.inf if budget.rate is None else budget.rate
    for step in steps:
        now += step.gap
        tell(adaptive, step, now)
        assert 1 <= adaptive.concurrency <= budget.concurrency
        assert min(adapt.LEAST_RATE, cap) <= adaptive.rate
        assert adaptive.rate == math.inf or adaptive.rate <= cap
        assert adaptive.spaced == (adaptive.rate < math.inf)
        assert adaptive.lowered or adaptive.code is None


@given(BUDGETS, STEPS)
def test_what_was_under_way_at_a_decrease_causes_no_other(
    budget: HostBudget, steps: list[Step]
) -> None:
    adaptive, now, decreased = Adaptive(budget, 0.0), 0.0, -math.inf
    for step in steps:
        now += step.gap
        before = adaptive.concurrency, adaptive.rate
        lowered = tell(adaptive, step, now)
        after = adaptive.concurrency, adaptive.rate
        assert lowered or (after[0] >= before[0] and after[1] >= before[1])
        if lowered:
            assert now - step.took > decreased
            decreased = now


@settings(max_examples=40, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(BUDGETS, STEPS)
def test_a_healthy_host_gets_its_whole_budget_back(budget: HostBudget, steps: list[Step]) -> None:
    adaptive, now = Adaptive(budget, 0.0), 0.0
    for step in steps:
        now += step.gap
        tell(adaptive, step, now)
    wanted = min(math.inf if budget.rate is None else budget.rate, 10.0)
    for _ in range(20_000):
        if adaptive.rate >= wanted and adaptive.concurrency == budget.concurrency:
            break
        if adaptive.spaced:
            now = max(now, adaptive.opens_at)
            adaptive.started(now)
        now += 0.01
        # By turns the window and the rate are what holds it back.
        adaptive.healthy(now - 0.01, adaptive.concurrency, now)
        adaptive.healthy(now - 0.01, 0, now)
    assert adaptive.concurrency == budget.concurrency
    assert adaptive.rate >= wanted


@given(BUDGETS, STEPS, st.floats(0.0, 1e6))
@example(HostBudget(0.0625, 1, 1, adapt=True), [Step(0.0, 0.0, 1, Health.REFUSED)], 0.0)
@example(HostBudget(13.0, 1, 9, adapt=True), [Step(0.0, 0.0, 1, Health.HEALTHY)], 0.0)
def test_what_is_remembered_binds_less_with_age_and_never_breaks_the_budget(
    budget: HostBudget, steps: list[Step], age: float
) -> None:
    adaptive, now = Adaptive(budget, 0.0), 0.0
    for step in steps:
        now += step.gap
        tell(adaptive, step, now)
    bad = adaptive.bad_rate()
    memory = HostMemory(
        "a",
        0.0,
        adaptive.rate if adaptive.spaced else None,
        bad if bad < math.inf else None,
        adaptive.concurrency,
        "code",
    )
    younger, older = Adaptive(budget, 0.0), Adaptive(budget, 0.0)
    younger.recall(memory, age)
    older.recall(memory, age + adapt.HALF_LIFE)
    cap = math.inf if budget.rate is None else budget.rate
    for one in (younger, older):
        assert 1 <= one.concurrency <= budget.concurrency
        assert one.rate == math.inf or one.rate <= cap
    if younger.lowered and older.lowered and younger.spaced and older.spaced:
        # What is forgotten leaves an unknown host, whose rate is approached.
        assert older.rate >= min(younger.rate, adapt.FIRST_RATE)
    if age == 0 and adaptive.spaced and adaptive.lowered:
        assert younger.rate == pytest.approx(adaptive.rate)


def test_a_window_of_one_does_not_keep_the_rate_from_growing() -> None:
    run = throttle.run(Host(Unlimited()), HostBudget(20.0, 1, 1, adapt=True), 20.0)
    assert run.limits[-1][2] == 20.0
    run = throttle.run(Host(Bucket(5.0, 1)), HostBudget(None, 1, 1, adapt=True), 600.0)
    assert run.rate(300.0) >= 0.85 * 5.0


def test_without_leave_to_adapt_the_budget_is_the_limit() -> None:
    adaptive = Adaptive(HostBudget(100.0, 5, 8), 0.0)
    assert not adaptive.failed(Health.REFUSED, "rate-limited", 0.5, 8, 1.0)
    assert (adaptive.concurrency, adaptive.spaced, adaptive.lowered) == (8, False, False)
    assert adaptive.opens_at > 1.0


# Against hosts, by way of the frontier.


@pytest.mark.parametrize("round_trip", [0.005, 0.02, 0.05])
@pytest.mark.parametrize("rate", [200.0, None])
def test_a_healthy_fast_host_gets_the_whole_budget_within_2_seconds(
    round_trip: float, rate: float | None
) -> None:
    budget = HostBudget(rate, 20, 64, adapt=True)
    run = throttle.run(Host(Unlimited(), lambda: round_trip), budget, 4.0)
    _, concurrency, allowed = run.limits[-1]
    second_half = [at for at in run.started if 2.0 <= at < 3.0]
    if rate is None:
        assert concurrency == 64
        assert len(second_half) >= 0.95 * 64 / round_trip
    else:
        assert allowed == rate
        assert len(second_half) >= 0.97 * rate


LIMITERS: dict[str, Callable[[float], Limiter]] = {
    "strict": lambda rate: Bucket(rate, 1),
    "burst of 5": lambda rate: Bucket(rate, 5),
    "burst of 2 seconds": lambda rate: Bucket(rate, 2 * rate),
    "windows of a second": lambda rate: Windows(rate, 1),
}
ROUNDS = {2.0: 2_400.0, 5.0: 1_600.0, 20.0: 800.0, 60.0: 300.0, 200.0: 200.0}


@pytest.mark.parametrize("retry_after", [None, 1.0])
@pytest.mark.parametrize("limiter", LIMITERS)
@pytest.mark.parametrize("rate", ROUNDS)
def test_a_host_that_throttles_is_used_and_hardly_ever_refuses(
    rate: float, limiter: str, retry_after: float | None
) -> None:
    """In the long run: the second half of it, whatever was learned in the first."""
    for budget in (throttle.UNLIMITED, HostBudget(4 * rate, 10, 16, adapt=True)):
        # A strict limiter refuses what the network has pushed together, at any rate near its own:
        # with jitter, nobody could keep to 85 % and 3 %.
        round_trip = (lambda: 0.05) if limiter == "strict" else throttle.jittery(0.05)
        host = Host(LIMITERS[limiter](rate), round_trip, retry_after)
        run = throttle.run(host, budget, ROUNDS[rate])
        half = ROUNDS[rate] / 2
        assert run.rate(half) >= 0.85 * rate
        assert run.refused(half) < 0.03


@pytest.mark.parametrize("retry_after", [5.0, 30.0])
@pytest.mark.parametrize("limiter", LIMITERS)
def test_what_a_refusal_costs_makes_refusals_rare(limiter: str, retry_after: float) -> None:
    host = Host(LIMITERS[limiter](5.0), retry_after=retry_after)
    run = throttle.run(host, throttle.UNLIMITED, 8_000.0)
    assert run.rate(4_000.0) >= 0.85 * 5.0
    assert run.refused(4_000.0) < 0.005


def test_a_limit_that_is_lifted_is_found_out() -> None:
    limiter = Bucket(5.0, 5)
    run = throttle.run(Host(limiter), throttle.UNLIMITED, 600.0)
    limiter.rate = 50.0
    run.until(1_800.0)
    assert run.rate(1_500.0) >= 0.85 * 50.0


def test_a_limit_that_is_tightened_is_found_out() -> None:
    limiter = Bucket(50.0, 5)
    run = throttle.run(Host(limiter), throttle.UNLIMITED, 300.0)
    limiter.rate = 5.0
    run.until(1_500.0)
    assert run.rate(900.0) >= 0.85 * 5.0
    assert run.refused(900.0) < 0.03


@pytest.mark.parametrize("limiter", LIMITERS)
def test_law_4_holds_whatever_the_limits_do(limiter: str) -> None:
    budget = HostBudget(30.0, 7, 16, adapt=True)
    run = throttle.run(Host(LIMITERS[limiter](20.0)), budget, 120.0)
    assert worst_window(run.started, 30.0, 7) <= 1e-6
    assert all(earlier <= later for earlier, later in pairwise(run.started))

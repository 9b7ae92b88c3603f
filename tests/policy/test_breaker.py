"""The circuit breaker: one probe at a time, and no more waiting than it is allowed."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fetcher.model import Fault, HostBudget
from fetcher.policy.breaker import PATIENCE, THRESHOLD, Breaker, BreakerRule, Outage
from fetcher.policy.frontier import Dispatch, Drained, Frontier, WaitUntil
from fetcher.policy.groups import Job
from tests.policy.test_frontier import all_that_start, job_of, started

RULE = BreakerRule(first=1.0, longest=60.0)
DOWN = Fault("connection-refused")


@dataclass(frozen=True)
class Answer:
    well: bool
    gap: float


ANSWERS = st.lists(
    st.builds(Answer, st.sampled_from([True, *[False] * 8]), st.floats(0.0, 10.0)), max_size=300
)


@given(ANSWERS)
def test_it_holds_back_for_its_allowance_and_a_second_for_each_healthy_answer(
    answers: list[Answer],
) -> None:
    breaker, now, shut, well = Breaker(RULE), 0.0, 0.0, 0
    for answer in answers:
        now = max(now, breaker.opens_at) + answer.gap
        if answer.well:
            breaker.healthy()
            well += 1
        elif breaker.failed(now, now):
            shut += breaker.opens_at - now
    assert shut <= PATIENCE + well + 1e-6


@given(ANSWERS)
def test_it_opens_only_after_failures_in_a_row_and_closes_with_a_healthy_answer(
    answers: list[Answer],
) -> None:
    breaker, now, in_a_row = Breaker(RULE), 0.0, 0
    for answer in answers:
        now = max(now, breaker.opens_at) + answer.gap
        in_a_row = 0 if answer.well else in_a_row + 1
        if answer.well:
            breaker.healthy()
            assert breaker.opens_at <= now
        else:
            opened = breaker.failed(now, now)
            assert opened == (in_a_row >= THRESHOLD and breaker.opens_at > now)
        assert breaker.tripped <= (in_a_row >= THRESHOLD)


def test_what_was_under_way_when_it_opened_is_no_news() -> None:
    breaker = Breaker(RULE)
    for _ in range(THRESHOLD):
        breaker.failed(0.0, 1.0)
    assert breaker.opens_at == 2.0
    assert not any(breaker.failed(0.5, 1.1) for _ in range(50))
    assert breaker.failed(2.0, 2.5)
    assert breaker.opens_at == 4.5


def frontier() -> Frontier:
    budget = HostBudget(rate=None, burst=1, concurrency=8)
    return Frontier(
        concurrency=64, memory=1, capacity=1_000, budget_of=lambda _: budget, breaker=RULE
    )


def fail(frontier: Frontier, job: Job, now: float) -> None:
    frontier.finished(job, 0, now, DOWN)
    frontier.settled(job)


def test_open_nothing_starts_and_then_one_at_a_time() -> None:
    it = frontier()
    for number in range(40):
        it.add(job_of(number), 0.0)
    for job in all_that_start(it, 0.0):
        fail(it, job, 0.1)
    assert it.next(0.2) == WaitUntil(1.1)
    probe = started(it.next(1.1))
    assert not all_that_start(it, 5.0)
    fail(it, probe, 5.0)
    assert it.next(5.0) == WaitUntil(7.0)
    probe = started(it.next(7.0))
    it.finished(probe, 0, 7.5)
    assert len(all_that_start(it, 7.5)) == 8


def test_a_group_that_is_down_for_good_comes_to_its_end() -> None:
    """Law 6: as many attempts as there are assets, and the allowance more than they take."""
    it, now, attempts, most = frontier(), 0.0, 0, 0
    for number in range(500):
        it.add(job_of(number), 0.0)
    while not isinstance(decision := it.next(now), Drained):
        if isinstance(decision, Dispatch):
            jobs = [decision.job, *all_that_start(it, now)]
            most = max(most, len(jobs)) if now > PATIENCE else most
            attempts += len(jobs)
            now += 0.1
            for job in jobs:
                fail(it, job, now)
        else:
            assert isinstance(decision, WaitUntil)
            now = decision.at
    assert attempts == 500
    assert now <= PATIENCE + 500 * 0.1
    assert most == 8  # its whole budget again: it is down, not strained


@pytest.mark.parametrize("code", ["http-404", "http-403", "no-route", "md5-mismatch"])
def test_answers_that_are_no_failure_of_the_host_do_not_open_it(code: str) -> None:
    it = frontier()
    for number in range(40):
        it.add(job_of(number), 0.0)
    for _ in range(5):
        for job in all_that_start(it, 0.0):
            assert it.finished(job, 0, 0.0, Fault(code)) is None
            it.settled(job)
    assert isinstance(it.next(0.0), Drained)


@pytest.mark.parametrize("patience", [0.0, 3.0, PATIENCE])
@pytest.mark.parametrize("few", [1, 3, THRESHOLD, 9])
def test_it_tells_how_a_group_stands_from_the_first_failure_to_the_last(
    few: int, patience: float
) -> None:
    breaker, now = Breaker(BreakerRule(1.0, 60.0, patience)), 0.0
    told = [breaker.outage(few, now)]
    while breaker.failures < THRESHOLD + PATIENCE / 60 + 10:
        now = max(now, breaker.opens_at)
        breaker.failed(now, now)
        told.append(breaker.outage(few, now))
    early = THRESHOLD - few if few < THRESHOLD else 0
    assert told[: min(few, THRESHOLD)] == [Outage.NONE] * min(few, THRESHOLD)
    if patience:
        assert told[few : few + early] == [Outage.MAYBE] * early
        assert Outage.BORNE in told
        assert sorted(told, key=list(Outage).index) == told
    assert told[-1] is Outage.FOR_GOOD
    breaker.healthy()
    assert breaker.outage(few, now) is Outage.NONE

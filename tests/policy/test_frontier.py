"""What the frontier promises, one thing at a time; ``test_frontier_machine`` has all at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fetcher.model import Asset, Expectation, HostBudget, LeaseRequest
from fetcher.policy.frontier import Decision, Dispatch, Drained, Frontier, Idle, WaitUntil
from fetcher.policy.groups import Group, Job

GENEROUS = HostBudget(rate=None, burst=1, concurrency=1_000)


def job_of(number: int, group: str = "a", memory: int = 0) -> Job:
    host = f"{group}.example"
    asset = Asset(number, str(number), "", f"https://{host}/{number}", host, Expectation())
    return Job(asset, home=group, memory=memory, attempt=1)


def frontier_of(
    budget_of: Callable[[str], HostBudget] | HostBudget = GENEROUS,
    *,
    concurrency: int = 1_000,
    memory: int = 10**9,
    capacity: int = 10_000,
    kind: type[Frontier] = Frontier,
) -> Frontier:
    return kind(
        concurrency=concurrency,
        memory=memory,
        capacity=capacity,
        budget_of=budget_of if callable(budget_of) else lambda _: budget_of,
    )


def started(decision: Decision) -> Job:
    assert isinstance(decision, Dispatch)
    return decision.job


def all_that_start(frontier: Frontier, now: float) -> list[Job]:
    jobs = []
    while isinstance(decision := frontier.next(now), Dispatch):
        jobs.append(decision.job)
    return jobs


def numbers(jobs: list[Job]) -> list[int]:
    return [job.asset.asset_id for job in jobs]


def end(frontier: Frontier, job: Job, now: float, received: int = 0) -> None:
    frontier.finished(job, received, now)
    frontier.settled(job)


# Answers.


def test_an_empty_frontier_is_drained() -> None:
    assert isinstance(frontier_of().next(0.0), Drained)


def test_a_full_frontier_is_idle_until_a_settlement() -> None:
    frontier = frontier_of(concurrency=1)
    frontier.add(job_of(1), 0.0)
    frontier.add(job_of(2), 0.0)
    first = started(frontier.next(0.0))
    assert isinstance(frontier.next(0.0), Idle)
    frontier.finished(first, 0, 1.0)
    assert isinstance(frontier.next(1.0), Idle)  # not committed: a crash could still cost it
    frontier.settled(first)
    assert started(frontier.next(1.0)).asset.asset_id == 2


def test_a_connection_is_free_before_its_outcome_is_settled() -> None:
    frontier = frontier_of(HostBudget(rate=None, burst=1, concurrency=1))
    frontier.add(job_of(1), 0.0)
    frontier.add(job_of(2), 0.0)
    first = started(frontier.next(0.0))
    assert isinstance(frontier.next(0.0), Idle)
    frontier.finished(first, 0, 1.0)
    assert started(frontier.next(1.0)).asset.asset_id == 2


def test_a_pause_is_for_all_and_the_later_end_wins() -> None:
    frontier = frontier_of()
    frontier.add(job_of(1), 0.0)
    frontier.pause(5.0)
    frontier.pause(3.0)
    assert frontier.next(0.0) == WaitUntil(5.0)
    assert frontier.next(4.9) == WaitUntil(5.0)
    assert isinstance(frontier.next(5.0), Dispatch)


def test_a_cool_down_is_for_one_group_and_the_later_end_wins() -> None:
    frontier = frontier_of()
    frontier.add(job_of(1, "a"), 0.0)
    frontier.add(job_of(2, "b"), 0.0)
    frontier.cool_down("a", 5.0, 0.0)
    frontier.cool_down("a", 3.0, 0.0)
    assert numbers(all_that_start(frontier, 0.0)) == [2]
    assert frontier.next(0.0) == WaitUntil(5.0)
    assert numbers(all_that_start(frontier, 5.0)) == [1]


def test_a_retry_that_comes_due_in_a_cool_down_waits_for_its_end() -> None:
    frontier = frontier_of()
    frontier.add(job_of(1), 0.0)
    job = started(frontier.next(0.0))
    frontier.finished(job, 0, 1.0)
    frontier.cool_down("a", 5.0, 1.0)
    frontier.retry(job, 2.0, 1.0)
    assert frontier.next(1.0) == WaitUntil(5.0)
    assert frontier.next(2.0) == WaitUntil(5.0)
    assert started(frontier.next(5.0)) is job


def test_a_cool_down_holds_for_assets_that_come_later() -> None:
    frontier = frontier_of()
    frontier.cool_down("a", 5.0, 0.0)
    frontier.add(job_of(1, "a"), 1.0)
    assert frontier.next(1.0) == WaitUntil(5.0)


def test_a_job_larger_than_all_memory_goes_alone() -> None:
    frontier = frontier_of(memory=10)
    for number, memory in enumerate([4, 50, 4], start=1):
        frontier.add(job_of(number, memory=memory), 0.0)
    first = started(frontier.next(0.0))
    assert isinstance(frontier.next(0.0), Idle)  # nor is the small one let past it
    end(frontier, first, 1.0)
    large = started(frontier.next(1.0))
    assert large.memory == 50
    assert isinstance(frontier.next(1.0), Idle)
    end(frontier, large, 2.0)
    assert started(frontier.next(2.0)).asset.asset_id == 3


# Fairness.


@given(st.lists(st.integers(1, 6), min_size=1, max_size=6))
def test_groups_take_turns(sizes: list[int]) -> None:
    """While a group has more, no other group gets two starts between two of its own."""
    frontier = frontier_of()
    number = 0
    for group, size in enumerate(sizes):
        for _ in range(size):
            number += 1
            frontier.add(job_of(number, f"g{group}"), 0.0)
    order = [job.group for job in all_that_start(frontier, 0.0)]
    assert Counter(order) == {f"g{group}": size for group, size in enumerate(sizes)}
    for name in set(order):
        turns = [turn for turn, started_by in enumerate(order) if started_by == name]
        for one, following in pairwise([-1, *turns]):
            assert max(Counter(order[one + 1 : following]).values(), default=0) <= 1


@given(st.integers(1, 5), st.integers(1, 5))
def test_groups_take_turns_for_slots_too(groups: int, slots: int) -> None:
    frontier = frontier_of(concurrency=slots)
    for number in range(groups * 10):
        frontier.add(job_of(number, f"g{number // 10}"), 0.0)
    order: list[str] = []
    while jobs := all_that_start(frontier, 0.0):
        assert len(jobs) == min(slots, 10 * groups - len(order))
        for job in jobs:
            order.append(job.group)
            end(frontier, job, 0.0)
    rounds = [order[turn : turn + groups] for turn in range(0, len(order), groups)]
    assert all(len(set(a_round)) == groups for a_round in rounds)


def test_a_group_in_order_of_arrival() -> None:
    frontier = frontier_of()
    for number in range(5):
        frontier.add(job_of(number), 0.0)
    assert numbers(all_that_start(frontier, 0.0)) == [0, 1, 2, 3, 4]


def test_a_redirected_job_goes_on_before_all_that_wait() -> None:
    frontier = frontier_of(HostBudget(rate=None, burst=1, concurrency=1))
    frontier.add(job_of(1, "a"), 0.0)
    job = started(frontier.next(0.0))
    for number in range(2, 50):
        frontier.add(job_of(number, "b"), 0.0)
    frontier.finished(job, 0, 1.0)
    frontier.redirected(job, "https://b.example/x", "b", 1.0)
    assert started(frontier.next(1.0)) is job
    assert (job.started, job.asked, job.hops) == (0.0, 1.0, 1)


def test_a_retry_is_not_starved_by_a_steady_supply() -> None:
    frontier = frontier_of(HostBudget(rate=None, burst=1, concurrency=1))
    for number in range(3):
        frontier.add(job_of(number), 0.0)
    failed = started(frontier.next(0.0))
    frontier.finished(failed, 0, 0.0)
    frontier.retry(failed, 1.5, 0.0)
    order: list[int] = []
    for now in range(1, 12):
        frontier.add(job_of(100 + now), float(now))
        job = started(frontier.next(float(now)))
        order.append(job.asset.asset_id)
        end(frontier, job, float(now))
    # Due between the second and the third start, it waits for those that were there already.
    assert order.index(0) <= 4


def test_a_retry_starts_over_at_the_listed_url() -> None:
    frontier = frontier_of()
    job = job_of(1, "a")
    frontier.add(job, 0.0)
    started(frontier.next(0.0))
    frontier.finished(job, 0, 1.0)
    frontier.redirected(job, "https://b.example/x", "b", 1.0)
    started(frontier.next(1.0))
    frontier.finished(job, 0, 2.0)
    frontier.retry(job, 5.0, 2.0)
    assert (job.url, job.group, job.hops) == ("https://a.example/1", "a", 0)
    assert frontier.next(2.0) == WaitUntil(5.0)
    assert started(frontier.next(6.0)) is job
    assert job.started == 6.0


# Leasing.


def ask(frontier: Frontier) -> LeaseRequest:
    request = frontier.wants()
    assert request is not None
    return request


def test_a_new_frontier_is_hungry_for_strangers() -> None:
    request = ask(frontier_of(HostBudget(5.0, 5, 4), capacity=100))
    assert (request.limit, request.room) == (100, {})
    assert request.default_room == 16


@pytest.mark.parametrize(
    ("budget", "room"),
    [
        (HostBudget(rate=0.1, burst=1, concurrency=1), 8),
        (HostBudget(rate=5.0, burst=5, concurrency=4), 16),
        (HostBudget(rate=200.0, burst=20, concurrency=16), 400),
        (HostBudget(rate=None, burst=1, concurrency=4), 1_024),
        (HostBudget(rate=1.0, burst=1, concurrency=2_000), 2_000),
    ],
)
def test_a_group_may_hold_enough_to_stay_busy(budget: HostBudget, room: int) -> None:
    assert ask(frontier_of(budget)).default_room == room


def test_an_empty_manifest_is_not_asked_again_until_it_is_stirred() -> None:
    frontier = frontier_of()
    frontier.fed(ask(frontier), [], 0.0)
    assert frontier.wants() is None
    frontier.stirred()
    assert ask(frontier).default_room > 0


def test_a_full_frontier_is_not_hungry() -> None:
    frontier = frontier_of(capacity=3)
    jobs = [job_of(number, f"g{number}") for number in range(3)]
    frontier.fed(ask(frontier), jobs, 0.0)
    assert not frontier.hungry
    assert frontier.wants() is None
    end(frontier, started(frontier.next(0.0)), 0.0)
    assert ask(frontier).limit == 1


def test_a_group_makes_hungry_at_half_of_itsquota() -> None:
    frontier = frontier_of(capacity=3_000)
    jobs = [job_of(number, group) for group in ("a", "b") for number in range(1_024)]
    frontier.fed(ask(frontier), jobs, 0.0)
    frontier.cool_down("a", 1.0, 0.0)
    assert frontier.wants() is None
    for settled in range(1, 513):
        end(frontier, started(frontier.next(0.0)), 0.0)
        assert frontier.hungry == (settled == 512)
    assert ask(frontier).room == {"a": 0, "b": 512}


def test_a_group_that_ends_in_one_batch_is_asked_for_again() -> None:
    """It holds nothing then, but is no stranger, and strangers are known to have nothing."""
    frontier = frontier_of(HostBudget(rate=None, burst=1, concurrency=4), capacity=4_000)
    frontier.fed(ask(frontier), [job_of(number) for number in range(1_024)], 0.0)
    frontier.fed(ask(frontier), [], 0.0)
    assert frontier.wants() is None
    while isinstance(decision := frontier.next(0.0), Dispatch):
        end(frontier, decision.job, 0.0)
    assert frontier.held == 0
    request = ask(frontier)
    assert request.default_room == 0
    assert request.room == {"a": 1_024}


def test_what_is_stirred_up_during_a_lease_is_asked_for_by_the_next() -> None:
    frontier = frontier_of()
    request = ask(frontier)
    frontier.stirred()
    frontier.fed(request, [], 0.0)
    assert ask(frontier).default_room > 0


def test_adopted_assets_count_as_brought() -> None:
    frontier = frontier_of(capacity=10)
    frontier.fed(ask(frontier), [], 0.0, adopted=[job_of(number) for number in range(10)])
    assert frontier.hungry
    assert ask(frontier).default_room > 0


def test_a_lease_that_gave_up_early_says_nothing_of_what_it_did_not_bring() -> None:
    frontier = frontier_of()
    frontier.fed(ask(frontier), [job_of(1)], 0.0)
    frontier.fed(ask(frontier), [job_of(2)], 0.0, exhausted=False)
    request = ask(frontier)
    assert request.room == {"a": 1_022}
    assert request.default_room > 0


def test_a_job_that_awaits_an_origin_is_held_and_nothing_else() -> None:
    frontier = frontier_of()
    jobs = [job_of(1), job_of(2)]
    jobs[0].awaits = "https://a.example"
    for job in jobs:
        frontier.add(job, 0.0)
    assert numbers(all_that_start(frontier, 0.0)) == [2]
    end(frontier, jobs[1], 0.0)
    assert (frontier.held, frontier.slots_taken) == (1, 0)
    assert isinstance(frontier.next(1e9), Idle)
    assert frontier.release("https://b.example") == []
    assert numbers(frontier.release("https://a.example")) == [1]
    assert isinstance(frontier.next(1e9), Drained)


def test_what_comes_first_or_later_does() -> None:
    frontier = frontier_of()
    frontier.add(job_of(1), 0.0)
    frontier.add(job_of(2), 0.0, first=True)
    frontier.add(job_of(3), 0.0, first=True, due=5.0)
    assert numbers(all_that_start(frontier, 0.0)) == [2, 1]
    assert frontier.next(0.0) == WaitUntil(5.0)
    assert numbers(all_that_start(frontier, 5.0)) == [3]


def test_withdrawn_jobs_leave_nothing_behind_but_what_is_under_way() -> None:
    frontier = frontier_of(HostBudget(rate=None, burst=1, concurrency=1))
    for number in range(3):
        frontier.add(job_of(number), 0.0)
    job = started(frontier.next(0.0))
    assert sorted(numbers(frontier.withdraw())) == [1, 2]
    assert frontier.held == frontier.slots_taken == 1
    assert isinstance(frontier.next(0.0), Idle)
    end(frontier, job, 1.0)
    assert isinstance(frontier.next(1.0), Drained)


# Forgetting.


class ForgetfulFrontier(Frontier):
    FORGET_ABOVE = 1


def test_a_group_that_may_have_more_is_not_forgotten_by_the_leases() -> None:
    frontier = frontier_of(kind=ForgetfulFrontier, capacity=4_000)
    frontier.fed(ask(frontier), [job_of(number) for number in range(1_024)], 0.0)
    frontier.fed(ask(frontier), [], 0.0)
    while isinstance(decision := frontier.next(0.0), Dispatch):
        end(frontier, decision.job, 0.0)
    frontier.cool_down("b", 1.0, 0.0)
    assert "a" not in frontier._groups
    assert ask(frontier).default_room == 1_024


def test_a_group_that_is_cooling_down_is_not_forgotten() -> None:
    frontier = frontier_of(kind=ForgetfulFrontier)
    frontier.cool_down("a", 100.0, 0.0)
    for number in range(50):
        frontier.add(job_of(number, f"g{number}"), 0.0)
        end(frontier, started(frontier.next(0.0)), 0.0)
    frontier.add(job_of(99, "a"), 1.0)
    assert frontier.next(1.0) == WaitUntil(100.0)


def test_groups_do_not_pile_up() -> None:
    frontier = frontier_of()
    for number in range(3 * Frontier.FORGET_ABOVE):
        frontier.add(job_of(number, f"g{number}"), 0.0)
        end(frontier, started(frontier.next(0.0)), 0.0)
        assert len(frontier._groups) <= Frontier.FORGET_ABOVE


# Cost.


class CountingFrontier(Frontier):
    """Counts how often a group is looked at, and the leases, which look at all groups once."""

    looks = requests = 0

    def _settle_place(self, group: Group, now: float) -> None:
        self.looks += 1
        super()._settle_place(group, now)

    def _forget_idle(self, now: float) -> None:
        self.looks += len(self._groups)
        super()._forget_idle(now)

    def wants(self) -> LeaseRequest | None:
        request = super().wants()
        self.requests += request is not None
        return request


class CountingManifest:
    """As many assets as asked for, going round the groups."""

    def __init__(self, total: int, groups: int) -> None:
        self._left = {f"g{group}": total // groups for group in range(groups)}
        self._number = 0

    def lease(self, request: LeaseRequest) -> list[Job]:
        jobs: list[Job] = []
        for group, left in list(self._left.items()):
            room = min(left, request.room.get(group, request.default_room))
            for _ in range(min(room, request.limit - len(jobs))):
                self._number += 1
                jobs.append(job_of(self._number, group))
                self._left[group] -= 1
            if not self._left[group]:
                del self._left[group]
            if len(jobs) == request.limit:
                break
        return jobs


@pytest.mark.parametrize(("total", "groups"), [(20_000, 1), (100_000, 1_000), (10_000, 10_000)])
def test_a_job_costs_a_few_looks_whatever_the_number_of_groups(total: int, groups: int) -> None:
    """The whole way of all of them on a virtual clock; a tenth is tried twice."""
    budget = HostBudget(rate=50.0, burst=5, concurrency=2)
    frontier = CountingFrontier(
        concurrency=64, memory=10**9, capacity=10_000, budget_of=lambda _: budget
    )
    manifest = CountingManifest(total, groups)
    now, settled, waits = 0.0, 0, 0
    while settled < total:
        while (request := frontier.wants()) is not None:
            frontier.fed(request, manifest.lease(request), now)
        jobs = all_that_start(frontier, now)
        for job in jobs:
            frontier.finished(job, 10, now)
            if job.attempt == 1 and job.asset.asset_id % 10 == 0:
                job.attempt = 2
                frontier.retry(job, now + 1.0, now)
            else:
                frontier.settled(job)
                settled += 1
        if not jobs:
            decision = frontier.next(now)
            assert isinstance(decision, WaitUntil)
            assert decision.at > now
            now = decision.at
            waits += 1
    assert isinstance(frontier.next(now), Drained)
    assert waits <= 2 * total
    assert frontier.looks <= 8 * total
    assert frontier.requests <= total / 8
    assert len(frontier._timers) <= groups

"""The frontier against a model that knows nothing of rings, timers and heaps.

The model looks at everything each time. What it says may start, the frontier has to start; what it
says may not, the frontier must not; and when nothing may start before some time, that is the time
that the frontier has to name. (What failures do to a group's limits it asks of the same policies,
``adapt`` and ``breaker``: these have laws of their own.) At the end of each story the run is
brought to its end, as the engine would: no asset may be left behind, in the frontier or in the
manifest.
"""

from __future__ import annotations

import math
from itertools import count

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from fetcher.model import Asset, Expectation, Fault, HostBudget, LeaseRequest
from fetcher.policy.frontier import Dispatch, Drained, Frontier, Idle, WaitUntil
from fetcher.policy.groups import Job, Leave
from fetcher.policy.turns import PATIENCE, Send, TurnBack
from tests.policy.side import BREAKER, EPSILON, Side

CONCURRENCY, MEMORY, CAPACITY = 6, 100, 24
MEMORY_OF_JOBS = [0, 10, 40, 60, 150]

BUDGETS = {
    "plain": HostBudget(rate=None, burst=1, concurrency=3),
    "paced": HostBudget(rate=2.0, burst=3, concurrency=4),
    "single": HostBudget(rate=10.0, burst=1, concurrency=1),
    "narrow": HostBudget(rate=None, burst=1, concurrency=2, bandwidth=100.0),
    "both": HostBudget(rate=4.0, burst=2, concurrency=2, bandwidth=1_000.0),
    "wary": HostBudget(rate=None, burst=1, concurrency=6, adapt=True),
    "paced and wary": HostBudget(rate=20.0, burst=3, concurrency=5, adapt=True),
}
FAULTS = st.sampled_from(
    [
        Fault("rate-limited", http_status=429),
        Fault("rate-limited", http_status=429),
        Fault("http-5xx", http_status=503),
        Fault("stalled"),
        Fault("connection-reset"),
        Fault("dns-failure"),
        Fault("http-404", http_status=404),
        Fault("http-403", http_status=403),
        Fault("no-route"),
    ]
)
NAMES = st.sampled_from(sorted(BUDGETS))
STEPS = st.one_of(st.sampled_from([0.0, 0.1, 0.25, 0.505, 1.0]), st.floats(0.0, 3.0))
ORIGINS = st.sampled_from(["", "", "o1", "o2"])
DELAYS = st.one_of(st.just(-1.0), STEPS)
RECEIVED = st.sampled_from([0, 0, 50, 1_000])


class FrontierMachine(RuleBasedStateMachine):
    """One engine, one manifest, and whatever can happen between them."""

    frontier_type: type[Frontier] = Frontier
    budgets = BUDGETS

    def __init__(self) -> None:
        super().__init__()
        self.now = 1_000.0
        self.frontier = self.frontier_type(
            concurrency=CONCURRENCY,
            memory=MEMORY,
            capacity=CAPACITY,
            budget_of=lambda name: self.budgets.get(name, BUDGETS["single"]),
            breaker=BREAKER,
        )
        self.sides = {name: Side(budget) for name, budget in self.budgets.items()}
        self.numbers = count(1)
        self.paused_until = -math.inf
        self.running: dict[int, Job] = {}
        self.sent_on: set[int] = set()
        """Jobs that a redirect brought to where they are ready, or that were turned back: they go
        before all others.
        """
        self.ended: dict[int, Job] = {}
        self.lease: tuple[LeaseRequest, list[Job], bool] | None = None
        self.imported = self.settled = self.turn = 0

    @initialize(numbers=st.lists(st.integers(0, 12), min_size=len(BUDGETS), max_size=len(BUDGETS)))
    def a_run_begins(self, numbers: list[int]) -> None:
        for name, number in zip(self.sides, numbers, strict=True):
            self.rows_are_imported(name, number)
        self.the_feeder_has_its_way(0, 1_000)
        self.the_engine_starts_all_it_can()

    # The manifest, and the feeder.

    @rule(name=NAMES, number=st.integers(1, 20))
    def rows_are_imported(self, name: str, number: int) -> None:
        self.sides[name].pending += number
        self.imported += number
        self.frontier.stirred()

    @precondition(lambda self: self.lease is None and self.frontier.hungry)
    @rule(patience=st.sampled_from([1_000, 3]))
    def a_lease_is_asked_for(self, patience: int) -> None:
        request = self.frontier.wants()
        assert request is not None
        assert 0 < request.limit == CAPACITY - self.held
        most = min(request.limit, patience)
        room = {name: request.room.get(name, request.default_room) for name in self.sides}
        jobs: list[Job] = []
        while len(jobs) < most:
            free = [name for name, side in self.sides.items() if room[name] > 0 < side.pending]
            if not free:
                break
            self.turn += 1
            name = free[self.turn % len(free)]
            room[name] -= 1
            self.sides[name].pending -= 1
            jobs.append(self.job(name))
        self.lease = request, jobs, len(jobs) < most

    @precondition(lambda self: self.lease is None and self.frontier.hungry)
    @rule(name=NAMES, number=st.integers(1, 20))
    def rows_are_imported_during_a_lease(self, name: str, number: int) -> None:
        self.a_lease_is_asked_for(1_000)
        self.rows_are_imported(name, number)
        self.the_lease_arrives(0)

    def job(self, group: str) -> Job:
        number = next(self.numbers)
        host = f"{group}.example"
        asset = Asset(number, str(number), "", f"https://{host}/{number}", host, Expectation())
        return Job(asset, group, MEMORY_OF_JOBS[number % len(MEMORY_OF_JOBS)], attempt=1)

    @precondition(lambda self: self.lease is not None)
    @rule(adopt=st.sampled_from([0, 0, 1, 1_000]), origin=ORIGINS)
    def the_lease_arrives(self, adopt: int, origin: str = "") -> None:
        assert self.lease is not None
        request, jobs, exhausted = self.lease
        self.lease = None
        adopted, fresh = jobs[:adopt], jobs[adopt:]
        self.settled += len(adopted)
        for job in fresh:
            job.awaits = origin if job.asset.asset_id % 2 else ""
            side = self.heard_of(job.home)
            (side.aside if job.awaits else side.ready)[job.asset.asset_id] = job
        self.frontier.fed(request, fresh, self.now, adopted=adopted, exhausted=exhausted)

    @precondition(lambda self: self.lease is None)
    @rule(adopt=st.sampled_from([0, 0, 1_000]), patience=st.sampled_from([1_000, 3]))
    def the_feeder_has_its_way(self, adopt: int, patience: int) -> None:
        """Asking comes to an end: at most three leases in a row bring nothing."""
        in_vain = 0
        while self.frontier.hungry:
            self.a_lease_is_asked_for(patience)
            assert self.lease is not None
            in_vain = 0 if self.lease[1] else in_vain + 1
            assert in_vain <= 3
            self.the_lease_arrives(adopt)
        assert self.frontier.wants() is None

    def heard_of(self, name: str) -> Side:
        side = self.sides[name]
        side.heard_of(self.now)
        return side

    # The engine.

    @rule()
    def the_engine_asks(self) -> None:
        decision = self.frontier.next(self.now)
        if isinstance(decision, Send | TurnBack):
            self.its_turn_has_come(decision)
            return
        turn, pause = self.next_turn, self.paused_until - self.now
        if 0 < pause <= PATIENCE:
            assert decision == WaitUntil(self.paused_until)
            return
        assert turn > self.now - EPSILON
        if self.now < self.paused_until:
            assert isinstance(decision, WaitUntil)
            assert abs(decision.at - min(self.paused_until, turn)) <= EPSILON
        elif not self.held:
            assert isinstance(decision, Drained)
        elif self.slots >= CONCURRENCY:
            assert (turn < math.inf) == isinstance(decision, WaitUntil)
            assert isinstance(decision, Idle | WaitUntil)
        elif isinstance(decision, Dispatch):
            self.starts(decision.job)
        else:
            self.nothing_may_start(decision)

    def starts(self, job: Job) -> None:
        side = self.sides[job.group]
        assert job.asset.asset_id in side.candidates(self.now)
        assert side.ripe_at(self.now) <= self.now + EPSILON
        assert not self.memory or self.memory + job.memory <= MEMORY
        assert job.asked == self.now
        assert job.hops or job.started == self.now
        assert job.asset.asset_id in self.sent_on or not self.sent_on & side.ready.keys()
        self.sent_on.discard(job.asset.asset_id)
        side.start(job, self.now)
        self.running[job.asset.asset_id] = job

    @property
    def next_turn(self) -> float:
        return min((side.turn_at for side in self.sides.values() if side.asking), default=math.inf)

    def its_turn_has_come(self, decision: Send | TurnBack) -> None:
        job = decision.job
        key, side = job.asset.asset_id, self.sides[job.group]
        assert side.turn_at <= self.now + EPSILON
        assert next(iter(side.asking)) == key
        del side.asking[key]
        if isinstance(decision, Send):
            assert self.now >= max(side.left_alone_until, self.paused_until)
            assert job.leave is Leave.GIVEN
            side.leave[key] = job
            return
        too_long = self.paused_until - self.now > PATIENCE
        assert too_long or (self.now < side.left_alone_until and self.now >= self.paused_until)
        del self.running[key]
        side.in_flight -= 1
        where = job.url, job.group, job.hops
        self.frontier.turned_back(job, self.now)
        assert (job.url, job.group, job.hops) == where
        side.ready[key] = job
        self.sent_on.add(key)

    def nothing_may_start(self, decision: object) -> None:
        ripe = {name: side.ripe_at(self.now) for name, side in self.sides.items()}
        earliest, turn = min(ripe.values()), self.next_turn
        if isinstance(decision, WaitUntil):
            assert self.now < decision.at
            first = min(earliest, turn)
            if first - EPSILON <= decision.at <= max(first, self.now) + EPSILON:
                return
            # What is ripe has to wait for memory, and a turn comes meanwhile.
            assert abs(decision.at - turn) <= EPSILON
        else:
            assert isinstance(decision, Idle)
            assert turn == math.inf
        if earliest < math.inf:
            assert self.memory
            assert any(
                self.memory + job.memory > MEMORY
                for name, side in self.sides.items()
                if ripe[name] <= self.now + EPSILON
                for job in side.candidates(self.now).values()
            )

    @rule()
    def the_engine_starts_all_it_can(self) -> None:
        before = (-1, -1)
        while before != (before := (len(self.running), len(self.unsent(Leave.ASKED_FOR)))):
            self.the_engine_asks()

    def unsent(self, leave: Leave) -> list[int]:
        return sorted(key for key, job in self.running.items() if job.leave is leave)

    @precondition(lambda self: self.unsent(Leave.GIVEN))
    @rule(data=st.data())
    def a_request_is_sent(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(self.unsent(Leave.GIVEN)))
        job = self.running[key]
        self.frontier.sent(job, self.now)
        self.sides[job.group].is_sent(key, self.now)

    @precondition(lambda self: self.unsent(Leave.GIVEN))
    @rule(data=st.data())
    def a_request_has_to_wait_for_its_connection(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(self.unsent(Leave.GIVEN)))
        job = self.running[key]
        self.frontier.put_off(job, self.now)
        del self.sides[job.group].leave[key]

    @precondition(lambda self: self.unsent(Leave.PUT_OFF))
    @rule()
    def all_connections_are_there_at_once(self) -> None:
        for key in self.unsent(Leave.PUT_OFF):
            job = self.running[key]
            self.frontier.asks_for_leave(job, self.now)
            self.sides[job.group].asking[key] = job

    @precondition(lambda self: self.running)
    @rule(data=st.data(), received=RECEIVED)
    def a_request_ends(self, data: st.DataObject, received: int) -> None:
        self.ends(data.draw(st.sampled_from(sorted(self.running))), received)

    @precondition(lambda self: self.running)
    @rule(data=st.data(), received=RECEIVED, delay=DELAYS, fault=FAULTS)
    def a_request_fails(
        self, data: st.DataObject, received: int, delay: float, fault: Fault
    ) -> None:
        key = data.draw(st.sampled_from(sorted(self.running)))
        self.ends(key, received, fault)
        self.retries(key, delay)

    @precondition(lambda self: self.running)
    @rule(delay=DELAYS, fault=FAULTS)
    def all_fail_together(self, delay: float, fault: Fault) -> None:
        for key in list(self.running):
            self.ends(key, 0, fault)
            self.retries(key, delay)

    def ends(self, key: int, received: int, fault: Fault | None = None) -> None:
        job = self.ended[key] = self.running.pop(key)
        side = self.sides[job.group]
        side.is_sent(key, self.now)
        side.asking.pop(key, None)
        side.end(job, fault, self.now)
        if side.budget.bandwidth is not None:
            took = received / side.budget.bandwidth
            side.owed_until = max(side.owed_until, job.asked) + took
        self.frontier.finished(job, received, self.now, fault)

    @precondition(lambda self: self.ended)
    @rule(data=st.data())
    def it_is_settled(self, data: st.DataObject) -> None:
        self.settles(data.draw(st.sampled_from(sorted(self.ended))))

    @precondition(lambda self: self.ended)
    @rule()
    def all_are_settled_in_one_batch(self) -> None:
        for key in list(self.ended):
            self.settles(key)

    def settles(self, key: int) -> None:
        self.settled += 1
        self.frontier.settled(self.ended.pop(key))

    @precondition(lambda self: self.ended)
    @rule(data=st.data(), delay=DELAYS)
    def it_is_to_be_tried_again(self, data: st.DataObject, delay: float) -> None:
        self.retries(data.draw(st.sampled_from(sorted(self.ended))), delay)

    def retries(self, key: int, delay: float) -> None:
        job = self.ended.pop(key)
        self.frontier.retry(job, self.now + delay, self.now)
        assert (job.url, job.group, job.hops) == (job.asset.url, job.home, 0)
        self.heard_of(job.home).waiting[key] = (self.now + delay, job)

    @precondition(lambda self: self.running)
    @rule(data=st.data(), name=NAMES, origin=ORIGINS)
    def a_request_leads_elsewhere(self, data: st.DataObject, name: str, origin: str) -> None:
        key = data.draw(st.sampled_from(sorted(self.running)))
        self.ends(key, 0)
        job = self.ended.pop(key)
        hops = job.hops
        job.awaits = origin
        self.frontier.redirected(job, "https://elsewhere.example/", name, self.now)
        assert (job.url, job.group, job.hops) == ("https://elsewhere.example/", name, hops + 1)
        if origin:
            self.heard_of(name).aside[key] = job
            return
        self.heard_of(name).ready[key] = job
        self.sent_on.add(key)

    @rule(origin=ORIGINS, ends=st.sampled_from([0, 0, 1, 1_000]))
    def an_origin_is_known(self, origin: str, ends: int) -> None:
        """The first ``ends`` of the jobs that await it may not go on."""
        awaiting = {
            key
            for side in self.sides.values()
            for key, job in side.aside.items()
            if job.awaits == origin
        }
        released = self.frontier.release(origin)
        assert {job.asset.asset_id for job in released} == awaiting
        for job in released:
            del self.sides[job.group].aside[job.asset.asset_id]
            assert not job.awaits
        self.settled += len(released[:ends])
        for job in released[ends:]:
            key = job.asset.asset_id
            self.sides[job.group].ready[key] = job
            if job.hops:
                self.sent_on.add(key)
            self.frontier.add(job, self.now, first=job.hops > 0)

    @rule(name=NAMES, seconds=STEPS)
    def a_host_wants_to_be_left_alone(self, name: str, seconds: float) -> None:
        self.frontier.cool_down(name, self.now + seconds, self.now)
        side = self.heard_of(name)
        if self.now + seconds > side.cool_until:
            side.cool_until = self.now + seconds
            side.adaptive.obeyed(side.cool_until, self.now)

    @rule(
        seconds=STEPS | st.floats(PATIENCE, 2 * PATIENCE),
        gives_up=st.sampled_from([False, False, False, True]),
    )
    def a_fault_of_our_own_side(self, seconds: float, gives_up: bool) -> None:  # noqa: FBT001
        if gives_up:
            self.the_frontier_is_emptied()
            return
        self.frontier.pause(self.now + seconds)
        self.paused_until = max(self.paused_until, self.now + seconds)

    def the_frontier_is_emptied(self) -> None:
        taken = self.frontier.withdraw()
        in_line = {
            key for side in self.sides.values() for key in (*side.ready, *side.waiting, *side.aside)
        }
        assert sorted(job.asset.asset_id for job in taken) == sorted(in_line)
        self.sent_on -= in_line
        for side in self.sides.values():
            side.ready.clear()
            side.waiting.clear()
            side.aside.clear()
        for job in taken:
            self.sides[job.home].pending += 1
        self.frontier.stirred()

    @rule(seconds=STEPS)
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def time_passes_until_something_may_start(self) -> None:
        self.the_engine_starts_all_it_can()
        decision = self.frontier.next(self.now)
        if isinstance(decision, WaitUntil):
            self.now = decision.at

    # What holds at every instant.

    @property
    def under_way(self) -> list[Job]:
        return [*self.running.values(), *self.ended.values()]

    @property
    def slots(self) -> int:
        return len(self.under_way)

    @property
    def memory(self) -> int:
        return sum(job.memory for job in self.under_way)

    @property
    def held(self) -> int:
        waiting = sum(side.in_line + len(side.aside) for side in self.sides.values())
        return self.slots + waiting

    def held_by(self, name: str) -> int:
        side = self.sides[name]
        return side.in_line + len(side.aside) + sum(job.group == name for job in self.under_way)

    @invariant()
    def the_books_agree(self) -> None:
        assert self.frontier.held == self.held
        assert self.frontier.slots_taken == self.slots
        assert self.frontier.memory_taken == self.memory
        assert {
            group.name: (group.in_flight, group.ready + group.waiting)
            for group in self.frontier.status(self.now)
        } == {
            name: (side.in_flight, side.in_line)
            for name, side in self.sides.items()
            if self.held_by(name)
        }

    @invariant()
    def budgets_are_kept(self) -> None:
        assert self.slots <= CONCURRENCY
        assert self.memory <= MEMORY or sum(job.memory > 0 for job in self.under_way) == 1
        for side in self.sides.values():
            assert side.in_flight <= side.budget.concurrency

    @invariant()
    def nothing_is_lost(self) -> None:
        pending = sum(side.pending for side in self.sides.values())
        leased = len(self.lease[1]) if self.lease is not None else 0
        assert self.imported == pending + leased + self.held + self.settled

    @invariant()
    def who_could_be_given_more_is_not_forgotten(self) -> None:
        if self.lease is not None or self.held >= CAPACITY:
            return
        for name, side in self.sides.items():
            held = self.held_by(name)
            known_or_looked_for = held or 2 * self.held <= CAPACITY
            if side.pending and known_or_looked_for and 2 * held <= side.quota:
                assert self.frontier.hungry

    def teardown(self) -> None:
        """The run is brought to its end. Each wait has to end in a start."""
        if self.lease is not None:
            self.the_lease_arrives(0)
        while True:
            self.the_feeder_has_its_way(0, 3)
            for origin in ("o1", "o2"):
                self.an_origin_is_known(origin, 1)
            self.the_engine_starts_all_it_can()
            decision = self.frontier.next(self.now)
            self.the_books_agree()
            if self.slots:
                for key in list(self.running):
                    self.ends(key, 50)
                self.all_are_settled_in_one_batch()
            elif isinstance(decision, WaitUntil):
                self.now = decision.at
                self.the_engine_asks()
                assert self.running or self.now == self.paused_until
            else:
                break
        assert isinstance(decision, Drained)
        assert self.settled == self.imported


class ForgetfulFrontier(Frontier):
    FORGET_ABOVE = 1


class ForgetfulMachine(FrontierMachine):
    """A bucket that was forgotten comes back with a single token. Where a bucket never holds more,
    and nothing fails, forgetting must be invisible.
    """

    frontier_type = ForgetfulFrontier
    budgets = {  # noqa: RUF012  a constant, as in the base
        name: HostBudget(budget.rate, 1, budget.concurrency, budget.bandwidth)
        for name, budget in BUDGETS.items()
    }

    def ends(self, key: int, received: int, fault: Fault | None = None) -> None:  # noqa: ARG002
        super().ends(key, received)


FrontierMachine.TestCase.settings = settings(
    max_examples=150, stateful_step_count=50, deadline=None
)
ForgetfulMachine.TestCase.settings = FrontierMachine.TestCase.settings
TestFrontier = FrontierMachine.TestCase
TestForgetfulFrontier = ForgetfulMachine.TestCase

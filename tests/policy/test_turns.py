"""Law 4 counted at the moment of sending, whatever comes between a decision and that moment."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fetcher.model import Asset, Expectation, Fault, HostBudget
from fetcher.policy.frontier import Decision, Dispatch, Frontier, WaitUntil
from fetcher.policy.groups import Job, Leave
from fetcher.policy.limits import HEADROOM, Pace
from fetcher.policy.turns import PATIENCE, Send, TurnBack
from tests.policy.test_limits import BEGINNINGS, BURSTS, GAPS, RATES, assert_law_4

# The bucket.


@dataclass
class Requests:
    """Of one bucket, as far as they have come. Who sends is far away: it tells later."""

    pace: Pace
    now: float
    leave: list[int] = field(default_factory=list)
    put_off: list[int] = field(default_factory=list)
    asking: list[int] = field(default_factory=list)
    untold: list[int] = field(default_factory=list)
    sent_at: list[float] = field(default_factory=list)
    begun: int = 0

    def begin(self) -> None:
        if self.pace.ready_at() <= self.now and self.begun < 300:
            to = self.leave if self.pace.begin(self.now) else self.put_off
            to.append(self.begun)
            self.begun += 1

    def step(self, what: str, which: int) -> None:
        """Of the requests that can, one takes this step."""
        match what:
            case "begin":
                self.begin()
            case "put off" if self.leave:
                self.put_off.append(self.leave.pop(which % len(self.leave)))
                self.pace.put_off()
            case "ask" if self.put_off:
                self.asking.append(self.put_off.pop(which % len(self.put_off)))
                self.pace.ask()
            case "give leave" if self.asking and self.pace.turn_at() <= self.now:
                self.leave.append(self.asking.pop(which % len(self.asking)))
                self.pace.give_leave()
            case "send" if self.leave:
                self.untold.append(self.leave.pop(which % len(self.leave)))
                self.sent_at.append(self.now)
            case "tell" if self.untold:
                self.untold.pop(which % len(self.untold))
                self.pace.sent(self.now)
            case "give up" if self.asking:
                self.asking.pop(which % len(self.asking))
                self.pace.stop_asking()


WAYS = ["begin", "put off", "ask", "give leave", "send", "tell", "give up"]
STEPS = st.lists(
    st.tuples(
        GAPS,
        st.lists(
            st.tuples(
                st.sampled_from(WAYS),
                st.integers(0, 20),
            ),
            max_size=12,
        ),
    ),
    max_size=40,
)


@given(RATES, BURSTS, BEGINNINGS, STEPS)
def test_law_4_holds_when_requests_are_sent_whenever_they_like(
    rate: float, burst: int, beginning: float, steps: list[tuple[float, list[tuple[str, int]]]]
) -> None:
    requests = Requests(Pace(rate, burst, beginning), beginning)
    for gap, taken in steps:
        requests.now += gap
        for what, which in taken:
            requests.step(what, which)
    for _ in range(len(requests.leave)):
        requests.step("send", 0)
    assert_law_4(requests.sent_at, rate, burst)


@given(
    RATES, BURSTS, BEGINNINGS, st.lists(st.tuples(st.floats(0.0, 3.0), st.booleans()), max_size=60)
)
def test_law_4_holds_when_all_who_are_ready_are_sent_at_once(
    rate: float, burst: int, beginning: float, turns: list[tuple[float, bool]]
) -> None:
    """The worst that look-ups can do: in each gap all is begun that may be, and nothing is sent."""
    requests = Requests(Pace(rate, burst, beginning), beginning)
    for gap, put_off in turns:
        requests.now += gap / rate * burst
        for _ in range(2 * burst):
            requests.step("begin", 0)
            if put_off:
                requests.step("put off", 0)
        if gap > 1:
            for _ in range(2 * burst):
                for what in ("ask", "give leave", "send", "tell"):
                    requests.step(what, 0)
    assert_law_4(requests.sent_at, rate, burst)


@given(st.floats(0.5, 500.0), BURSTS, st.floats(0.0, 40.0))
def test_nothing_of_the_rate_is_lost_to_slow_connections(
    rate: float, burst: int, intervals: float
) -> None:
    """Each takes as long to open, and as many are being opened as it takes."""
    requests = Requests(Pace(rate, burst, 0.0), 0.0)
    opening: list[float] = []
    while len(requests.sent_at) < 200:
        while opening and opening[0] <= requests.now:
            opening.pop(0)
            requests.step("ask", 0)
        for _ in range(len(requests.asking)):
            for what in ("give leave", "send", "tell"):
                requests.step(what, 0)
        begun = requests.begun
        requests.begin()
        if requests.begun > begun:
            requests.step("put off", 0)
            opening.append(requests.now + intervals / rate)
            continue
        pace = requests.pace
        turn = pace.turn_at() if requests.asking else math.inf
        requests.now = max(requests.now, min(pace.ready_at(), turn, *opening[:1]))
    sent = requests.sent_at
    assert_law_4(sent, rate, burst)
    used = (len(sent) - burst) / (sent[-1] - sent[0])
    assert used == pytest.approx(rate / (1 + HEADROOM), rel=0.02, abs=burst / (sent[-1] - sent[0]))


def test_a_bucket_of_one_waits_until_it_is_told() -> None:
    pace = Pace(10.0, 1, 0.0)
    assert pace.begin(0.0)
    assert pace.turn_at() == math.inf
    assert not pace.begin(5.0)
    pace.ask()
    pace.sent(7.0)
    assert pace.turn_at() == pytest.approx(7.0 + 0.1 * (1 + HEADROOM))
    assert pace.ready_at() == pytest.approx(7.0 + 0.2 * (1 + HEADROOM))


# The frontier.

BUDGET = HostBudget(rate=5.0, burst=2, concurrency=8)


def frontier(count: int, *, concurrency: int = 100) -> tuple[Frontier, list[Job]]:
    """With ``count`` assets of one group, whose bucket is full at second 10."""
    made = Frontier(
        concurrency=concurrency, memory=1 << 20, capacity=100, budget_of=lambda _: BUDGET
    )
    jobs = []
    for n in range(count):
        asset = Asset(n, str(n), "", f"http://h.test/{n}", "h.test", Expectation())
        jobs.append(Job(asset, "h.test", 0, attempt=1))
        made.add(jobs[-1], 0.0)
    return made, jobs


def decisions(on: Frontier, now: float) -> list[Decision]:
    made: list[Decision] = []
    while isinstance(decision := on.next(now), Dispatch | Send | TurnBack):
        made.append(decision)
    return made


def leave(job: Job) -> Leave:
    return job.leave


def test_who_is_put_off_waits_for_leave_and_others_go_first() -> None:
    on, (first, second, *_) = frontier(4)
    assert decisions(on, 10.0) == [Dispatch(first), Dispatch(second)]
    assert leave(first) is leave(second) is Leave.GIVEN
    on.put_off(first, 10.0)
    on.sent(second, 10.0)
    on.asks_for_leave(first, 10.0)
    assert decisions(on, 10.0) == [Send(first)]
    assert leave(first) is Leave.GIVEN
    on.sent(first, 10.0)
    assert leave(first) is Leave.NEEDS_NONE


def test_what_becomes_ready_all_at_once_is_sent_one_by_one_before_more_comes_to_it() -> None:
    on, _ = frontier(9)
    now, began = 10.0, list[Job]()
    while len(began) < 6:
        for decision in decisions(on, now):
            assert isinstance(decision, Dispatch)
            on.put_off(decision.job, now)
            began.append(decision.job)
        now += 0.1
    for job in began:
        on.asks_for_leave(job, now)
    sent: list[tuple[float, Job]] = []
    while not isinstance(decision := on.next(now), Dispatch):
        if isinstance(decision, WaitUntil):
            now = decision.at
            continue
        assert isinstance(decision, Send)
        on.sent(decision.job, now)
        sent.append((now, decision.job))
    assert [job for _, job in sent] == began
    assert_law_4([at for at, _ in sent], 5.0, BUDGET.burst)
    assert leave(decision.job) is Leave.PUT_OFF


def test_a_turn_comes_though_all_slots_are_taken() -> None:
    """Who waits for its turn is who has them."""
    on, (first, second, *_) = frontier(4, concurrency=2)
    decisions(on, 10.0)
    for job in (first, second):
        on.put_off(job, 10.0)
        on.asks_for_leave(job, 10.0)
    assert decisions(on, 10.0) == [Send(first), Send(second)]


def test_who_asks_while_the_host_wants_to_be_left_alone_is_turned_back() -> None:
    on, (first, *_) = frontier(2)
    decisions(on, 10.0)
    on.put_off(first, 10.0)
    on.cool_down("h.test", 100.0, 10.0)
    on.asks_for_leave(first, 10.0)
    assert decisions(on, 10.0) == [TurnBack(first)]
    on.turned_back(first, 10.0)
    assert (on.slots_taken, leave(first)) == (1, Leave.NEEDS_NONE)
    assert on.next(10.0) == WaitUntil(100.0)
    assert on.next(100.0) == Dispatch(first)


def test_who_is_turned_back_on_its_way_goes_on_from_there() -> None:
    """Who led it there is not asked again, and the line there is behind it."""
    on, (first, *_) = frontier(1)
    decisions(on, 10.0)
    on.sent(first, 10.0)
    on.finished(first, 0, 10.0)
    other = Asset(7, "7", "", "http://there.test/7", "there.test", Expectation())
    on.add(Job(other, "there.test", 0, attempt=1), 10.0)
    on.redirected(first, "http://there.test/0", "there.test", 10.0)
    assert decisions(on, 10.0) == [Dispatch(first)]
    on.put_off(first, 10.0)
    on.asks_for_leave(first, 10.0)
    on.cool_down("there.test", 100.0, 10.0)
    assert decisions(on, 10.0) == [TurnBack(first)]
    on.turned_back(first, 10.0)
    assert (first.url, first.group, first.hops) == ("http://there.test/0", "there.test", 1)
    assert decisions(on, 99.0) == []
    assert decisions(on, 100.0)[0] == Dispatch(first)


def test_nobody_is_sent_during_a_pause_of_ours() -> None:
    on, (first, *_) = frontier(2)
    decisions(on, 10.0)
    on.put_off(first, 10.0)
    on.asks_for_leave(first, 10.0)
    on.pause(10.0 + PATIENCE)
    assert on.next(10.0) == WaitUntil(10.0 + PATIENCE)
    assert on.next(10.0 + PATIENCE) == Send(first)


def test_who_would_have_to_wait_for_the_end_of_a_long_pause_is_turned_back() -> None:
    on, (first, second, *_) = frontier(2)
    decisions(on, 10.0)
    on.put_off(first, 10.0)
    on.asks_for_leave(first, 10.0)
    on.pause(11.0 + PATIENCE)
    assert decisions(on, 10.0) == [TurnBack(first)]
    on.turned_back(first, 10.0)
    on.put_off(second, 11.5)
    on.asks_for_leave(second, 11.5)  # the end is near enough
    assert on.next(11.5) == WaitUntil(11.0 + PATIENCE)
    assert decisions(on, 11.0 + PATIENCE)[0] == Send(second)


@pytest.mark.parametrize("when", ["given", "put off", "asked for"])
def test_who_ends_unsent_is_in_nobodys_way(when: str) -> None:
    on, (first, second, *_) = frontier(6)
    decisions(on, 10.0)
    on.sent(second, 10.0)
    if when != "given":
        on.put_off(first, 10.0)
    if when == "asked for":
        on.asks_for_leave(first, 10.0)
    on.finished(first, 0, 10.0, Fault("connect-timeout"))
    assert leave(first) is Leave.NEEDS_NONE
    assert not [decision for decision in decisions(on, 10.0) if isinstance(decision, Send)]
    later = decisions(on, 20.0)
    assert len(later) == BUDGET.burst
    assert all(isinstance(decision, Dispatch) for decision in later)


def test_what_is_told_too_late_changes_nothing() -> None:
    on, (first, *_) = frontier(3)
    decisions(on, 10.0)
    on.sent(first, 10.0)
    before = on.next(10.0)
    on.sent(first, 10.5)
    on.put_off(first, 10.5)
    on.asks_for_leave(first, 10.0)
    assert on.next(10.0) == before


def test_without_a_rate_there_is_no_leave() -> None:
    on = Frontier(concurrency=9, memory=9, capacity=9, budget_of=lambda _: HostBudget(None, 1, 4))
    asset = Asset(1, "1", "", "http://h.test/1", "h.test", Expectation())
    on.add(Job(asset, "h.test", 0, attempt=1), 0.0)
    decision = on.next(0.0)
    assert isinstance(decision, Dispatch)
    assert decision.job.leave is Leave.NEEDS_NONE

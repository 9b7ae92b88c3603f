"""Law 4, as far as one bucket can keep it, and that a budget is used where it may be.

Here requests are sent when they are begun with; what comes in between is ``test_turns``'s matter.
"""

from __future__ import annotations

import math
from itertools import cycle, islice, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fetcher.policy.limits import HEADROOM, Pace, Throughput

RATES = st.floats(0.001, 10_000.0)
BURSTS = st.integers(1, 50)
GAPS = st.one_of(st.just(0.0), st.floats(0.0, 0.01), st.floats(0.0, 5.0), st.floats(0.0, 1e5))
BEGINNINGS = st.sampled_from([0.0, 1.5, 86_400.25, 1e7])


def send(pace: Pace, now: float) -> None:
    """Begin with a request that is sent at the same moment."""
    assert pace.begin(now)
    pace.sent(now)


def starts_of(pace: Pace, asked_at: list[float]) -> list[float]:
    """When a caller starts who asks at these times, and takes whatever is allowed at each."""
    starts: list[float] = []
    for now in asked_at:
        while pace.ready_at() <= now and len(starts) < 500:
            send(pace, now)
            starts.append(now)
    return starts


def assert_law_4(starts: list[float], rate: float, burst: int) -> None:
    for first, since in enumerate(starts):
        for last in range(first, len(starts)):
            # The difference of two points in time is itself rounded: an ulp is no request.
            window = starts[last] - since + 4 * math.ulp(starts[last])
            assert last - first + 1 <= burst + rate * window


def times(beginning: float, gaps: list[float]) -> list[float]:
    now, asked_at = beginning, []
    for gap in gaps:
        now += gap
        asked_at.append(now)
    return asked_at


@given(RATES, BURSTS, BEGINNINGS, st.lists(GAPS, max_size=60))
def test_law_4_holds_for_any_sequence_of_questions(
    rate: float, burst: int, beginning: float, gaps: list[float]
) -> None:
    starts = starts_of(Pace(rate, burst, beginning), times(beginning, gaps))
    assert_law_4(starts, rate, burst)


@given(RATES, BURSTS, BEGINNINGS, st.integers(1, 120))
def test_law_4_holds_for_who_comes_back_at_the_very_moment(
    rate: float, burst: int, beginning: float, count: int
) -> None:
    pace, now, starts = Pace(rate, burst, beginning), beginning, []
    for _ in range(count):
        now = max(now, pace.ready_at())
        send(pace, now)
        starts.append(now)
    assert_law_4(starts, rate, burst)


@given(RATES, BURSTS, BEGINNINGS, st.lists(GAPS, max_size=60))
def test_law_4_holds_when_recovered_buckets_are_forgotten(
    rate: float, burst: int, beginning: float, gaps: list[float]
) -> None:
    pace = Pace(rate, burst, beginning)
    starts: list[float] = []
    for now in times(beginning, gaps):
        if pace.recovered(now):
            pace = Pace(rate, burst, now)
        starts += starts_of(pace, [now])
    assert_law_4(starts, rate, burst)


@given(RATES, BURSTS, BEGINNINGS, st.lists(GAPS, min_size=1, max_size=30), st.lists(GAPS))
def test_a_forgotten_bucket_grants_nothing_that_the_old_one_refuses(
    rate: float, burst: int, beginning: float, before: list[float], after: list[float]
) -> None:
    old = Pace(rate, burst, beginning)
    asked_at = times(beginning, before)
    starts_of(old, asked_at)
    now = max(asked_at[-1], old.ready_at())
    assert old.recovered(now)
    new = Pace(rate, burst, now)
    tolerance = 8 * math.ulp(now + burst / rate)
    for at in times(now, after):
        if new.ready_at() > at:
            continue
        assert old.ready_at() <= at + tolerance
        send(old, at)
        send(new, at)


def test_a_new_bucket_has_one_token_and_fills_up_in_silence() -> None:
    assert len(starts_of(Pace(10.0, 5, 0.0), [0.0])) == 1
    assert len(starts_of(Pace(10.0, 5, 0.0), [1.0])) == 5
    assert len(starts_of(Pace(10.0, 5, 0.0), [0.0, 100.0])) == 1 + 5


def test_no_rate_is_no_limit() -> None:
    assert len(starts_of(Pace(None, 1, 7.0), [7.0])) == 500


@given(st.integers(5, 50), st.lists(st.floats(0.0, 0.005), min_size=1, max_size=40))
def test_late_wake_ups_cost_less_than_3_percent_of_200_per_second(
    burst: int, lateness: list[float]
) -> None:
    rate, now = 200.0, 0.0
    pace, starts = Pace(rate, burst, now), 0
    for late in islice(cycle(lateness), 1_000):
        now = max(now, pace.ready_at()) + late
        while pace.ready_at() <= now:
            send(pace, now)
            starts += 1
    assert 0.97 * rate * now <= starts <= burst + rate * now


def test_the_worst_lateness_of_all_costs_as_little() -> None:
    rate, now, starts = 200.0, 0.0, 0
    pace = Pace(rate, 5, now)
    while now < 60:
        now = pace.ready_at() + 0.005
        while pace.ready_at() <= now:
            send(pace, now)
            starts += 1
    assert 0.97 * rate * now <= starts <= 5 + rate * now


def test_headroom_leaves_room_for_the_97_percent() -> None:
    assert 0 < HEADROOM < 0.03


TRANSFERS = st.lists(
    st.tuples(st.integers(0, 10**8), st.floats(0.0, 30.0), st.floats(0.0, 10.0)), min_size=1
)


@given(st.integers(1, 10**9), TRANSFERS)
def test_bandwidth_is_kept_on_average(
    bandwidth: int, transfers: list[tuple[int, float, float]]
) -> None:
    """At each start, all that came since the first start fits into the time since then."""
    throughput, now, total = Throughput(bandwidth), 0.0, 0
    for size, took, pause in transfers:
        now = max(now, throughput.ready_at())
        assert total <= bandwidth * now * (1 + 1e-9)
        throughput.spend(size, now)
        total += size
        now += took + pause


@given(st.lists(st.tuples(st.integers(1, 10**6), st.floats(0.1, 30.0)), min_size=1, max_size=20))
def test_bandwidth_holds_for_transfers_side_by_side(transfers: list[tuple[int, float]]) -> None:
    """All start at once: the next may not start before the budget has caught up with them."""
    throughput = Throughput(1_000)
    for size, _ in sorted(transfers, key=lambda transfer: transfer[1]):
        throughput.spend(size, 0.0)
    assert throughput.ready_at() == pytest.approx(sum(size for size, _ in transfers) / 1_000)


def test_a_transfer_within_its_bandwidth_delays_nothing() -> None:
    throughput = Throughput(1_000)
    throughput.spend(2_000, 10.0)
    assert throughput.ready_at() == 12.0
    throughput.spend(1_000, 20.0)
    assert throughput.ready_at() == 21.0


@given(st.lists(st.tuples(st.integers(0, 10**9), st.floats(0.0, 1e6)), min_size=2))
def test_what_is_owed_never_shrinks(transfers: list[tuple[int, float]]) -> None:
    throughput = Throughput(1_000_000)
    owed = []
    for size, since in transfers:
        throughput.spend(size, since)
        owed.append(throughput.ready_at())
    assert all(earlier <= later for earlier, later in pairwise(owed))


def test_no_bandwidth_is_no_limit() -> None:
    throughput = Throughput(None)
    assert throughput.ready_at() == -math.inf
    throughput.spend(10**15, 5.0)
    assert throughput.ready_at() <= 5.0

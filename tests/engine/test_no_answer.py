"""Images whose robots.txt does not come wait for it, and in the end go by what it said last, or
fail unasked. Nobody waits for another's.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pytest
from msgspec.structs import replace

from fetcher.engine import EndReason
from fetcher.engine.consent import FEW
from fetcher.events import BreakerOpened, Paused, RobotsAwaited
from fetcher.model import Fault, HostBudget, Redirect, RobotsNote, State
from fetcher.policy.breaker import PATIENCE, THRESHOLD, BreakerRule
from fetcher.policy.hosts import GroupRule
from tests.engine.consents import (
    BROKEN,
    DAY,
    DEAD,
    FILE,
    FORBIDS_SOME,
    NO_FILE,
    ORIGIN,
    asked,
    images,
    rig_of,
)
from tests.engine.rig import RETRY, Rig
from tests.fakes.clock import EPOCH
from tests.fakes.transport import Result

WIDE = HostBudget(rate=100.0, burst=5, concurrency=4)  # holds 200
LONGEST = BreakerRule().longest

# One origin.


def test_a_host_that_does_not_answer_is_waited_for_and_nothing_is_charged() -> None:
    rig = rig_of({ORIGIN: [BROKEN, DEAD, NO_FILE]}, *images(5))
    rig.run()
    assert asked(rig)[:3] == [FILE, FILE, FILE]
    assert asked(rig).count(FILE) == 3
    assert [outcome.attempt for outcome in rig.manifest.history] == [1] * 5
    assert set(rig.manifest.states.values()) == {State.VERIFIED}
    assert [e for e in rig.events if isinstance(e, RobotsAwaited)] == [
        RobotsAwaited(ORIGIN, "http-5xx", 503)
    ]


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (BROKEN, "robots-unreachable"),
        (Fault("rate-limited", http_status=429), "robots-unreachable"),
        (Fault("truncated", http_status=200), "robots-unreachable"),
        (DEAD, "connection-refused"),
        (Fault("stalled"), "stalled"),
        (Fault("tls-error"), "tls-error"),
    ],
)
def test_those_who_wait_in_vain_end_and_nothing_was_asked_of_the_host(
    fault: Fault, code: str
) -> None:
    rig = rig_of({ORIGIN: [fault]}, *images(5), patience=0.0)
    assert rig.run().reason is EndReason.COMPLETE
    assert asked(rig) == [FILE] * RETRY.attempts
    assert {(outcome.state, outcome.code) for outcome in rig.manifest.history} == {
        (State.FAILED, code)
    }
    assert f"asked for {FILE}: {fault.code}" in str(rig.settled(0).detail)


def test_an_outage_costs_those_who_waited_and_no_others() -> None:
    outage = [BROKEN] * (2 * RETRY.attempts)
    budget = HostBudget(rate=2.0, burst=1, concurrency=1)  # holds 8
    rig = rig_of({ORIGIN: [*outage, NO_FILE]}, *images(100), budget=budget, patience=0.0)
    rig.run()
    states = list(rig.manifest.states.values())
    assert states.count(State.FAILED) == 16
    assert states.count(State.VERIFIED) == 84


@pytest.mark.parametrize("attempts", [1, 3, 5])
def test_one_that_is_down_in_a_group_that_is_well_is_asked_now_and_then(attempts: int) -> None:
    """Its tries count: it is not the group that is down."""
    other = "http://b.test"
    budget = HostBudget(rate=20.0, burst=1, concurrency=2)
    rig = rig_of(
        {ORIGIN: [BROKEN], other: [NO_FILE]},
        *images(50),
        *images(2_000, other),
        budget=budget,
        rules=[GroupRule("both", ("*.test",), budget)],
        retry=replace(RETRY, attempts=attempts),
    )
    assert rig.run().reason is EndReason.COMPLETE
    assert [rig.state(n) for n in range(50)] == [State.FAILED] * 50
    assert [rig.state(n) for n in range(50, 2_050)] == [State.VERIFIED] * 2_000
    times = rig.transport.times(FILE)
    assert len(times) < 4 * (attempts + 1)
    gaps = [later - earlier for earlier, later in pairwise(times)]
    assert max(gaps[attempts:]) > 1  # nor does a new round forget how often it was in vain


def test_what_was_said_last_holds_on_while_nobody_answers() -> None:
    rig = rig_of({ORIGIN: [BROKEN]}, f"{ORIGIN}/no", f"{ORIGIN}/yes", patience=0.0)
    old = RobotsNote(ORIGIN, "fetcher", EPOCH - 3 * DAY, "2 Disallow: /no")
    rig.book.notes[ORIGIN] = old
    rig.run()
    assert asked(rig) == [FILE] * RETRY.attempts + [f"{ORIGIN}/yes"]
    assert rig.settled(0).code == "robots"
    assert rig.book.notes[ORIGIN] == old


@pytest.mark.parametrize(
    ("fault", "state"),
    [
        (Fault("dns-not-found", "no such name"), State.GONE),
        (Fault("blocked-address"), State.INVALID),
        (Fault("bad-url"), State.INVALID),
    ],
)
def test_of_a_host_that_is_not_there_nothing_is(fault: Fault, state: State) -> None:
    rig = rig_of({ORIGIN: [fault]}, *images(5))
    rig.run()
    assert asked(rig) == [FILE]
    assert {(o.state, o.code) for o in rig.manifest.history} == {(state, fault.code)}


def test_one_that_does_not_answer_holds_up_no_other() -> None:
    files: dict[str, Sequence[Result]] = {ORIGIN: [BROKEN], "http://b.test": [NO_FILE]}
    rig = rig_of(files, *images(20), *images(20, "http://b.test"), concurrency=1)
    rig.run()
    # One slot, and never without work: 21 requests here, and those in vain there.
    assert max(rig.transport.times("http://b.test")) < (21 + RETRY.attempts) * rig.latency
    assert [rig.state(n) for n in range(20, 40)] == [State.VERIFIED] * 20


def test_one_that_wants_to_be_left_alone_is() -> None:
    rig = rig_of(
        {ORIGIN: [Fault("rate-limited", http_status=429, retry_after=100.0), NO_FILE]}, *images(3)
    )
    rig.run()
    first, second = rig.transport.times(FILE)
    assert second - first >= 100
    assert set(rig.manifest.states.values()) == {State.VERIFIED}


def test_a_fault_of_ours_pauses_and_charges_nothing() -> None:
    rig = rig_of({ORIGIN: [Fault("no-route"), Fault("no-route"), FORBIDS_SOME]}, *images(3))
    rig.run()
    assert [event.seconds for event in rig.events if isinstance(event, Paused)] == [1, 2]
    assert asked(rig).count(FILE) == 3
    assert set(rig.manifest.states.values()) == {State.VERIFIED}


# A whole group from which only failures come.


def back_after(seconds: float, fault: Fault, *urls: str, **options: Any) -> Rig:
    """``ORIGIN`` answers ``fault`` for so long, from the start, and then has no file."""
    rig = rig_of({ORIGIN: [fault]}, *urls, **options)
    scripts = dict(rig.scripts)
    rig.scripts, rig.at = scripts, {seconds: lambda _: scripts.update({FILE: [NO_FILE]})}
    return rig


@pytest.mark.parametrize("fault", [DEAD, BROKEN, Fault("rate-limited", http_status=429)])
@pytest.mark.parametrize("attempts", [1, 3, 5, 9])
@pytest.mark.parametrize(("count", "seconds"), [(40, 300.0), (200, 300.0), (200, 3_000.0)])
def test_who_is_down_at_first_and_back_within_the_hour_has_lost_nothing(
    fault: Fault, attempts: int, count: int, seconds: float
) -> None:
    rig = back_after(
        seconds, fault, *images(count), retry=replace(RETRY, attempts=attempts), budget=WIDE
    )
    assert rig.run().reason is EndReason.COMPLETE
    assert set(rig.manifest.states.values()) == {State.VERIFIED}
    assert [outcome.attempt for outcome in rig.manifest.history] == [1] * count
    assert set(asked(rig)[: asked(rig).count(FILE)]) == {FILE}
    assert rig.transport.asked[-1].at < seconds + LONGEST + 60
    assert len([e for e in rig.events if isinstance(e, RobotsAwaited)]) == (fault is not DEAD)


@pytest.mark.parametrize("fault", [DEAD, BROKEN])
@pytest.mark.parametrize("count", [40, 200, 1_000])
def test_who_is_down_for_good_is_waited_for_an_hour(fault: Fault, count: int) -> None:
    rig = rig_of({ORIGIN: [fault]}, *images(count), budget=WIDE)
    assert rig.run().reason is EndReason.COMPLETE
    assert set(rig.manifest.states.values()) == {State.FAILED}
    assert [outcome.attempt for outcome in rig.manifest.history] == [1] * count
    opened = [event.seconds for event in rig.events if isinstance(event, BreakerOpened)]
    assert sum(opened) == pytest.approx(PATIENCE)
    lines = -(-count // 200)
    tries = THRESHOLD + len(opened) + RETRY.attempts * lines
    assert set(asked(rig)) == {FILE}
    assert len(asked(rig)) <= tries < 50
    assert PATIENCE < rig.transport.asked[-1].at < PATIENCE + 10 * lines


def test_meanwhile_the_others_go_on() -> None:
    other = "http://b.test"
    rig = rig_of(
        {ORIGIN: [DEAD], other: [NO_FILE]}, *images(200), *images(400, other), concurrency=2
    )
    assert rig.run().reason is EndReason.COMPLETE
    assert [rig.state(n) for n in range(200)] == [State.FAILED] * 200
    assert [rig.state(n) for n in range(200, 600)] == [State.VERIFIED] * 400
    assert max(rig.transport.times(other)) < 20
    assert rig.transport.asked[-1].at > PATIENCE


def test_the_others_go_on_though_most_hosts_are_down() -> None:
    """What waits for an hour takes room, and a list may have more dead hosts than there is."""
    dead = [f"http://h{n}.test" for n in range(200)]
    well = "http://well.test"
    files: dict[str, Sequence[Result]] = {origin: [DEAD] for origin in dead}
    rig = rig_of(
        files | {well: [NO_FILE]},
        *(url for origin in dead for url in images(40, origin)),
        *images(100, well),
        capacity=1_000,
    )
    assert rig.run().reason is EndReason.COMPLETE
    assert [rig.state(n) for n in range(8_000)] == [State.FAILED] * 8_000
    assert [rig.state(n) for n in range(8_000, 8_100)] == [State.VERIFIED] * 100
    assert max(rig.transport.times(well)) < PATIENCE / 3
    waited = [n for n in range(200) if rig.transport.times(dead[n])[-1] > PATIENCE]
    assert len(waited) <= 10


def test_a_handful_of_images_is_not_waited_for() -> None:
    rig = rig_of({ORIGIN: [DEAD]}, *images(FEW), budget=WIDE)
    assert rig.run().reason is EndReason.COMPLETE
    assert set(rig.manifest.states.values()) == {State.FAILED}
    assert asked(rig) == [FILE] * RETRY.attempts
    assert rig.transport.asked[-1].at < 60


def test_of_those_who_share_a_group_the_first_that_is_back_costs_the_other_nothing() -> None:
    other = "http://b.test"
    group = GroupRule("both", ("*.test",), WIDE)
    rig = rig_of({ORIGIN: [DEAD], other: [DEAD]}, *images(40), *images(40, other), rules=[group])
    scripts = dict(rig.scripts)
    rig.scripts = scripts
    rig.at = {
        300.0: lambda _: scripts.update({f"{other}/robots.txt": [NO_FILE]}),
        301.0: lambda _: scripts.update({FILE: [NO_FILE]}),
    }
    rig.run()
    assert set(rig.manifest.states.values()) == {State.VERIFIED}


@pytest.mark.parametrize("attempts", [1, 3, 7])
def test_a_redirect_to_where_only_failures_come_from_comes_to_its_end(attempts: int) -> None:
    """That a host redirects is a healthy answer of it, however often."""
    group = GroupRule("both", ("*.test",), WIDE)
    to = "http://b.test/robots.txt"
    rig = rig_of(
        {ORIGIN: [Redirect(302, to)], "http://b.test": [DEAD]},
        *images(5),
        rules=[group],
        retry=replace(RETRY, attempts=attempts),
    )
    assert rig.run().reason is EndReason.COMPLETE
    assert set(rig.manifest.states.values()) == {State.FAILED}
    assert asked(rig) == [FILE, to] * attempts

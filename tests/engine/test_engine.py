"""The engine on a virtual clock: what it does with answers, faults, limits and signals."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fetcher.engine import EndReason, Engine
from fetcher.errors import StoreError
from fetcher.events import BreakerOpened, CooledDown, Draining, Paused, Resumed
from fetcher.model import (
    Expectation,
    Fate,
    Fault,
    HostBudget,
    HostMemory,
    Keep,
    Landed,
    Partial,
    Receipt,
    Redirect,
    Row,
    State,
    Validators,
    Verdict,
)
from fetcher.policy.breaker import PATIENCE
from fetcher.policy.codes import CODES, final_state
from fetcher.policy.frontier import Idle
from fetcher.policy.hosts import GroupRule
from fetcher.ports import Adoption
from tests.engine.rig import RETRY, Rig, one, picture, row
from tests.fakes import clock
from tests.fakes.transport import Result, image

GOOD = picture(0)
TRANSIENT = sorted(code for code, info in CODES.items() if info.fate is Fate.TRANSIENT)
PERMANENT = sorted(code for code, info in CODES.items() if info.fate is Fate.PERMANENT)
PASSING = sorted(
    code for code, info in CODES.items() if info.fate is Fate.LOCAL and "disk" not in code
)
PARTIAL = Partial(Path("spool/1"), 4, Validators("tag"))


# What an answer means.


@pytest.mark.parametrize("lands_at_once", [False, True])
def test_an_image_is_kept_and_settled(*, lands_at_once: bool) -> None:
    rig = one(GOOD, lands_at_once=lands_at_once)
    assert rig.run().reason is EndReason.COMPLETE
    assert rig.state(0) is State.VERIFIED
    assert rig.landing.kept[1] == GOOD
    assert rig.settled(0).attempt == 1
    assert rig.settled(0).received == len(GOOD)


@pytest.mark.parametrize("code", TRANSIENT)
def test_a_passing_fault_is_tried_again_until_attempts_run_out(code: str) -> None:
    rig = one(Fault(code))
    rig.run()
    assert rig.state(0) is final_state(code)
    assert len(rig.transport.asked) == RETRY.attempts
    assert [outcome.attempt for outcome in rig.history(0)] == [1, 2, 3]


@pytest.mark.parametrize("code", TRANSIENT)
def test_a_fault_that_passes_costs_attempts_and_nothing_else(code: str) -> None:
    rig = one(Fault(code), Fault(code), GOOD)
    rig.run()
    assert rig.state(0) is State.VERIFIED
    assert rig.settled(0).attempt == 3


@pytest.mark.parametrize("code", PERMANENT)
def test_a_lasting_fault_settles_at_once(code: str) -> None:
    rig = one(Fault(code, http_status=400))
    rig.run()
    assert (rig.state(0), rig.settled(0).code) == (final_state(code), code)
    assert len(rig.transport.asked) == 1


@pytest.mark.parametrize("code", PASSING)
def test_a_fault_of_ours_pauses_and_charges_nothing(code: str) -> None:
    rig = one(Fault(code), Fault(code), Fault(code), Fault(code), GOOD)
    assert rig.run().reason is EndReason.COMPLETE
    assert rig.state(0) is State.VERIFIED
    assert [outcome.attempt for outcome in rig.history(0)] == [1]
    pauses = [event.seconds for event in rig.events if isinstance(event, Paused)]
    assert pauses == [1, 2, 4, 8]
    assert isinstance(rig.events[-2], Resumed)


@pytest.mark.parametrize("code", ["disk-full", "disk-error"])
def test_trouble_with_the_disk_ends_the_run_and_changes_no_state(code: str) -> None:
    rig = one(GOOD, prepare=lambda rig: rig.landing.refuse.append(Fault(code, "no room")))
    ending = rig.run()
    assert (ending.reason, ending.fault_code) == (EndReason.LOCAL_FAULT, code)
    assert rig.state(0) is State.PENDING
    assert not rig.manifest.leased
    assert not rig.history(0)


def test_after_trouble_with_the_disk_nothing_more_is_asked_for() -> None:
    """Not even in the very turn of the loop in which the trouble came."""
    rig = one(Fault("disk-full", "no room"))
    assert rig.run().reason is EndReason.LOCAL_FAULT
    assert len(rig.transport.asked) == 1


# Redirects.


def test_a_redirect_is_followed_within_the_attempt() -> None:
    rig = one(Redirect(302, "http://b.test/1"))
    rig.scripts = {**rig.scripts, "http://b.test/1": [image(GOOD, "http://b.test/1")]}
    rig.run()
    assert rig.state(0) is State.VERIFIED
    assert rig.settled(0).attempt == 1
    assert rig.settled(0).final_url == "http://b.test/1"


def test_a_placeholder_is_recognised_before_it_is_asked_for() -> None:
    rig = one(Redirect(302, "http://gone.test/photo.png"))
    rig.run()
    assert (rig.state(0), rig.settled(0).code) == (State.GONE, "placeholder")
    assert rig.settled(0).final_url == "http://gone.test/photo.png"
    assert len(rig.transport.asked) == 1


def test_a_loop_of_redirects_ends() -> None:
    rig = one(Redirect(302, "http://a.test/0"))
    rig.run()
    assert rig.settled(0).code == "too-many-redirects"
    assert len(rig.transport.asked) == RETRY.attempts * 6


def test_a_hop_is_charged_to_the_group_that_it_leads_to() -> None:
    slow = GroupRule("slow", ("b.test",), HostBudget(rate=1.0, burst=1, concurrency=8))
    urls = [f"http://a.test/{n}" for n in range(4)]
    targets = [f"http://b.test/{n}" for n in range(4)]
    scripts = {url: [Redirect(302, to)] for url, to in zip(urls, targets, strict=True)}
    images = {to: [image(picture(n), to)] for n, to in enumerate(targets)}
    rig = Rig([row(n, url) for n, url in enumerate(urls)], {**scripts, **images}, rules=[slow])
    rig.run()
    starts = rig.transport.times("http://b.test/")
    assert len(starts) == 4
    assert all(later - earlier >= 1 for earlier, later in pairwise(starts))


# Throttling.


def test_retry_after_leaves_the_whole_group_alone_and_no_other() -> None:
    urls = [f"http://{host}.test/{n}" for n in range(10) for host in "ab"]
    scripts: dict[str, list[Result]] = {url: [image(picture(n), url)] for n, url in enumerate(urls)}
    scripts[urls[0]] = [Fault("rate-limited", retry_after=30.0), *scripts[urls[0]]]
    budget = HostBudget(rate=2.0, burst=1, concurrency=1)
    rig = Rig([row(n, url) for n, url in enumerate(urls)], scripts, budget=budget)
    rig.run()
    throttled = rig.transport.times("http://a.test/")
    assert throttled[1] - throttled[0] >= 30
    assert max(rig.transport.times("http://b.test/")) < 10
    assert CooledDown("a.test", 30.0, "rate-limited") in rig.events
    assert set(rig.manifest.states.values()) == {State.VERIFIED}


def test_retry_after_is_capped() -> None:
    rig = one(Fault("http-5xx", retry_after=1e9), GOOD)
    rig.run()
    first, second = rig.transport.times("http://")
    assert RETRY.max_retry_after <= second - first < RETRY.max_retry_after + 60


def test_throttling_without_a_word_on_how_long_pauses_for_a_round_trip_and_goes_on_slower() -> None:
    budget = HostBudget(None, 1, 8, adapt=True)
    urls = [f"http://a.test/{n}" for n in range(60)]
    scripts: dict[str, list[Result]] = {url: [image(picture(n), url)] for n, url in enumerate(urls)}
    for url in urls[20:23]:
        scripts[url].insert(0, Fault("rate-limited", http_status=429))
    rig = Rig([row(n, url) for n, url in enumerate(urls)], scripts, budget=budget)
    rig.run()
    assert set(rig.manifest.states.values()) == {State.VERIFIED}
    assert not [event for event in rig.events if isinstance(event, CooledDown | BreakerOpened)]
    starts = rig.transport.times("http://a.test/")
    refused = next(asked.at for asked in rig.transport.asked if asked.url == urls[20]) + rig.latency
    after = [at for at in starts if at > refused]
    assert after[0] >= refused + 0.9 * rig.latency
    assert all(later > earlier for earlier, later in pairwise(after))


def test_a_group_that_only_fails_is_left_alone_longer_and_longer_and_comes_to_its_end() -> None:
    urls = [f"http://a.test/{n}" for n in range(30)]
    scripts: dict[str, list[Result]] = {url: [Fault("connection-refused")] for url in urls}
    rig = Rig([row(n, url) for n, url in enumerate(urls)], scripts)
    assert rig.run().reason is EndReason.COMPLETE
    opened = [event.seconds for event in rig.events if isinstance(event, BreakerOpened)]
    assert opened[:4] == pytest.approx([1, 2, 4, 8])
    assert all(len(rig.history(n)) == RETRY.attempts for n in range(30))
    assert sum(opened) <= PATIENCE + 1e-6


# What one run learns, and the next one knows.


def test_a_cool_down_outlives_the_run() -> None:
    rig = one(Fault("rate-limited", retry_after=300.0), GOOD, at={10.0: lambda e: e.stop("SIGINT")})
    rig.run()
    (memory,) = rig.manifest.memories.values()
    assert memory.held_code == "rate-limited"
    assert memory.held_until == pytest.approx(clock.EPOCH + 300, abs=1)
    again = one(GOOD)
    again.memories = [memory]  # virtual time begins anew: the clock shows what it showed at first
    again.run()
    assert CooledDown("a.test", 300.0, "rate-limited") in [
        CooledDown(e.group, round(e.seconds), e.code)
        for e in again.events
        if isinstance(e, CooledDown)
    ]
    assert again.transport.times("http://") == [pytest.approx(300, abs=1)]


def test_no_memory_holds_a_group_longer_than_the_rule_allows() -> None:
    memory = HostMemory("a.test", 0.0, held_until=clock.EPOCH + 1e9, held_code="rate-limited")
    rig = one(GOOD, memories=[memory])
    rig.run()
    assert rig.transport.times("http://") == [pytest.approx(RETRY.max_retry_after)]


def test_learned_limits_are_written_when_they_are_learned() -> None:
    urls = [f"http://a.test/{n}" for n in range(40)]
    scripts: dict[str, list[Result]] = {
        url: [Fault("rate-limited", http_status=429), image(picture(n), url)]
        for n, url in enumerate(urls)
    }
    seen: list[HostMemory] = []
    rig = Rig(
        [row(n, url) for n, url in enumerate(urls)],
        scripts,
        budget=HostBudget(None, 1, 8, adapt=True),
        at={0.1: lambda _: seen.extend(rig.manifest.memories.values())},
    )
    rig.run()
    assert [memory.code for memory in seen] == ["rate-limited"]
    assert seen[0].rate is not None


def test_a_resumed_run_begins_with_the_learned_rate() -> None:
    urls = [f"http://a.test/{n}" for n in range(12)]
    scripts = {url: [image(picture(n), url)] for n, url in enumerate(urls)}
    rig = Rig(
        [row(n, url) for n, url in enumerate(urls)],
        scripts,
        budget=HostBudget(None, 1, 8, adapt=True),
        memories=[HostMemory("a.test", clock.EPOCH, rate=2.0, bad_rate=2.4, code="rate-limited")],
    )
    rig.run()
    starts = rig.transport.times("http://")
    assert all(later - earlier > 1 / 2.4 for earlier, later in pairwise(starts))


# Bodies that came in part.


def test_what_came_of_a_body_is_offered_to_the_next_attempt() -> None:
    rig = one(Fault("truncated", partial=PARTIAL), Fault("http-5xx"), GOOD)
    rig.run()
    assert [asked.request.partial for asked in rig.transport.asked] == [None, PARTIAL, PARTIAL]


def test_what_a_dead_worker_went_on_with_is_not_gone_on_with() -> None:
    """It may have added to the file, replaced it, or named it: the next would miss it, or mix."""
    rig = one(Fault("truncated", partial=PARTIAL), Fault("worker-lost"), GOOD)
    rig.run()
    assert [asked.request.partial for asked in rig.transport.asked] == [None, PARTIAL, None]
    assert rig.recovery.discarded == [PARTIAL]
    assert (rig.settled(0).state, rig.settled(0).attempt) == (State.VERIFIED, 2)


def test_parts_that_do_not_fit_are_dropped_and_all_is_fetched_again() -> None:
    stitched = image(picture(1), "http://a.test/0", resumed=True)
    rig = one(Fault("truncated", partial=PARTIAL), stitched, GOOD)
    rig.run()
    assert rig.state(0) is State.VERIFIED
    assert rig.transport.asked[2].request.partial is None


def test_a_part_that_nothing_can_vouch_for_is_not_kept() -> None:
    bare = Partial(Path("spool/1"), 4, Validators())
    rig = one(Fault("truncated", partial=bare), GOOD)
    rig.rows = [Row(1, "0", "", "http://a.test/0", Expectation(size=len(GOOD)))]
    rig.run()
    assert rig.recovery.discarded == [bare]
    assert rig.transport.asked[1].request.partial is None


def test_a_part_is_removed_when_the_image_is_given_up() -> None:
    rig = one(Fault("truncated", partial=PARTIAL))
    rig.run()
    assert rig.recovery.discarded == [PARTIAL]


# Bytes that are there already.


def test_what_an_earlier_run_stored_is_settled_without_a_request() -> None:
    receipt = Receipt(len(GOOD), "md5", "image/jpeg", "http://a.test/0", 0)
    landed = Landed(1, receipt, Verdict(State.VERIFIED, None, Keep.STORE), "images/0.jpg")
    rig = one(GOOD, prepare=lambda rig: setattr(rig.recovery, "adoption", Adoption((landed,))))
    assert rig.run().reason is EndReason.COMPLETE
    assert rig.transport.asked == []
    assert (rig.state(0), rig.settled(0).attempt) == (State.VERIFIED, 0)


def test_a_landing_that_keeps_refusing_is_left_alone_longer_and_longer() -> None:
    refusals = [Fault("out-of-descriptors")] * 4
    rig = one(GOOD, prepare=lambda rig: rig.landing.refuse.extend(refusals))
    rig.run()
    assert [e.seconds for e in rig.events if isinstance(e, Paused)] == [1, 2, 4, 8]
    assert (rig.state(0), rig.settled(0).attempt) == (State.VERIFIED, 1)


# A bug in a finishing thread.


def test_a_landing_that_breaks_ends_the_run_with_its_error() -> None:
    rig = one(GOOD, latency=1e6)
    rig.at = {1.0: lambda _: rig.landing.broken(ZeroDivisionError("bug"))}
    with pytest.raises(ExceptionGroup) as raised:
        rig.run()
    assert raised.group_contains(ZeroDivisionError, match="bug")


def test_a_disk_that_cannot_be_looked_at_ends_the_run_in_good_order() -> None:
    """What an earlier run left is looked for when assets are leased: they go back as they were."""
    rig = many(30, prepare=lambda rig: rig.recovery.blind.append(Fault("disk-error", "I/O error")))
    ending = rig.run()
    assert (ending.reason, ending.fault_code) == (EndReason.LOCAL_FAULT, "disk-error")
    assert ending.detail == "I/O error"
    assert not rig.transport.asked
    assert not rig.manifest.leased


@pytest.mark.parametrize("limit", [None, 7])
def test_looking_again_when_a_passing_fault_has_passed(limit: int | None) -> None:
    rig = many(30, limit=limit)
    rig.prepare = lambda rig: rig.recovery.blind.extend([Fault("out-of-descriptors")] * 3)
    assert rig.run().reason is (EndReason.LIMIT if limit else EndReason.COMPLETE)
    pauses = [event.seconds for event in rig.events if isinstance(event, Paused)]
    assert pauses == [1.0, 2.0, 4.0]
    assert min(asked.at for asked in rig.transport.asked) >= 7.0
    assert len(rig.manifest.settled) == (limit or 30)
    assert sum(isinstance(event, Resumed) for event in rig.events) == 1


# Lists that change while a run is on.


def test_an_image_that_a_list_changed_while_it_was_out_is_fetched_as_it_is_listed_now() -> None:
    """Law 6: a run that calls itself complete has nothing pending."""
    rig = many(3, latency=2.0)
    rig.at = {1.0: lambda _: rig.manifest.change(1, row(7, "http://h0.test/new", picture(7)))}
    rig.scripts = {**rig.scripts, "http://h0.test/new": [image(picture(7), "http://h0.test/new")]}
    assert rig.run().reason is EndReason.COMPLETE
    assert rig.landing.kept[1] == picture(7)
    assert set(rig.manifest.states.values()) == {State.VERIFIED}


# A manifest that cannot be written.


def test_after_a_manifest_that_fails_nothing_more_is_asked_for() -> None:
    """Its failure ends all tasks; what comes until they have heard of it starts nothing."""
    engines: list[Engine] = []
    asked_since: list[float] = []

    async def full(outcomes: object) -> bool:
        del outcomes
        # The next timer goes off before the task group has heard of the failure.
        asyncio.get_running_loop().call_soon(engines[0]._dispatcher.pump)
        rig.frontier.next = watched  # type: ignore[method-assign]
        raise StoreError("No room left.", fault_code="disk-full")

    def watched(now: float) -> Idle:
        asked_since.append(now)
        return Idle()

    def break_it(rig: Rig) -> None:
        rig.manifest.settle = full  # type: ignore[method-assign]

    rig = many(60, prepare=break_it, at={0.0: engines.append})
    with pytest.raises(StoreError):
        rig.run()
    assert asked_since == []


# Limits.


def many(count: int, **options: object) -> Rig:
    urls = [f"http://h{n % 5}.test/{n}" for n in range(count)]
    scripts = {url: [image(picture(n), url)] for n, url in enumerate(urls)}
    return Rig([row(n, url) for n, url in enumerate(urls)], scripts, **options)  # type: ignore[arg-type]  # passed on


@given(st.integers(1, 12), st.integers(1, 4))
def test_slots_are_held_until_the_manifest_has_the_row(slots: int, per_host: int) -> None:
    budget = HostBudget(None, 1, per_host)
    rig = many(60, concurrency=slots, budget=budget, landing_delay=0.5)
    rig.run()
    assert rig.transport.most_in_flight <= min(slots, 5 * per_host)
    assert rig.manifest.states
    assert set(rig.manifest.states.values()) == {State.VERIFIED}


@pytest.mark.parametrize("limit", [1, 7, 60])
def test_a_limit_settles_exactly_that_many(limit: int) -> None:
    rig = many(60, limit=limit)
    assert rig.run().reason is EndReason.LIMIT
    assert len(rig.manifest.settled) == limit
    assert not rig.manifest.leased


# Stopping.


def test_stopping_waits_for_what_is_in_flight_and_returns_the_rest() -> None:
    rig = many(60, budget=HostBudget(10.0, 1, 2), latency=0.4, at={1.0: lambda e: e.stop("SIGINT")})
    ending = rig.run()
    assert (ending.reason, ending.detail) == (EndReason.STOPPED, "SIGINT")
    assert not rig.manifest.leased
    assert max(asked.at for asked in rig.transport.asked) <= 1.0
    assert len(rig.manifest.settled) == len(rig.transport.asked)
    assert any(isinstance(event, Draining) for event in rig.events)


def test_stopping_does_not_wait_for_ever() -> None:
    rig = one(GOOD, latency=1e6, drain=3.0, at={1.0: lambda e: e.stop("SIGTERM")})
    assert rig.run().reason is EndReason.STOPPED
    assert rig.state(0) is State.PENDING
    assert not rig.manifest.leased


def test_stopping_twice_in_one_turn_of_the_loop() -> None:
    def both(engine: Engine) -> None:
        engine.stop("SIGTERM")
        engine.stop_now()

    urls = [f"http://a.test/{n}" for n in range(4)]
    scripts: dict[str, list[Result]] = {url: [Fault("http-5xx")] for url in urls}
    rig = Rig([row(n, url) for n, url in enumerate(urls)], scripts, at={0.3: both})
    assert rig.run().reason is EndReason.STOPPED
    assert not rig.manifest.leased


def test_stopping_while_paused_or_waiting_for_retries() -> None:
    rig = one(Fault("no-route"), at={1.5: lambda e: e.stop("SIGINT")})
    assert rig.run().reason is EndReason.STOPPED
    assert not rig.manifest.leased


def test_stopping_while_the_landing_looks_for_files_returns_what_was_leased() -> None:
    """Law 5: no asset is lost between the manifest and the frontier."""

    def takes_long(rig: Rig) -> None:
        rig.recovery.adopting = 1e6

    rig = many(60, prepare=takes_long, at={1.0: lambda e: e.stop("SIGINT")})
    assert rig.run().reason is EndReason.STOPPED
    assert not rig.manifest.leased


# Law 6, and that nothing is lost.

ANSWERS = st.one_of(
    st.sampled_from(TRANSIENT + PERMANENT + PASSING).map(Fault),
    st.sampled_from(
        ["http://b.test/x", "http://gone.test/x", "ftp://c.test/", "http://a.test/0"]
    ).map(lambda target: Redirect(302, target)),
    st.builds(Fault, st.just("rate-limited"), retry_after=st.floats(0, 1e4)),
    st.builds(Fault, st.just("truncated"), partial=st.just(PARTIAL)),
    st.sampled_from([0, 1]).map(lambda n: image(picture(n), "http://a.test/0")),
)
LAST = st.sampled_from([Fault("http-5xx"), Fault("http-404"), image(GOOD, "http://a.test/0")])


@given(st.lists(st.tuples(st.lists(ANSWERS, max_size=5), LAST), min_size=1, max_size=8))
def test_every_image_reaches_an_end_in_bounded_attempts(
    scripts: list[tuple[list[Result], Result]],
) -> None:
    urls = [f"http://a.test/{n}" for n in range(len(scripts))]
    answers: dict[str, list[Result]] = {
        url: [*some, last] for url, (some, last) in zip(urls, scripts, strict=True)
    }
    answers["http://b.test/x"] = [image(GOOD, "http://b.test/x")]
    rig = Rig([row(n, url, GOOD) for n, url in enumerate(urls)], answers)
    assert rig.run().reason is EndReason.COMPLETE
    for n in range(len(scripts)):
        assert rig.state(n).terminal
        attempts = [outcome.attempt for outcome in rig.history(n)]
        assert attempts == list(range(1, len(attempts) + 1))
        assert len(attempts) <= RETRY.attempts
    assert not rig.manifest.leased
    assert rig.frontier.slots_taken == rig.frontier.memory_taken == rig.frontier.held == 0

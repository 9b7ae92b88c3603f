"""Silence that is theirs is charged; silence that is ours is not. On a virtual clock."""

from __future__ import annotations

import pytest

from fetcher.engine import EndReason
from fetcher.engine.suspicion import HOLD, SILENCE
from fetcher.events import Paused, Resumed
from fetcher.model import Fault, HostBudget, Row, State
from tests.engine.rig import RETRY, Rig, picture, row
from tests.fakes.transport import Result, image

ALONE = HostBudget(rate=None, burst=1, concurrency=1)


def silent(code: str, hosts: str, *, then: bool = True) -> Rig:
    """One good image of each host, then one that fails once (or always) with ``code``."""
    rows: list[Row] = []
    scripts: dict[str, list[Result]] = {}
    for n, host in enumerate(hosts):
        good, bad = f"http://{host}.test/good", f"http://{host}.test/bad"
        rows += [row(2 * n, good), row(2 * n + 1, bad)]
        scripts[good] = [image(picture(2 * n), good)]
        scripts[bad] = [Fault(code)]
        if then:
            scripts[bad].append(image(picture(2 * n + 1), bad))
    return Rig(rows, scripts, budget=ALONE)


def states(rig: Rig) -> set[State]:
    return set(rig.manifest.states.values())


def attempts(rig: Rig, *, bad: bool) -> set[int]:
    return {o.attempt for n, o in rig.manifest.settled.items() if (n % 2 == 0) is bad}


@pytest.mark.parametrize("code", sorted(SILENCE))
def test_hosts_of_several_owners_that_fall_silent_together_are_our_network(code: str) -> None:
    rig = silent(code, "abc")
    rig.prepare = lambda rig: setattr(rig.transport, "reachable", lambda _: False)
    assert rig.run().reason is EndReason.COMPLETE
    assert states(rig) == {State.VERIFIED}
    assert attempts(rig, bad=True) == {1}
    assert [event.code for event in rig.events if isinstance(event, Paused)] == ["network-down"]
    assert any(isinstance(event, Resumed) for event in rig.events)
    assert set(rig.transport.reached) == {f"http://{host}.test/good" for host in "abc"}


@pytest.mark.parametrize("code", sorted(SILENCE))
def test_if_one_that_answered_can_still_be_reached_it_is_theirs(code: str) -> None:
    rig = silent(code, "abc")
    rig.prepare = lambda rig: setattr(rig.transport, "reachable", lambda url: "//b." in url)
    rig.run()
    assert states(rig) == {State.VERIFIED}
    assert attempts(rig, bad=True) == {2}
    assert not any(isinstance(event, Paused) for event in rig.events)


def test_a_group_that_fails_alone_is_that_groups_trouble() -> None:
    rig = silent("connect-timeout", "a", then=False)
    rig.prepare = lambda rig: setattr(rig.transport, "reachable", lambda _: False)
    rig.run()
    assert (rig.state(1), rig.settled(1).attempt) == (State.FAILED, RETRY.attempts)
    assert rig.transport.reached == []
    first, second, _ = rig.transport.times("http://a.test/bad")
    assert second - first >= HOLD


def test_nobody_is_held_while_others_answer() -> None:
    rig = silent("connect-timeout", "a", then=False)
    rig.retry = RETRY
    others = [row(n, f"http://b.test/{n}") for n in range(10, 400)]
    rig.rows = [*rig.rows, *others]
    rig.scripts = {**rig.scripts, **{o.url: [image(picture(o.line - 1), o.url)] for o in others}}
    rig.run()
    failed = rig.history(1)
    assert [outcome.attempt for outcome in failed] == [1, 2, 3]
    assert failed[0].elapsed < 1


def test_hosts_that_never_answered_come_to_an_end_too() -> None:
    """At the end of a list of dead hosts, nobody is left who could speak for our network."""
    rig = silent("connect-timeout", "abcd", then=False)
    rig.rows = [r for r in rig.rows if r.url.endswith("bad")]
    rig.prepare = lambda rig: setattr(rig.transport, "reachable", lambda _: False)
    assert rig.run().reason is EndReason.COMPLETE
    assert states(rig) == {State.FAILED}


def test_a_run_that_ends_meanwhile_charges_nobody() -> None:
    rig = silent("stalled", "ab", then=False)
    rig.at = {1.0: lambda engine: engine.stop("SIGINT")}
    assert rig.run().reason is EndReason.STOPPED
    assert [rig.state(n) for n in (1, 3)] == [State.PENDING] * 2
    assert rig.history(1) == rig.history(3) == []
    assert rig.manifest.leased == set()
    assert rig.frontier.held == 0
    assert not any(isinstance(event, Paused) for event in rig.events)


def test_what_we_break_off_ourselves_is_no_healthy_answer() -> None:
    """Else every stop would vouch for hosts that have been silent."""
    rig = silent("stalled", "a")
    rig.latency, rig.drain = 1e6, 0.0
    rig.budget = HostBudget(rate=None, burst=1, concurrency=8, adapt=True)
    limits: list[int] = []
    rig.at = {1.0: lambda _: limits.append(rig.frontier._groups["a.test"].limit)}
    rig.at = {**rig.at, 2.0: lambda engine: engine.stop("SIGINT")}
    assert rig.run().reason is EndReason.STOPPED
    group = rig.frontier._groups["a.test"]
    assert (group.limit, group.in_flight) == (limits[0], 0)

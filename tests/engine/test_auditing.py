"""An audit's way through the engine, in virtual time: rungs, budgets, whose fault silence is."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pytest

from fetcher.engine import EndReason
from fetcher.events import Paused
from fetcher.model import Fault, Found, HostBudget, Method, Redirect, State
from fetcher.policy.hosts import GroupRule
from tests.engine.rig import RETRY, Rig, one, picture, row
from tests.fakes.transport import Result, image

SIZE = len(picture(0))
URL = "http://a.test/0"


def head(url: str = URL, *, size: int | None = SIZE, kind: str | None = "image/jpeg") -> Found:
    return Found(Method.HEAD, 200, size, kind, url)


def probe(url: str = URL, *, size: int | None = SIZE, kind: str | None = "image/jpeg") -> Found:
    return Found(Method.PROBE, 206, size, kind, url, received=512)


def audit(*results: Result, **options: Any) -> Rig:
    return one(*results, method=Method.HEAD, **options)


def methods(rig: Rig) -> list[Method]:
    return [asked.request.method for asked in rig.transport.asked]


HEAD, PROBE, GET = Method.HEAD, Method.PROBE, Method.GET


@pytest.mark.parametrize(
    ("results", "asked", "state", "code", "attempt"),
    [
        ([head()], [HEAD], State.ALIVE, None, 1),
        ([head(size=1), probe()], [HEAD, PROBE], State.ALIVE, None, 1),
        ([head(), head()], [HEAD], State.ALIVE, None, 1),
        (
            [Fault("http-4xx", http_status=405), probe(size=None), image(picture(0), URL)],
            [HEAD, PROBE, GET],
            State.VERIFIED,
            None,
            1,
        ),
        ([Fault("http-404", http_status=404)], [HEAD], State.GONE, "http-404", 1),
        (
            [Fault("http-403", http_status=403)] * 2,
            [HEAD, PROBE],
            State.DENIED,
            "http-403",
            1,
        ),
        (
            # Where a HEAD was refused once, the next attempt does not try it again.
            [
                Fault("http-4xx", http_status=405),
                Fault("http-5xx", http_status=500),
                probe(),
            ],
            [HEAD, PROBE, PROBE],
            State.ALIVE,
            None,
            2,
        ),
        (
            [Fault("stalled")] * 9,
            [HEAD] * RETRY.attempts,
            State.FAILED,
            "stalled",
            RETRY.attempts,
        ),
    ],
)
def test_rungs(
    results: Sequence[Result],
    asked: list[Method],
    state: State,
    code: str | None,
    attempt: int,
) -> None:
    rig = audit(*results)
    assert rig.run().reason is EndReason.COMPLETE
    assert methods(rig) == asked
    settled = rig.settled(0)
    assert (settled.state, settled.code, settled.attempt) == (state, code, attempt)
    assert rig.frontier.held == 0


def test_rungs_are_no_redirects() -> None:
    """Five redirects are followed, however many methods it takes at their end."""
    urls = [f"http://a.test/{n}" for n in range(6)]
    scripts: dict[str, list[Result]] = {url: [Redirect(302, then)] for url, then in pairwise(urls)}
    scripts[urls[0]] = [Fault("http-4xx", http_status=405), Redirect(302, urls[1])]
    scripts[urls[3]] = [Fault("http-4xx", http_status=416), Redirect(302, urls[4])]
    scripts[urls[5]] = [image(picture(0), urls[5])]
    rig = Rig([row(0, urls[0])], scripts, method=Method.HEAD)
    rig.run()
    assert rig.state(0) is State.VERIFIED
    assert methods(rig) == [HEAD, *[PROBE] * 4, *[GET] * 3]


def test_every_rung_is_charged_to_the_budget() -> None:
    """Two requests per image and 2 a second: the last of 20 starts in the tenth second."""
    rows = [row(n, f"http://a.test/{n}") for n in range(20)]
    scripts: dict[str, list[Result]] = {
        r.url: [Fault("http-4xx", http_status=405), probe(r.url)] for r in rows
    }
    slow = GroupRule("slow", ("a.test",), HostBudget(rate=2.0, burst=1, concurrency=50))
    rig = Rig(rows, scripts, rules=[slow], method=Method.HEAD)
    rig.run()
    assert {rig.state(n) for n in range(20)} == {State.ALIVE}
    starts = sorted(asked.at for asked in rig.transport.asked)
    assert len(starts) == 40
    for n, at in enumerate(starts):
        assert at >= n / 2 - 1e-6


@pytest.mark.parametrize("code", ["no-route", "resolver-unreachable", "proxy-unreachable"])
def test_an_outage_of_ours_is_no_rot(code: str) -> None:
    rows = [row(n, f"http://{'ab'[n % 2]}.test/{n}") for n in range(40)]
    scripts: dict[str, list[Result]] = {r.url: [*[Fault(code)] * 30, head(r.url)] for r in rows}
    rig = Rig(rows, scripts, method=Method.HEAD)
    assert rig.run().reason is EndReason.COMPLETE
    assert {rig.state(n) for n in range(40)} == {State.ALIVE}
    assert {rig.settled(n).attempt for n in range(40)} == {1}
    assert all(outcome.code is None for outcome in rig.manifest.history)
    assert any(isinstance(event, Paused) for event in rig.events)


@pytest.mark.parametrize("code", ["connect-timeout", "stalled"])
def test_hosts_that_all_fall_silent_are_no_rot_either(code: str) -> None:
    rows = [row(n, f"http://{'abc'[n % 3]}.test/{n}") for n in range(6)]
    scripts: dict[str, list[Result]] = {
        r.url: [head(r.url)] if n < 3 else [Fault(code), head(r.url)] for n, r in enumerate(rows)
    }
    alone = HostBudget(rate=None, burst=1, concurrency=1)
    rig = Rig(rows, scripts, budget=alone, method=Method.HEAD)
    rig.prepare = lambda rig: setattr(rig.transport, "reachable", lambda _: False)
    rig.run()
    assert {rig.state(n) for n in range(6)} == {State.ALIVE}
    assert {rig.settled(n).attempt for n in range(6)} == {1}
    assert [event.code for event in rig.events if isinstance(event, Paused)] == ["network-down"]

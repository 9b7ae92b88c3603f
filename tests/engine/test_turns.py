"""A run whose requests wait for their connections: when they are sent, in virtual time."""

from __future__ import annotations

from pathlib import Path

import pytest

from fetcher.engine import EndReason
from fetcher.model import Fault, HostBudget, Partial, Redirect, State, Validators
from tests.engine.rig import Rig, picture, row
from tests.fakes.transport import image
from tests.policy.test_limits import assert_law_4

BUDGET = HostBudget(rate=5.0, burst=3, concurrency=16)
COUNT = 24


def url(n: int) -> str:
    return f"http://a.test/{n}"


def number(of: str) -> int:
    return int(of.rpartition("/")[2])


def rig(connecting: dict[int, float], **options: object) -> Rig:
    """Images of one host group; the n-th waits ``connecting[n]`` seconds for its connection."""

    def prepare(made: Rig) -> None:
        made.transport.connecting = lambda of: connecting.get(number(of), 0.0)

    rows = [row(n, url(n)) for n in range(COUNT)]
    scripts = {url(n): [image(picture(n), url(n))] for n in range(COUNT)}
    return Rig(rows, scripts, budget=BUDGET, prepare=prepare, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("connecting", "longest"),
    [
        ({}, 4.7),
        (dict.fromkeys(range(COUNT), 2.0), 6.7),
        ({n: 2.0 - n / 5 for n in range(9)}, 5.0),
        ({n: 0.3 * (n % 5) for n in range(COUNT)}, 7.0),
        ({n: 2.0 * (n % 2) for n in range(COUNT)}, 7.0),
    ],
    ids=["no wait", "all alike", "all ready at once", "some longer", "every other"],
)
def test_law_4_holds_as_it_is_sent_and_little_time_is_lost(
    connecting: dict[int, float], longest: float
) -> None:
    made = rig(connecting)
    assert made.run().reason is EndReason.COMPLETE
    sent = made.transport.times("http://a.test/")
    assert len(sent) == COUNT
    assert_law_4(sent, 5.0, BUDGET.burst)
    assert sent[-1] - sent[0] <= longest


def test_who_waits_for_a_connection_while_the_host_asks_for_rest_waits_in_line_again() -> None:
    made = rig({1: 1.0, 2: 1.0})
    made.scripts = dict(made.scripts)
    made.scripts[url(0)] = [
        Fault("rate-limited", http_status=429, retry_after=30.0),
        image(picture(0), url(0)),
    ]
    assert made.run().reason is EndReason.COMPLETE
    sent = made.transport.times("http://a.test/")
    refused = sent[0] + made.latency
    assert not [at for at in sent[3:] if refused + 0.2 < at < refused + 30]
    assert len(sent) == COUNT + 1
    assert {made.state(n) for n in range(COUNT)} == {State.VERIFIED}
    assert all(outcome.attempt == 1 for n in (1, 2) for outcome in made.history(n))


def test_who_is_turned_back_keeps_what_there_is_of_its_body() -> None:
    """It broke off in the middle; as it goes on, others make the host ask for rest."""
    begun = Partial(Path("spool/2"), 7, Validators('"tag"'))
    made = rig({1: 2.0, COUNT - 1: 1.0})
    made.scripts = dict(made.scripts)
    made.scripts[url(1)] = [Fault("truncated", partial=begun), image(picture(1), url(1))]
    # When it asks again, while 1 waits for its second connection:
    made.scripts[url(COUNT - 1)] = [
        Fault("rate-limited", http_status=429, retry_after=30.0),
        image(picture(COUNT - 1), url(COUNT - 1)),
    ]
    assert made.run().reason is EndReason.COMPLETE
    asked = [one for one in made.transport.asked if one.url == url(1)]
    assert [one.request.partial for one in asked] == [None, begun]
    assert asked[1].at > 30


def test_who_was_led_elsewhere_and_is_turned_back_there_is_not_led_there_again() -> None:
    there = [f"http://b.test/{n}" for n in range(2)]
    made = rig({})
    made.rows = [row(n, url(n)) for n in range(2)]
    made.scripts = {url(n): [Redirect(302, there[n])] for n in range(2)} | {
        there[0]: [image(picture(0), there[0])],
        there[1]: [
            Fault("rate-limited", http_status=429, retry_after=30.0),
            image(picture(1), there[1]),
        ],
    }

    def prepare(rig: Rig) -> None:
        rig.transport.connecting = lambda of: 1.0 if of == there[0] else 0.0

    made.prepare = prepare
    assert made.run().reason is EndReason.COMPLETE
    assert len(made.transport.times(url(0))) == 1
    (sent,) = made.transport.times(there[0])
    assert sent > 30
    assert made.settled(0).state is State.VERIFIED


def test_who_waits_for_its_turn_when_the_run_is_stopped_is_not_sent() -> None:
    made = rig(dict.fromkeys(range(COUNT), 1.0), at={1.5: lambda engine: engine.stop("enough")})
    assert made.run().reason is EndReason.STOPPED
    assert all(at <= 1.5 for at in made.transport.times("http://a.test/"))
    assert made.transport.in_flight == 0

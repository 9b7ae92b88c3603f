"""Hosts that take their time. The limits are short, so that each case takes a moment; what is
counted is what a slow machine cannot change.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Final

import pytest

from fetcher.demo.steps import SILENCE, Answer, Picture, Stall, Step, Trickle
from scripts.proofs.mirrors import Row
from tests.e2e.conftest import Bench

ATTEMPTS: Final = 2
SHOWN: Final = Picture(30_000, "slow")
SHORT: Final = {
    "fetch": {"timeout": {"connect": "300ms", "stall": "300ms", "total": "900ms"}},
    "retry": {"attempts": ATTEMPTS},
}
PATIENT: Final = {"retry": {"attempts": 5}}


@pytest.fixture
def deaf() -> Iterator[str]:
    """An address that takes connections and never says anything."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"127.0.0.1:{listener.getsockname()[1]}"


@pytest.fixture
def nobody() -> str:
    """An address where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return f"127.0.0.1:{listener.getsockname()[1]}"


def test_time_runs_out(bench: Bench, deaf: str, nobody: str) -> None:
    """Each in its own way, each attempt, and none of them stays in flight."""
    steps: dict[str, Step] = {
        "silence": SILENCE,
        "stalled": Answer(SHOWN, end=Stall(10_000)),
        "held": Answer(SHOWN, delay=60),
        "endless": Answer(SHOWN, pace=Trickle(1, 0.05)),
    }
    for name, step in steps.items():
        bench.web.serve(f"/{name}", step)
    urls = {name: f"http://{name}.slow.example/{name}" for name in steps}
    urls |= {name: f"https://{name}.example/{name}" for name in ("deaf", "nobody")}
    rows = [Row.of(name, url, SHOWN.data()) for name, url in urls.items()]
    config = bench.config(
        SHORT,
        {
            "network": {
                "connect_to": {
                    **bench.web.connect_to("*.slow.example"),
                    "deaf.example:443": deaf,
                    "nobody.example:443": nobody,
                }
            }
        },
    )
    assert bench.mirror(bench.rows(rows), config=config).code == 1
    assert {name: (image.state, image.code) for name, image in bench.images().items()} == {
        "silence": ("failed", "stalled"),
        "stalled": ("failed", "stalled"),
        "held": ("failed", "stalled"),
        "endless": ("failed", "total-timeout"),
        "deaf": ("failed", "connect-timeout"),
        "nobody": ("failed", "connection-refused"),
    }
    assert {image.attempts for image in bench.images().values()} == {ATTEMPTS}
    assert [bench.web.count(f"/{name}") for name in steps] == [ATTEMPTS] * len(steps)


@pytest.mark.parametrize(
    "slow",
    [
        SILENCE,
        Answer(SHOWN, end=Stall(0)),
        Answer(SHOWN, end=Stall(10_000)),
        Answer(SHOWN, pace=Trickle(1_000, 0.1)),
    ],
    ids=["silence", "before the body", "midway", "a trickle"],
)
def test_the_next_attempt_goes_on(slow: Step, bench: Bench) -> None:
    bench.web.serve("/slow", slow, Answer(SHOWN))
    listed = bench.rows([Row.of("slow", "http://slow.test/slow", SHOWN.data())])
    assert bench.mirror(listed, config=bench.config(SHORT, PATIENT)).code == 0
    first, second, *_ = bench.web.requests_to("/slow")
    assert "range" not in first.headers
    if isinstance(slow, Answer) and slow.end != Stall(0):
        offset = second.headers["range"].removeprefix("bytes=").removesuffix("-")
        assert 0 < int(offset) < SHOWN.size


def test_a_slow_image_that_keeps_coming_is_waited_for(bench: Bench) -> None:
    bench.web.serve("/slow", Answer(SHOWN, pace=Trickle(3_000, 0.05)))
    listed = bench.rows([Row.of("slow", "http://slow.test/slow", SHOWN.data())])
    patient = bench.config({"fetch": {"timeout": {"stall": "20s"}}})
    assert bench.mirror(listed, config=patient).code == 0
    assert bench.web.count() == 1

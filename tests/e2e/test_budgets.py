"""What a host group is allowed, as the host sees it."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fetcher.demo.images import picture
from fetcher.demo.journal import Served
from fetcher.demo.steps import HANG_UP, Answer, HttpDate, Picture, throttled
from scripts.proofs import rate
from scripts.proofs.mirrors import Row
from tests.e2e.conftest import Bench

CLOCKS: Final = 0.02
"""Seconds that the wall clock may move against the monotonic one."""
THROTTLED: Final = {"2.seconds.test": throttled(2), "2.date.test": throttled(HttpDate(2))}


@pytest.mark.parametrize("processes", [1, 2])
def test_a_rate_is_kept_in_every_window_and_used(processes: int, tmp_path: Path) -> None:
    report = rate.prove(tmp_path, seconds=3, processes=processes)
    assert report.holds, report


@given(st.lists(st.integers(0, 3_000), min_size=1, max_size=40), st.integers(1, 20))
def test_the_worst_window_is_the_worst(milliseconds: list[int], burst: int) -> None:
    times = [at / 1_000 for at in sorted(milliseconds)]
    worst = max(
        j - i + 1 - burst - 10 * (times[j] - times[i])
        for j in range(len(times))
        for i in range(j + 1)
    )
    assert rate.worst_window(times, 10, burst) == pytest.approx(worst)


def rows(host: str, count: int) -> list[Row]:
    return [
        Row.of(f"{host}-{n}", f"http://{n % 3}.{host}.test/pic/{n}/600.jpg", picture(f"{n}", 600))
        for n in range(count)
    ]


def test_retry_after_holds_for_the_whole_group_and_for_no_other(bench: Bench) -> None:
    """The third request to each of two groups is answered 429; a third group goes on."""
    for host, step in THROTTLED.items():
        bench.web.serve("/pic/2/600.jpg", step, Answer(Picture(600, "2")), host=host)
    config = bench.config(
        {
            "hosts": {
                "default": {"rate": "unlimited", "concurrency": 1},
                "groups": {"others": {"match": "*.others.test", "rate": 10, "burst": 1}},
            }
        }
    )
    listed = bench.rows([*rows("seconds", 12), *rows("date", 12), *rows("others", 20)])
    done = bench.mirror(listed, config=config)
    assert done.code == 0
    by_group: dict[str, list[Served]] = {}
    for request in bench.web.requests:
        by_group.setdefault(request.host.split(".")[1], []).append(request)
    assert {name: len(found) for name, found in by_group.items()} == {
        "seconds": 13,
        "date": 13,
        "others": 20,
    }
    stop, after = around_429(by_group["seconds"])
    assert after.at - stop.at >= 2
    others_went_on(by_group["others"], stop, after)
    stop, after = around_429(by_group["date"])
    assert after.wall >= math.ceil(stop.wall + 2) - CLOCKS
    others_went_on(by_group["others"], stop, after)


def around_429(requests: list[Served]) -> tuple[Served, Served]:
    """The request that was answered 429, and the one after it, of whichever image."""
    ((index, stop),) = (
        (n, served) for n, served in enumerate(requests) if served.step in THROTTLED.values()
    )
    return stop, requests[index + 1]


def others_went_on(others: list[Served], stop: Served, after: Served) -> None:
    assert sum(stop.at < request.at < after.at for request in others) >= 10


def test_a_connection_that_went_stale_costs_no_request_of_its_own(bench: Bench) -> None:
    """Every request is one that the budget knows of: client libraries like to repeat some."""
    bench.web.serve("/stale", HANG_UP)
    listed = bench.rows([*rows("group", 1), Row("stale", "http://0.group.test/stale")])
    alone = {"hosts": {"default": {"concurrency": 1}}, "retry": {"attempts": 1}}
    assert bench.mirror(listed, config=bench.config(alone)).code == 1
    first, stale = bench.web.requests
    assert stale.path == "/stale"
    assert stale.client == first.client

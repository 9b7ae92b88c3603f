"""Ways to stop, and what the exit code says; the same command goes on where the last one left off.

Images behind a gate are in flight until the test lets them go, so that a signal arrives when it
should and not when it happens to.
"""

from __future__ import annotations

import signal
import subprocess
import time
from collections import Counter
from itertools import cycle
from pathlib import Path
from typing import Final

import pytest

from fetcher.demo.steps import Answer, Picture, status, throttled
from scripts.proofs import laws, mirrors
from scripts.proofs.mirrors import Row
from tests.e2e.audits import select
from tests.e2e.conftest import Bench, finish

FREE: Final = 20
HELD: Final = 5
LINES: Final = mirrors.gallery(FREE)
IN_FLIGHT: Final = {"fetch": {"concurrency": HELD}, "run": {"drain": "10m"}}
STOPS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@pytest.fixture
def listed(bench: Bench) -> Path:
    """A list of images that are there at once, and then of some behind a gate."""
    held = []
    for n in range(HELD):
        shown = Picture(600, f"held {n}")
        bench.web.serve(f"/held/{n}", Answer(shown, gate="held"))
        url = f"http://{mirrors.HOST}/held/{n}"
        held.append(Row.of(f"held-{n}", url, shown.data()))
    # A lone host group is asked in the order of the list.
    return bench.rows([*LINES, *held])


def until_held(bench: Bench, listed: Path, **layers: object) -> subprocess.Popen[str]:
    """A mirror that has all of the gated images in flight, and nothing else to do."""
    process = bench.start(listed, config=bench.config(IN_FLIGHT, layers))
    bench.web.arrived(FREE + HELD)
    return process


def read_until(process: subprocess.Popen[str], words: str) -> None:
    assert process.stderr is not None
    for line in process.stderr:
        if words in line:
            return
    pytest.fail(f"it never said {words!r}")


def requests(bench: Bench) -> Counter[str]:
    return Counter(request.path for request in bench.web.requests)


def held_states(bench: Bench) -> Counter[str]:
    return Counter(image.state for name, image in bench.images().items() if name.startswith("held"))


@pytest.mark.parametrize("number", STOPS, ids=lambda number: number.name)
def test_a_signal_lets_those_in_flight_finish(
    number: signal.Signals, bench: Bench, listed: Path
) -> None:
    process = until_held(bench, listed)
    process.send_signal(number)
    read_until(process, f"stopping ({number.name}): waiting for {HELD} in flight")
    bench.web.open("held")
    assert finish(process).code == 3
    assert laws.breaches(bench.directory, finished=True) == []
    assert held_states(bench) == {"verified": HELD}
    assert bench.mirror(listed).code == 0
    assert bench.web.count() == FREE + HELD


@pytest.mark.parametrize("number", STOPS[:2], ids=lambda number: number.name)
def test_a_second_signal_stops_at_once(number: signal.Signals, bench: Bench, listed: Path) -> None:
    process = until_held(bench, listed)
    process.send_signal(number)
    read_until(process, "stopping")
    process.send_signal(number)
    done = finish(process)
    assert done.code == 3
    assert "Traceback" not in done.err
    assert laws.breaches(bench.directory, finished=True) == []
    assert held_states(bench) == {"pending": HELD}
    bench.web.open("held")
    assert bench.mirror(listed).code == 0
    assert set(requests(bench).values()) == {1, 2}
    assert bench.web.count() == FREE + 2 * HELD


@pytest.mark.parametrize("command", ["mirror", "audit"])
def test_no_number_of_signals_kills_a_run_that_is_told_to_stop(
    command: str, bench: Bench, listed: Path
) -> None:
    """They come until the process is gone: its end is written all the same."""
    process = (
        until_held(bench, listed)
        if command == "mirror"
        else mirrors.start(
            *("audit", listed, "--method", "get", "--to", bench.directory),
            *("--config", bench.config(IN_FLIGHT)),
        )
    )
    bench.web.arrived(FREE + HELD)
    for number in cycle(STOPS):
        if process.poll() is not None:
            break
        process.send_signal(number)
        time.sleep(0.001)
    done = finish(process)
    assert (done.code, select(bench, "SELECT exit_code FROM runs")) == (3, [(3,)])
    assert "The same command" in done.err
    assert laws.breaches(bench.directory, finished=True) == []
    bench.web.open("held")
    again = mirrors.start(command, listed, "--to", bench.directory, "--config", bench.config())
    assert finish(again).code == 0


def test_the_drain_is_bounded(bench: Bench, listed: Path) -> None:
    process = until_held(bench, listed, run={"drain": "50ms"})
    process.send_signal(signal.SIGINT)
    done = finish(process)
    assert done.code == 3
    assert "The same command resumes" in done.err
    assert laws.breaches(bench.directory, finished=True) == []
    assert held_states(bench) == {"pending": HELD}
    assert all(image.attempts == 0 for image in bench.images().values() if image.path is None)


def test_a_signal_while_a_host_is_left_alone(bench: Bench) -> None:
    """The attempts that were spent stay spent, and the host stays left alone."""
    bench.web.serve("/busy", throttled(3_600), status(503))
    listed = bench.rows([Row("a", f"http://{mirrors.HOST}/busy")])
    process = bench.start(listed)
    read_until(process, "is left alone for 1h 00m (rate-limited)")
    process.send_signal(signal.SIGTERM)
    assert finish(process).code == 3
    assert laws.breaches(bench.directory, finished=True) == []
    (image,) = bench.images().values()
    assert (image.state, image.code, image.attempts) == ("pending", "rate-limited", 1)
    status_now = bench.status()
    assert status_now["codes"] == {"rate-limited": 1}
    ((_, held),) = status_now["hosts"].items()
    assert held["left_alone_code"] == "rate-limited"
    again = bench.mirror(listed, options="--max-runtime 300ms")
    assert again.code == 3
    assert "left alone for 1h 00m" in again.err or "left alone for 59m" in again.err
    assert bench.web.count() == 1
    less_patient = bench.config({"retry": {"max_retry_after": "100ms"}})
    assert bench.mirror(listed, config=less_patient).code == 1
    (image,) = bench.images().values()
    assert (image.state, image.code, image.attempts) == ("failed", "http-5xx", 3)
    assert bench.web.count() == 3


def test_max_runtime(bench: Bench, listed: Path) -> None:
    slow = bench.config({"hosts": {"default": {"rate": 4, "burst": 1}}})
    done = bench.mirror(listed, config=slow, options="--max-runtime 300ms")
    assert done.code == 3
    assert "run.max_runtime" in done.err
    assert 0 < bench.web.count() < FREE
    bench.web.open("held")
    assert bench.mirror(listed).code == 0
    assert bench.web.count() == FREE + HELD


def test_limit_settles_exactly_so_many_each_time(bench: Bench) -> None:
    bench.web.serve("/gone", status(404))
    bench.web.serve("/busy", status(503))
    lost = [Row(name, f"http://{mirrors.HOST}/{name}") for name in ("gone", "busy")]
    listed = bench.rows([*LINES, *lost])
    settled = []
    for code in (3, 3, 3, 1):
        done = bench.mirror(listed, options="--limit 7")
        assert done.code == code
        settled.append(len(laws.snapshot(bench.directory).settled))
    assert settled == [7, 14, 21, 22]
    assert requests(bench)["/busy"] == 3
    assert bench.web.count() == FREE + 1 + 3


def test_a_limit_that_is_just_enough_is_no_early_stop(bench: Bench) -> None:
    assert bench.mirror(bench.rows(LINES), options=f"--limit {FREE}").code == 0


def test_a_limit_that_is_reached_while_the_list_is_read_is_not_the_end(bench: Bench) -> None:
    """All that was read is settled then, and the rest is unknown."""
    unread = [Row(f"no-url-{n}", "no url") for n in range(40_000)]
    listed = bench.rows([LINES[0], *unread])
    done = bench.mirror(listed, options="--limit 1")
    whole = bench.status()["rows"]["read"] == len(unread) + 1
    assert bench.status()["states"]["pending"] == 0
    assert done.code == (1 if whole else 3)


def test_a_second_run_is_refused_and_harms_nothing(bench: Bench, listed: Path) -> None:
    process = until_held(bench, listed)
    second = bench.start(listed)
    refused = finish(second)
    assert refused.code == 2
    assert f"Process {process.pid} " in refused.err
    assert bench.status()["states"]["pending"] >= HELD
    bench.web.open("held")
    assert finish(process).code == 0
    assert laws.breaches(bench.directory, finished=True) == []
    assert bench.web.count() == FREE + HELD


@pytest.mark.parametrize(
    ("share", "code"), [("0%", 1), ("19%", 1), ("20%", 0), ("0.2", 0), ("100%", 0)]
)
def test_tolerate(share: str, code: int, bench: Bench) -> None:
    lost = [Row(f"lost-{n}", f"http://{mirrors.HOST}/lost/{n}") for n in range(2)]
    listed = bench.rows([*LINES[:8], *lost])
    assert bench.mirror(listed, options=f"--tolerate {share}").code == code


def test_a_full_disk_stops_before_anything_is_asked(bench: Bench) -> None:
    done = bench.mirror(bench.rows(LINES), config=bench.config({"store": {"min_free": "1000TB"}}))
    assert done.code == 4
    assert "Free some room or lower store.min_free" in " ".join(done.err.split())
    assert "\\n" not in done.err
    assert bench.web.count() == 0


def test_a_full_disk_changes_no_state(bench: Bench) -> None:
    listed = bench.rows(LINES)
    bench.mirror(listed, options="--limit 5")
    before = bench.images()
    done = bench.mirror(listed, config=bench.config({"store": {"min_free": "1000TB"}}))
    assert done.code == 4
    assert bench.images() == before
    assert bench.mirror(listed).code == 0
    assert bench.web.count() == FREE

"""A mirror with several worker processes: what is true of one holds for all of them."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Final

import pytest

from fetcher.cli.commands import cli
from fetcher.demo.steps import Answer, Close, Picture, status
from fetcher.errors import WorkerBrokeError, WorkersLostError
from scripts.proofs import family, laws, mirrors
from scripts.proofs.mirrors import Row
from tests.e2e.conftest import Bench, fetcher, finish
from tests.e2e.littleweb import PATIENCE
from tests.e2e.test_stopping import read_until

TWO_AT_ONCE: Final = 32
TWO: Final = {
    "fetch": {"processes": 2, "concurrency": TWO_AT_ONCE},
    "hosts": {"default": {"adapt": False}},
}
LARGE: Final = Picture(300_000, "large")
HELD: Final = 16


def workers(process: subprocess.Popen[str]) -> list[int]:
    """Its worker processes."""
    if not Path(f"/proc/{process.pid}/task/{process.pid}/children").exists():
        pytest.skip("this system does not tell the children of a process")
    return family.workers(process.pid)


def held(bench: Bench, count: int) -> list[Row]:
    rows = []
    for n in range(count):
        shown = Picture(600, f"held {n}")
        bench.web.serve(f"/held/{n}", Answer(shown, gate="held"))
        url = f"http://{mirrors.HOST}/held/{n}"
        rows.append(Row.of(f"held-{n}", url, shown.data()))
    return rows


def test_two_processes_do_what_one_does(bench: Bench) -> None:
    """Also what takes several requests, and a file between them."""
    bench.web.serve("/gone", status(404))
    bench.web.serve("/cut", Answer(LARGE, end=Close(150_000)), Answer(LARGE))
    special = [
        Row("gone", f"http://{mirrors.HOST}/gone"),
        Row.of("cut", f"http://{mirrors.HOST}/cut", LARGE.data()),
    ]
    listed = bench.rows([*special, *mirrors.gallery(300)])
    spooled = {"fetch": {"spool_above": 50_000}}
    done = finish(bench.start(listed, config=bench.config(TWO, spooled), options="--json"))
    assert (done.code, done.err.count("Traceback")) == (1, 0), done
    states = done.json["states"]
    assert (states["verified"], states["gone"]) == (301, 1)
    assert laws.breaches(bench.directory, finished=True) == []
    assert bench.web.count() == 303
    assert bench.web.requests_to("/cut")[1].headers["range"] == "bytes=150000-"


def test_a_worker_that_is_killed_is_replaced(bench: Bench) -> None:
    listed = bench.rows([*held(bench, HELD), *mirrors.gallery(200)])
    process = bench.start(listed, config=bench.config(TWO))
    bench.web.arrived(HELD)
    killed = workers(process)
    assert len(killed) == 2
    os.kill(killed[0], signal.SIGKILL)
    read_until(process, "worker-lost")
    bench.web.open("held")
    done = finish(process)
    assert (done.code, done.err.count("Traceback")) == (0, 0), done
    assert laws.breaches(bench.directory, finished=True) == []
    images = bench.images().values()
    assert {image.state for image in images} == {"verified"}
    assert {image.attempts for image in images} == {1}
    assert bench.web.count() <= len(images) + TWO_AT_ONCE


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (WorkerBrokeError("Traceback:\n  a bug\n"), "Traceback:\n  a bug\n"),
        (WorkersLostError("They died."), "fetcher: They died.\n  Mostly memory has run out; "),
    ],
)
def test_how_it_is_told_that_workers_end_the_run(
    monkeypatch: pytest.MonkeyPatch, error: Exception, told: str
) -> None:
    def end(**_: object) -> None:
        raise error

    monkeypatch.setattr(cli, "main", end)
    done = fetcher("status")
    assert (done.code, done.err[: len(told)]) == (4, told)
    assert "errors.py" not in done.err
    assert done.err.count("Traceback") == told.count("Traceback")


def test_workers_die_with_the_run(bench: Bench) -> None:
    listed = bench.rows([*mirrors.gallery(20), *held(bench, HELD)])
    process = bench.start(listed, config=bench.config(TWO))
    bench.web.arrived(20 + HELD)
    orphans = workers(process)
    process.kill()
    finish(process)
    deadline = time.monotonic() + PATIENCE
    while any(Path(f"/proc/{pid}/exe").exists() for pid in orphans):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert laws.breaches(bench.directory) == []
    bench.web.open("held")
    assert bench.mirror(listed).code == 0
    assert bench.web.count() <= 20 + HELD + TWO_AT_ONCE  # what a kill may cost


def test_a_signal_to_all_of_them_lets_those_in_flight_finish(bench: Bench) -> None:
    """As Ctrl-C on a terminal does."""
    listed = bench.rows(held(bench, HELD))
    process = bench.start(listed, config=bench.config(TWO))
    bench.web.arrived(HELD)
    for pid in (process.pid, *workers(process)):
        os.kill(pid, signal.SIGINT)
    read_until(process, f"waiting for {HELD} in flight")
    bench.web.open("held")
    done = finish(process)
    assert (done.code, done.err.count("Traceback")) == (3, 0)
    assert {image.state for image in bench.images().values()} == {"verified"}


def test_a_second_signal_stops_them_at_once(bench: Bench) -> None:
    listed = bench.rows(held(bench, HELD))
    process = bench.start(listed, config=bench.config(TWO))
    bench.web.arrived(HELD)
    process.send_signal(signal.SIGTERM)
    read_until(process, "stopping")
    process.send_signal(signal.SIGTERM)
    assert finish(process).code == 3
    assert laws.breaches(bench.directory, finished=True) == []
    assert {image.state for image in bench.images().values()} == {"pending"}
    bench.web.open("held")


def test_after_two_runs_that_died_a_worker_is_sent_ahead(bench: Bench) -> None:
    """Where a run would do everything itself, an image that kills it would do so for ever."""
    listed = bench.rows(held(bench, HELD))
    auto = {"fetch": {"processes": "auto", "concurrency": HELD}}
    alone = bench.config(TWO, auto)
    for _ in range(2):
        process = bench.start(listed, config=alone)
        bench.web.arrived(bench.web.count() + HELD)
        assert workers(process) == []
        process.kill()
        assert "ended without a word" not in finish(process).err
    before = bench.web.count()
    process = bench.start(listed, config=alone)
    read_until(process, "the last 2 runs ended without a word")
    bench.web.arrived(before + HELD)
    (worker,) = workers(process)
    os.kill(worker, signal.SIGKILL)
    read_until(process, "worker-lost")
    bench.web.open("held")
    assert finish(process).code == 0
    assert {image.attempts for image in bench.images().values()} == {1}
    again = bench.mirror(listed, config=alone)
    assert (again.code, "ended without a word" in again.err) == (0, False)

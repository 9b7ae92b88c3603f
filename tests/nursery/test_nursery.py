"""Workers come from a nursery: how they begin and end, and what becomes of them without it."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

import pytest

from fetcher.engine.workforce import hire, hired
from fetcher.nursery import hiring
from fetcher.nursery.hiring import Hired, Nursery, nursery
from scripts.proofs import family
from tests.fakes.byurl import ByUrlRecipe

PATIENCE = 60.0
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")


class Ending(ByUrlRecipe):
    """Of workers that end as soon as they begin."""

    def __init__(self, how: int) -> None:
        self.how = how

    def loop(self) -> asyncio.AbstractEventLoop:
        if self.how < 0:
            os.kill(os.getpid(), -self.how)
        raise SystemExit(self.how)


class Unreadable(ByUrlRecipe):
    """Cannot be unpickled."""

    def __reduce__(self) -> tuple[object, ...]:
        return (_fail, ())


def _fail() -> NoReturn:
    raise ZeroDivisionError


@pytest.fixture(scope="module")
def nurse() -> Iterator[Nursery]:
    with nursery(("tests.fakes.byurl",)) as one:
        yield one


def until_ended(worker: Hired) -> None:
    assert worker.has_ended(PATIENCE)


def open_in(worker: Hired) -> list[str]:
    """What its descriptors are of; nothing if they change just now."""
    with suppress(FileNotFoundError):
        return [str(link.readlink()) for link in Path(f"/proc/{worker.pid}/fd").iterdir()]
    return []


def discard(worker: Hired) -> None:
    worker.end.close()
    worker.see_off()


def test_workers_that_were_never_used_are_seen_off(nurse: Nursery) -> None:
    before = len(os.listdir("/dev/fd"))  # noqa: PTH208  names alone
    with hired(nurse, ByUrlRecipe(), 3) as force:
        assert all(worker.lives for worker in force.workers)
        assert len({worker.pid for worker in force.workers}) == 3
        assert {worker.exit_code for worker in force.workers} == {None}
    assert not any(worker.lives for worker in force.workers)
    assert len(os.listdir("/dev/fd")) == before  # noqa: PTH208


def test_workers_that_hang_are_seen_off(nurse: Nursery, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hiring, "GRACE", 0.1)
    with hired(nurse, ByUrlRecipe(), 2) as force:
        for worker in force.workers:
            assert worker.pid is not None
            os.kill(worker.pid, signal.SIGSTOP)
    assert not any(worker.lives for worker in force.workers)


@pytest.mark.parametrize("how", [0, 3, -signal.SIGKILL, -signal.SIGSEGV])
def test_it_is_told_how_a_worker_ended(nurse: Nursery, how: int) -> None:
    # It is caught: a worker ends in good order, or as it must.
    worker = hire(nurse, Ending(how))
    until_ended(worker)
    assert worker.exit_code == (how if how < 0 else 1)
    worker.kill()  # nobody else, by now
    discard(worker)


def test_a_worker_that_ends_in_good_order_says_so(nurse: Nursery) -> None:
    worker = hire(nurse, ByUrlRecipe())
    worker.end.close()
    until_ended(worker)
    assert worker.exit_code == 0
    worker.see_off()
    worker.see_off()
    assert (worker.lives, worker.exit_code) == (False, 0)


def test_what_a_worker_cannot_read_ends_it_alone(capfd: pytest.CaptureFixture[str]) -> None:
    with nursery() as one:
        worker = hire(one, Unreadable())
        until_ended(worker)
        assert worker.exit_code == 1
        assert "ZeroDivisionError" in capfd.readouterr().err
        discard(worker)
        with hired(one, ByUrlRecipe(), 1) as force:
            assert force.workers[0].lives


def test_a_recipe_may_be_long(nurse: Nursery) -> None:
    """As with a map of many addresses: longer than a socket holds."""
    recipe = ByUrlRecipe()
    recipe.__dict__["map"] = "x" * (4 << 20)
    with hired(nurse, recipe, 2) as force:
        assert all(worker.lives for worker in force.workers)


def test_another_nursery_takes_the_place_of_one_that_was_killed() -> None:
    with nursery() as one:
        first = hire(one, ByUrlRecipe())
        assert first.lives
        os.kill(one._pid, signal.SIGKILL)
        until_ended(first)
        assert first.end.recv(1) == b""
        assert first.exit_code is None
        discard(first)
        second = hire(one, ByUrlRecipe())
        assert second.lives
        discard(second)
        assert second.exit_code == 0


def test_a_nursery_begins_when_it_is_asked_if_it_should_not_before() -> None:
    with nursery(at_once=False) as one:
        assert one._control is None
        with hired(one, ByUrlRecipe(), 1) as force:
            assert force.workers[0].lives


def test_a_worker_that_cannot_be_had_is_no_worker() -> None:
    ours, theirs = socket.socketpair()
    reading, writing = os.pipe()
    theirs.close()
    os.close(writing)
    worker = Hired(ours, reading)
    assert (worker.pid, worker.lives, worker.exit_code) == (None, False, None)
    worker.kill()
    discard(worker)


@LINUX
def test_nothing_of_the_runs_is_left_open_in_a_worker(nurse: Nursery) -> None:
    """Else no worker would see its run go, nor a run its workers."""
    with hired(nurse, ByUrlRecipe(), 2) as force:
        held = []
        for worker in force.workers:
            deadline = time.monotonic() + PATIENCE
            links: list[str] = []
            while not any("eventpoll" in link for link in links):  # its loop runs by then
                assert time.monotonic() < deadline
                links = open_in(worker)
            held.append({link for link in links if link.startswith("pipe:")})
        ours = {str(Path(f"/proc/self/fd/{worker._status}").readlink()) for worker in force.workers}
        assert not any(pipes & ours for pipes in held)
        first, second = force.workers
        first.end.close()
        until_ended(first)
        assert second.lives


@LINUX
def test_interrupts_are_the_runs_business() -> None:
    """A terminal sends them to all; also while a nursery has only begun."""
    with nursery() as fresh:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            os.kill(fresh._pid, number)
        with hired(fresh, ByUrlRecipe(), 1) as force:
            worker = force.workers[0]
            assert worker.pid is not None
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                os.kill(fresh._pid, number)
                os.kill(worker.pid, number)
            again = hire(fresh, ByUrlRecipe())
            assert again.lives
            assert worker.lives
            assert family.children(fresh._pid) == [worker.pid, again.pid]
            discard(again)

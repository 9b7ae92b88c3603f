"""The crew in this process and the one of several: one suite; and what only the latter can do."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pytest
from msgspec import structs
from msgspec.structs import replace

from fetcher.engine import TaskCrew, processes
from fetcher.engine.courier import Courier
from fetcher.engine.processes import ProcessCrew, comes_through
from fetcher.engine.workforce import Workforce, hire, hired
from fetcher.errors import WorkersLostError
from fetcher.model import (
    Arrival,
    Body,
    Fault,
    Found,
    Keep,
    Landed,
    Method,
    Receipt,
    Redirect,
    State,
    Verdict,
)
from fetcher.nursery.hiring import Hired, Nursery, nursery
from fetcher.policy.deaths import GIVE_UP
from fetcher.policy.suspects import APART, BY_CRASH, GUILT
from fetcher.ports import Abandoned, Arrived, Errand, Refused, Report, Step
from tests.conformance.crew_suite import PATIENCE, Book, CrewSuite, errand
from tests.fakes.byurl import ByUrlRecipe

WIDE = 64
RECEIPT = Receipt(3, "md5", None, "http://h.test/image/1", 200)


class Resending(Book):
    """A book that sends again what was lost with a worker, as the engine does."""

    def __init__(self, crew: ProcessCrew) -> None:
        super().__init__(crew)
        self.sent: dict[int, Errand] = {}
        self.final: dict[int, object] = {}
        self.deaths: set[str] = set()
        """By what is said of them."""

    def deliver(self, reports: Sequence[Report]) -> None:
        for report in reports:
            asset_id, result = report.asset_id, report.result
            fault = result.fault if isinstance(result, Refused) else result
            if isinstance(fault, Fault) and fault.code == "worker-lost":
                self.deaths.add(fault.detail)
                # A moment later: a run pauses.
                asyncio.get_running_loop().call_later(0.05, self.crew.send, self.sent[asset_id])
            elif not isinstance(result, Arrived | Step):
                self.final[asset_id] = result
        super().deliver(reports)


@dataclass
class Doomed(Book):
    """A book of images of which each kills its worker, with a rate."""

    kind: str = "kill"

    def deliver(self, reports: Sequence[Report]) -> None:
        for report in reports:
            if not isinstance(report.result, Step):
                asyncio.get_running_loop().call_later(0.05, self.send_another)
        super().deliver(reports)

    def send_another(self) -> None:
        self.crew.send(structs.replace(errand(len(self.reports), self.kind), leave=True))


class Stillborn(ByUrlRecipe):
    """Of workers that end before they have begun."""

    def loop(self) -> asyncio.AbstractEventLoop:
        raise SystemExit(1)


class TestTaskCrew(CrewSuite):
    @pytest.fixture
    async def crew(self) -> TaskCrew:
        return ByUrlRecipe().crew()


@pytest.fixture(scope="module")
def nurse() -> Iterator[Nursery]:
    with nursery(("tests.fakes.byurl",)) as one:
        yield one


@pytest.fixture
def force(nurse: Nursery) -> Iterator[Workforce]:
    with hired(nurse, ByUrlRecipe(), 2) as started:
        yield started
    assert not any(worker.lives for worker in started.workers)


@pytest.fixture
def crew(force: Workforce) -> ProcessCrew:
    return ProcessCrew(force, lambda _: WIDE)


class TestProcessCrew(CrewSuite):
    @pytest.fixture
    def crew(self, force: Workforce) -> ProcessCrew:
        return ProcessCrew(force, lambda _: WIDE)

    async def test_a_worker_that_dies_is_replaced_and_its_errands_return(
        self, crew: ProcessCrew
    ) -> None:
        book = Book(crew)
        await book.start()
        for n in range(20):
            crew.send(errand(n, "never"))
        crew.send(errand(20, "kill"))
        crew.send(errand(21, "kill"))
        await book.until_ended(22)
        assert {r.result.code for r in book.reports if isinstance(r.result, Fault)} == {
            "worker-lost"
        }
        assert book.errors == []
        await asyncio.wait(crew._burying)
        for n in range(30, 40):
            crew.send(errand(n, "image"))
        await book.until_ended(32)
        assert book.kinds() == {"Fault": 22, "Arrived": 10, "Landed": 10}
        await crew.close(PATIENCE)

    async def test_who_kills_each_worker_that_gets_it_is_found_among_many(
        self, crew: ProcessCrew
    ) -> None:
        """And all others come through, whoever they were together with."""
        book = Resending(crew)
        await book.start()
        for n in range(60):
            book.sent[n] = errand(n, "crash" if n in {7, 33} else "later")
            crew.send(book.sent[n])
        async with asyncio.timeout(PATIENCE):
            while len(book.final) < 60 and not book.errors:
                book.news.clear()
                await book.news.wait()
        assert book.errors == []
        for n in range(60):
            result = book.final[n]
            if n in {7, 33}:
                assert isinstance(result, Fault)
                assert result.code == "crashed"
            else:
                assert isinstance(result, Landed)
        assert len(book.deaths) < 2 * (APART + GUILT // BY_CRASH)  # of all but the last ones
        await crew.close(PATIENCE)

    async def test_with_one_worker_left_suspects_are_no_less_apart(self, crew: ProcessCrew) -> None:
        book = Resending(crew)
        await book.start()
        other = crew._workers.pop()  # as if it had died, and its successor were long in coming
        for n in range(20):
            book.sent[n] = errand(n, "crash" if n == 7 else "later")
            crew.send(book.sent[n])
        async with asyncio.timeout(PATIENCE):
            while len(book.final) < 20 and not book.errors:
                book.news.clear()
                await book.news.wait()
        crashed = [n for n, result in book.final.items() if isinstance(result, Fault)]
        assert (book.errors, crashed) == ([], [7])
        crew._workers.append(other)
        await crew.close(PATIENCE)

    async def test_a_suspect_gives_its_leave_back_while_it_waits_for_the_cell(
        self, crew: ProcessCrew
    ) -> None:
        book = Book(crew)
        await book.start()
        crew.send(errand(1, "kill"))
        await book.until_ended(1)
        crew._suspects.deaths = dict.fromkeys((2, 3), APART)
        for n in (2, 3):
            crew.send(structs.replace(errand(n, "later"), leave=True))
        for n in (2, 3):
            await book.until(n, Step.READY)
            crew.may_send(n)
        await book.until_ended(3)
        assert book.of(2)[:3] == [Step.PUT_OFF, Step.READY, Step.SENT]
        order = [report.asset_id for report in book.reports if report.result is Step.SENT]
        assert order == [2, 3]
        await crew.close(PATIENCE)

    @pytest.mark.parametrize("ending", ["its worker dies", "the run ends"])
    async def test_that_leave_is_given_back_is_told_before_the_end(
        self, crew: ProcessCrew, ending: str
    ) -> None:
        """Also where that comes in the same turn of the loop."""
        book = Book(crew)
        await book.start()
        crew._suspects.deaths = dict.fromkeys((1, 2), APART)
        crew.send(errand(1, "never"))
        await asyncio.sleep(0)
        crew.send(structs.replace(errand(2, "never"), leave=True))
        if ending == "the run ends":
            await crew.close(0.0)
            assert book.of(2) == [Step.PUT_OFF, Abandoned()]
            return
        cell = crew._cell
        assert cell is not None
        assert cell.hired.pid is not None
        os.kill(cell.hired.pid, signal.SIGKILL)
        crew._lost(cell)
        await book.until_ended(2)
        put_off, lost = book.of(2)
        assert (put_off, isinstance(lost, Fault)) == (Step.PUT_OFF, True)
        await crew.close(PATIENCE)
        assert len(book.of(2)) == 2

    async def test_who_is_turned_back_is_no_less_suspected(self, crew: ProcessCrew) -> None:
        """Nothing of it has come through."""
        book = Book(crew)
        await book.start()
        crew._suspects.deaths = dict.fromkeys((1, 2), APART)
        for n in (1, 2):
            crew.send(structs.replace(errand(n, "image"), leave=False))
        for n in (1, 2):
            await book.until(n, Step.READY)
            crew.turn_back(n)
        await book.until_ended(2)
        assert book.kinds() == {"Step": 2, "TurnedBack": 2}
        assert crew._suspects.deaths == dict.fromkeys((1, 2), APART)
        assert not any(worker.out for worker in crew._workers)
        await crew.close(PATIENCE)

    async def test_what_waits_for_the_cell_when_the_run_ends_is_abandoned(
        self, crew: ProcessCrew
    ) -> None:
        book = Book(crew)
        await book.start()
        crew._suspects.deaths = dict.fromkeys((1, 2), APART)
        for n in (1, 2):
            crew.send(errand(n, "never"))
        async with asyncio.timeout(PATIENCE):
            await crew.close(0.0)
        assert book.kinds() == {"Abandoned": 2}

    async def test_workers_that_died_leave_nothing(self, crew: ProcessCrew) -> None:
        """Neither descriptors nor objects, not even until garbage is collected, which a run may not
        do for hours.
        """
        book = Book(crew)
        await book.start()
        held = []
        objects = []
        gc.collect()
        gc.disable()
        try:
            for n in range(4):
                crew.send(errand(2 * n, "kill"))
                await book.until_ended(2 * n + 1)
                await asyncio.wait(crew._burying)
                crew.send(errand(2 * n + 1, "image"))  # else it gives up
                await book.until_ended(2 * n + 2)
                held.append(len(os.listdir("/proc/self/fd")))  # noqa: PTH208  as it is quick
                objects.append(sum(isinstance(one, Courier) for one in gc.get_objects()))
        finally:
            gc.enable()
        await crew.close(PATIENCE)
        assert held[-1] == held[0]
        assert objects[-1] <= 2  # of the two that live

    async def test_without_any_worker_an_errand_comes_back_at_once(self, crew: ProcessCrew) -> None:
        book = Book(crew, next=[errand(9, "image")])
        await book.start()
        crew.send(errand(1, "kill"))
        crew.send(errand(2, "kill"))
        await book.until_ended(3)
        assert [r.result.code for r in book.reports if isinstance(r.result, Fault)] == [
            "worker-lost"
        ] * 3
        await crew.close(PATIENCE)

    @pytest.mark.parametrize(("kind", "sent"), [("kill", 0), ("fatal", GIVE_UP)])
    async def test_workers_that_only_die_end_the_run(
        self, crew: ProcessCrew, kind: str, sent: int
    ) -> None:
        """That a request was sent, which is told where there is a rate, is no sign of health."""
        book = Doomed(crew, kind=kind)
        await book.start()
        book.send_another()
        await book.until_ended(10_000)
        assert isinstance(book.errors[0], WorkersLostError)
        assert str(GIVE_UP) in str(book.errors[0])
        assert sum(report.result is Step.SENT for report in book.reports) == sent
        await crew.close(0.0)

    async def test_deadly_images_that_come_in_turns_are_found(
        self, crew: ProcessCrew, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """As they do from hosts that have a rate each: all have died alone before one is found."""
        monkeypatch.setattr(processes, "FIRST_WAIT", 0.001)
        monkeypatch.setattr(processes, "LONGEST_WAIT", 0.001)
        book = Book(crew)
        await book.start()
        bombs = range(GIVE_UP - 1)
        for n in bombs:  # together
            crew.send(errand(n, "kill"))
        ended = len(bombs)
        await book.until_ended(ended)
        for _ in range(GUILT):
            for n in bombs:
                if crew._burying:
                    await asyncio.wait(crew._burying)
                assert book.errors == []
                crew.send(errand(n, "kill"))
                ended += 1
                await book.until_ended(ended)
        last = book.reports[-len(bombs) :]
        assert {r.result.code for r in last if isinstance(r.result, Fault)} == {"crashed"}
        assert {r.asset_id for r in last} == set(bombs)
        await crew.close(PATIENCE)

    @pytest.mark.parametrize("failures", [GIVE_UP // 4, 10**6])
    async def test_a_worker_that_cannot_be_started_is_tried_again(
        self, force: Workforce, monkeypatch: pytest.MonkeyPatch, failures: int
    ) -> None:
        """For as long as that may be why: no memory left for a moment, or no process more."""
        monkeypatch.setattr(processes, "FIRST_WAIT", 0.01)
        left = [failures]

        def hire() -> Hired:
            left[0] -= 1
            if left[0] >= 0:
                raise BlockingIOError(11, "Resource temporarily unavailable")
            return force.hire()

        crew = ProcessCrew(replace(force, hire=hire), lambda _: WIDE)
        book = Book(crew)
        await book.start()
        crew.send(errand(1, "kill"))
        await book.until_ended(1)
        await asyncio.wait(crew._burying)
        if failures < GIVE_UP:
            assert (book.errors, len(crew._workers)) == ([], 2)
            await crew.close(PATIENCE)
        else:
            assert isinstance(book.errors[0], WorkersLostError)
            assert "Resource temporarily unavailable" in str(book.errors[0])
            assert failures - left[0] == GIVE_UP
            await crew.close(0.0)

    async def test_places_in_which_workers_only_die_are_filled_ever_later(
        self, nurse: Nursery, force: Workforce, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """However healthy the others are; and who ended something is replaced at once."""
        waits: list[int] = []

        class Watched(ProcessCrew):
            async def _wait_after(self, vain: int) -> None:
                waits.append(vain)
                await super()._wait_after(vain)

        monkeypatch.setattr(processes, "FIRST_WAIT", 0.01)
        bad = 4

        def another() -> Hired:
            return hire(nurse, Stillborn() if len(waits) < bad else ByUrlRecipe())

        crew = Watched(replace(force, hire=another), lambda _: WIDE)
        book = Book(crew)
        await book.start()
        crew.send(errand(0, "kill"))
        await book.until_ended(1)
        async with asyncio.timeout(PATIENCE):
            n = 0
            while len(crew._workers) < 2 or len(waits) < bad:
                n += 1
                crew.send(errand(n, "image"))  # most of them to the one that lives
                await book.until_ended(n + 1)
                await asyncio.sleep(0.01)
        assert waits == [2, 3, 4, 5]
        new = crew._workers[-1]
        assert new.vain == 5
        new.of_use = True
        assert new.hired.pid is not None
        os.kill(new.hired.pid, signal.SIGKILL)
        async with asyncio.timeout(PATIENCE):
            await new.gone.wait()
            await asyncio.wait(crew._burying)
        assert (len(waits), crew._workers[-1].vain, book.errors) == (bad, 0, [])
        await crew.close(PATIENCE)

    async def test_closing_waits_for_no_worker_that_cannot_be_started(
        self, force: Workforce, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(processes, "FIRST_WAIT", 1e6)
        monkeypatch.setattr(processes, "LONGEST_WAIT", 1e6)
        asked = asyncio.Event()
        loop = asyncio.get_running_loop()

        def hire() -> Hired:
            loop.call_soon_threadsafe(asked.set)
            raise BlockingIOError(11, "Resource temporarily unavailable")

        crew = ProcessCrew(replace(force, hire=hire), lambda _: WIDE)
        book = Book(crew)
        await book.start()
        crew.send(errand(1, "kill"))
        async with asyncio.timeout(PATIENCE):
            await asked.wait()
            await crew.close(0.0)
        assert book.errors == []

    async def test_a_bug_where_workers_are_started_is_told(self, force: Workforce) -> None:
        def hire() -> Hired:
            raise ZeroDivisionError

        crew = ProcessCrew(replace(force, hire=hire), lambda _: WIDE)
        book = Book(crew)
        await book.start()
        crew.send(errand(1, "kill"))
        async with asyncio.timeout(PATIENCE):
            while not book.errors:
                book.news.clear()
                await book.news.wait()
        assert isinstance(book.errors[0], ZeroDivisionError)
        await crew.close(0.0)

    async def test_a_host_group_that_may_ask_little_is_asked_by_one_worker(
        self, force: Workforce
    ) -> None:
        crew = ProcessCrew(force, lambda group: WIDE if group == "wide" else 4)
        book = Book(crew)
        await book.start()
        asked = {}
        for group, first in (("narrow", 0), ("wide", 20)):
            for n in range(first, first + 20):
                crew.send(structs.replace(errand(n, "pid"), group=group))
            await book.until_ended(first + 20)
            faults = [book.of(n)[0] for n in range(first, first + 20)]
            asked[group] = {fault.detail for fault in faults if isinstance(fault, Fault)}
        assert (len(asked["narrow"]), len(asked["wide"])) == (1, 2)
        await crew.close(PATIENCE)

    async def test_a_worker_that_hangs_does_not_keep_the_run(
        self, force: Workforce, crew: ProcessCrew, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Stopped, it does not even read that it is to end."""
        monkeypatch.setattr(processes, "GRACE", 0.5)
        book = Book(crew)
        await book.start()
        for n in range(8):
            crew.send(errand(n, "never"))
        hangs = crew._workers[0]
        has = set(hangs.out)
        assert hangs.hired.pid is not None
        os.kill(hangs.hired.pid, signal.SIGSTOP)
        closing = asyncio.create_task(crew.close(1e6))
        await asyncio.sleep(0)
        crew.abandon()  # the second signal
        async with asyncio.timeout(PATIENCE):
            await closing
        lost = {r.asset_id for r in book.reports if isinstance(r.result, Fault)}
        assert has
        assert lost >= has
        assert book.ended == 8
        assert not any(worker.lives for worker in force.workers)

    async def test_a_worker_that_hangs_is_killed_and_what_it_has_returns(
        self, crew: ProcessCrew, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Else a run would never end. The other one has as much to do, and says so."""
        monkeypatch.setattr(processes, "SILENCE", 0.05)
        monkeypatch.setattr(processes, "HANGS", 3.0)
        book = Book(crew)
        await book.start()
        for n in range(8):
            crew.send(errand(n, "never"))
        hangs, lives = crew._workers
        assert hangs.hired.pid is not None
        os.kill(hangs.hired.pid, signal.SIGSTOP)
        await book.until_ended(len(hangs.out))
        assert {r.asset_id for r in book.reports} == set(hangs.out)
        assert {r.result for r in book.reports if isinstance(r.result, Fault)} == {
            Fault("worker-lost", f"worker process {hangs.hired.pid} died")
        }
        assert hangs.hired.exit_code == -signal.SIGKILL
        assert lives.hired.lives
        await crew.close(0.0)

    async def test_a_silent_worker_is_asked_and_one_without_work_is_not(
        self, crew: ProcessCrew, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(processes, "SILENCE", 0.01)
        await Book(crew).start()
        crew.send(errand(1, "never"))
        (asked,) = (worker for worker in crew._workers if worker.out)
        (idle,) = (worker for worker in crew._workers if not worker.out)
        since, signs = idle.heard, set[float]()
        async with asyncio.timeout(PATIENCE):
            while len(signs) < 4:
                signs.add(asked.heard)
                await asyncio.sleep(0.01)
        assert idle.heard == since
        await crew.close(0.0)

    async def test_a_worker_that_says_something_does_not_hang(
        self, crew: ProcessCrew, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(processes, "GRACE", 0.01)
        await Book(crew).start()
        late = crew._workers[0]
        assert late.hired.pid is not None
        os.kill(late.hired.pid, signal.SIGSTOP)
        loop = asyncio.get_running_loop()
        closing = asyncio.create_task(crew.close(0.0))
        await asyncio.sleep(0)
        spoke = late.heard = loop.time() + 1.0
        async with asyncio.timeout(PATIENCE):
            await closing
        assert loop.time() > spoke

    async def test_signals_are_not_a_workers_business(
        self, crew: ProcessCrew, force: Workforce
    ) -> None:
        book = Book(crew)
        await book.start()
        crew.send(errand(0, "image"))
        crew.send(errand(1, "image"))
        await book.until_ended(2)
        for worker in force.workers:
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                assert worker.pid is not None
                os.kill(worker.pid, number)
        crew.send(errand(2, "image"))
        crew.send(errand(3, "image"))
        await book.until_ended(4)
        assert book.kinds() == {"Arrived": 4, "Landed": 4}
        await crew.close(PATIENCE)


@pytest.mark.parametrize(
    ("result", "clears"),
    [
        (Landed(1, RECEIPT, Verdict(State.VERIFIED, None, Keep.STORE), "path"), True),
        (Refused(1, Fault("md5-mismatch")), True),
        (Fault("http-404", http_status=404), True),
        (Fault("http-5xx", http_status=503), True),
        (Fault("truncated", http_status=200), True),
        (Fault("connect-timeout"), False),
        (Fault("connection-reset"), False),
        # They may be about the method: an audit asks once more.
        (Fault("http-4xx", http_status=405), False),
        (Fault("http-403", http_status=403), False),
        (Fault("http-4xx", http_status=416), False),
        (Redirect(302, "http://h.test/elsewhere"), False),
        (Found(Method.HEAD, 200, 3, "image/jpeg", "http://h.test/image/1"), False),
        (Arrival(Body(3), 200, None, "http://h.test/robots.txt"), False),
        (Abandoned(), False),
    ],
)
def test_what_only_leads_on_clears_no_suspect(result: object, clears: bool) -> None:  # noqa: FBT001
    assert comes_through(result) is clears

"""The crew in this process and the one of several: one suite; and what only the latter can do."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fetcher.engine import TaskCrew
from fetcher.engine.courier import Courier
from fetcher.engine.messages import pack_errand, pack_report, unpack
from fetcher.engine.processes import GIVE_UP, Hired, ProcessCrew, WorkersLostError, hired
from fetcher.model import (
    Asset,
    Expectation,
    Fault,
    Keep,
    Landed,
    Receipt,
    State,
    Validators,
    Verdict,
)
from fetcher.ports import Abandoned, Arrived, Errand, Refused, Report
from tests.conformance.crew_suite import PATIENCE, Book, CrewSuite, errand
from tests.fakes.byurl import ByUrlRecipe

WIDE = 64


class TestTaskCrew(CrewSuite):
    @pytest.fixture
    async def crew(self) -> TaskCrew:
        return ByUrlRecipe().crew()


@pytest.fixture
def workers() -> Iterator[list[Hired]]:
    with hired(ByUrlRecipe(), 2) as started:
        yield started
    assert not any(worker.lives for worker in started)


@pytest.fixture
def crew(workers: list[Hired]) -> ProcessCrew:
    return ProcessCrew(ByUrlRecipe(), workers, lambda _: WIDE)


class TestProcessCrew(CrewSuite):
    @pytest.fixture
    def crew(self, workers: list[Hired]) -> ProcessCrew:
        return ProcessCrew(ByUrlRecipe(), workers, lambda _: WIDE)

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
        await asyncio.wait(crew._replacing)
        for n in range(30, 40):
            crew.send(errand(n, "image"))
        await book.until_ended(32)
        assert book.kinds() == {"Fault": 22, "Arrived": 10, "Landed": 10}
        await crew.close(PATIENCE)

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
                await asyncio.wait(crew._replacing)
                crew.send(errand(2 * n + 1, "image"))  # else it gives up
                await book.until_ended(2 * n + 2)
                held.append(len(os.listdir("/proc/self/fd")))  # noqa: PTH208  as it is quick
                objects.append(sum(isinstance(one, Courier) for one in gc.get_objects()))
        finally:
            gc.enable()
        await crew.close(PATIENCE)
        assert held[-1] == held[1]  # the first of them starts what tidies up after the others
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

    async def test_workers_that_only_die_end_the_run(self, crew: ProcessCrew) -> None:
        book = Book(crew, next=[errand(n, "kill") for n in range(10_000)])
        await book.start()
        crew.send(errand(10_000, "kill"))
        await book.until_ended(20_000)
        assert isinstance(book.errors[0], WorkersLostError)
        assert str(GIVE_UP) in str(book.errors[0])
        book.next.clear()
        await crew.close(0.0)

    async def test_a_host_group_that_may_ask_little_is_asked_by_one_worker(
        self, workers: list[Hired]
    ) -> None:
        crew = ProcessCrew(ByUrlRecipe(), workers, lambda group: WIDE if group == "wide" else 4)
        book = Book(crew)
        await book.start()
        asked = {}
        for group, first in (("narrow", 0), ("wide", 20)):
            for n in range(first, first + 20):
                crew.send(errand(n, "pid")._replace(group=group))
            await book.until_ended(first + 20)
            faults = [book.of(n)[0] for n in range(first, first + 20)]
            asked[group] = {fault.detail for fault in faults if isinstance(fault, Fault)}
        assert (len(asked["narrow"]), len(asked["wide"])) == (1, 2)
        await crew.close(PATIENCE)

    async def test_signals_are_not_a_workers_business(
        self, crew: ProcessCrew, workers: list[Hired]
    ) -> None:
        book = Book(crew)
        await book.start()
        crew.send(errand(0, "image"))
        crew.send(errand(1, "image"))
        await book.until_ended(2)
        for worker in workers:
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                assert worker.process.pid is not None
                os.kill(worker.process.pid, number)
        crew.send(errand(2, "image"))
        crew.send(errand(3, "image"))
        await book.until_ended(4)
        assert book.kinds() == {"Arrived": 4, "Landed": 4}
        await crew.close(PATIENCE)


def test_workers_that_were_never_used_are_seen_off() -> None:
    with hired(ByUrlRecipe(), 3) as started:
        assert all(worker.lives for worker in started)
    assert not any(worker.lives for worker in started)


# Messages.

TEXTS = st.text(max_size=8)
NUMBERS = st.integers(0, 2**60)
MAYBE = st.none() | TEXTS
ASSETS = st.builds(
    Asset,
    NUMBERS,
    TEXTS,
    TEXTS,
    TEXTS,
    st.just(""),
    st.builds(Expectation, st.none() | NUMBERS, MAYBE),
    st.just(0),
)
RECEIPTS = st.builds(Receipt, NUMBERS, TEXTS, MAYBE, TEXTS, NUMBERS, st.just(Validators()))
VERDICTS = st.builds(Verdict, st.sampled_from(State), MAYBE, st.sampled_from(Keep))
FAULTS = st.builds(Fault, TEXTS, TEXTS)


@given(st.builds(Errand, ASSETS, TEXTS, st.just(""), NUMBERS, st.none()))
def test_an_errand_survives_its_way(sent: Errand) -> None:
    assert unpack(pack_errand(sent)) == sent


@given(
    st.one_of(
        NUMBERS.map(Arrived),
        FAULTS,
        st.just(Abandoned()),
        st.builds(Refused, st.just(3), FAULTS),
        st.builds(Landed, st.just(3), RECEIPTS, VERDICTS, MAYBE),
    ),
    st.none() | NUMBERS,
)
def test_a_report_survives_its_way(result: object, received: int | None) -> None:
    told_at_once = isinstance(result, (Landed, Refused))
    sent = Report(3, result, received if told_at_once else None)  # type: ignore[arg-type]
    assert unpack(pack_report(sent)) == sent

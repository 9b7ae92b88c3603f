"""The contract of ``ports.Crew``, for every crew.

A subclass gives the fixture ``crew``. Its transport answers by what a URL's path says: see
``tests.fakes.byurl``.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from msgspec import structs

from fetcher.model import Asset, Expectation, Fault, Landed, Partial, Redirect, State, Validators
from fetcher.policy.verify import digest
from fetcher.ports import Abandoned, Arrived, Crew, Errand, Refused, Report, Step, TurnedBack

PATIENCE = 30.0


def errand(n: int, what: str, *, partial: Partial | None = None) -> Errand:
    """The n-th asset's. ``what``: image, wrong, gone, moved, never, refused …"""
    size, md5 = digest([str(n).encode() * 50])
    url = f"http://h.test/{what}/{n}"
    asset = Asset(n, f"{n:04}", "train", url, "h.test", Expectation(size, md5))
    return Errand(asset, url, "h.test", 1_000, partial)


@dataclass
class Book:
    """What was reported."""

    crew: Crew
    reports: list[Report] = field(default_factory=list)
    errors: list[BaseException] = field(default_factory=list)
    news: asyncio.Event = field(default_factory=asyncio.Event)
    next: list[Errand] = field(default_factory=list)
    """Sent one by one, each while a last report is delivered."""

    async def start(self) -> None:
        await self.crew.start(self.deliver, self.broken)

    def deliver(self, reports: Sequence[Report]) -> None:
        self.reports += reports
        for report in reports:
            if not isinstance(report.result, Arrived | Step) and self.next:
                self.crew.send(self.next.pop(0))
        self.news.set()

    def broken(self, error: BaseException) -> None:
        self.errors.append(error)
        self.news.set()

    def of(self, n: int) -> list[object]:
        return [report.result for report in self.reports if report.asset_id == n]

    def kinds(self) -> Counter[str]:
        return Counter(type(report.result).__name__ for report in self.reports)

    @property
    def ended(self) -> int:
        return sum(not isinstance(report.result, Arrived | Step) for report in self.reports)

    async def until(self, n: int, step: Step) -> None:
        async with asyncio.timeout(PATIENCE):
            while step not in self.of(n) and not self.errors:
                self.news.clear()
                await self.news.wait()

    async def until_ended(self, count: int) -> None:
        async with asyncio.timeout(PATIENCE):
            while self.ended < count and not self.errors:
                self.news.clear()
                await self.news.wait()


class CrewSuite:
    async def test_an_image_arrives_and_then_lands(self, crew: Crew) -> None:
        book = Book(crew)
        await book.start()
        crew.send(errand(1, "image"))
        await book.until_ended(1)
        arrived, landed = book.of(1)
        assert arrived == Arrived(50)
        assert isinstance(landed, Landed)
        assert (landed.asset_id, landed.verdict.state, landed.path) == (
            1,
            State.VERIFIED,
            "images/0001.jpg",
        )
        assert landed.receipt.md5 == errand(1, "image").asset.expected.md5
        assert landed.receipt.final_url == "http://h.test/image/1"
        await crew.close(PATIENCE)

    async def test_every_errand_is_reported_on_once(self, crew: Crew) -> None:
        book = Book(crew)
        await book.start()
        kinds = ("image", "wrong", "gone", "moved", "refused")
        for n in range(200):
            crew.send(errand(n, kinds[n % len(kinds)]))
        await book.until_ended(200)
        await crew.close(PATIENCE)
        assert book.ended == 200
        assert {report.asset_id for report in book.reports} == set(range(200))
        assert book.kinds() == {
            "Arrived": 120,
            "Landed": 80,
            "Fault": 40,
            "Redirect": 40,
            "Refused": 40,
        }
        assert book.of(2) == [Fault("http-404", http_status=404)]
        assert book.of(3) == [Redirect(302, "http://h.test/elsewhere")]
        assert book.of(4)[-1] == Refused(4, Fault("disk-full", "no room"))
        assert book.errors == []

    async def test_what_is_reported_may_lead_to_the_next_errand(self, crew: Crew) -> None:
        book = Book(crew, next=[errand(n, "image") for n in range(2, 50)])
        await book.start()
        crew.send(errand(1, "gone"))
        await book.until_ended(49)
        assert book.kinds() == {"Fault": 1, "Arrived": 48, "Landed": 48}
        await crew.close(PATIENCE)

    async def test_closing_waits_for_what_is_under_way(self, crew: Crew) -> None:
        book = Book(crew)
        await book.start()
        for n in range(20):
            crew.send(errand(n, "image"))
        await crew.close(PATIENCE)
        assert book.kinds() == {"Arrived": 20, "Landed": 20}
        await crew.close(PATIENCE)

    async def test_closing_is_not_patient_for_ever(self, crew: Crew) -> None:
        book = Book(crew)
        await book.start()
        crew.send(errand(1, "never"))
        await crew.close(0.01)
        assert book.of(1) == [Abandoned()]

    async def test_closing_can_become_less_patient(self, crew: Crew) -> None:
        """As when what the first one waited with has failed meanwhile."""
        book = Book(crew)
        await book.start()
        crew.send(errand(1, "never"))
        closing = asyncio.create_task(crew.close(1e6))
        await asyncio.sleep(0)
        closing.cancel()
        async with asyncio.timeout(PATIENCE):
            await crew.close(0.0)
        assert book.of(1) == [Abandoned()]

    async def test_requests_can_be_abandoned_while_it_closes(self, crew: Crew) -> None:
        book = Book(crew)
        await book.start()
        crew.send(errand(1, "never"))
        closing = asyncio.create_task(crew.close(1e6))
        await asyncio.sleep(0)
        crew.abandon()
        async with asyncio.timeout(PATIENCE):
            await closing
        assert book.of(1) == [Abandoned()]

    async def test_an_errand_that_was_never_begun_is_abandoned_too(self, crew: Crew) -> None:
        book = Book(crew)
        await book.start()
        for n in range(5):
            crew.send(errand(n, "never"))
        crew.abandon()
        await crew.close(PATIENCE)
        assert book.kinds() == {"Abandoned": 5}

    async def test_what_has_leave_is_sent_at_once(self, crew: Crew) -> None:
        book = Book(crew)
        await book.start()
        crew.send(structs.replace(errand(1, "image"), leave=True))
        crew.send(errand(2, "image"))
        await book.until_ended(2)
        assert book.of(1)[:2] == [Step.SENT, Arrived(50)]
        assert book.of(2)[0] == Arrived(50)
        await crew.close(PATIENCE)

    async def test_what_has_no_leave_or_gives_it_back_waits_for_its_turn(self, crew: Crew) -> None:
        book = Book(crew)
        await book.start()
        crew.send(structs.replace(errand(1, "image"), leave=False))
        crew.send(structs.replace(errand(2, "slow"), leave=True))
        crew.send(errand(3, "image"))
        for n in (1, 2):
            await book.until(n, Step.READY)
        await book.until_ended(1)
        assert book.of(1) == [Step.READY]
        assert book.of(2) == [Step.PUT_OFF, Step.READY]
        for n in (1, 2):
            crew.may_send(n)
        await book.until_ended(3)
        assert book.of(1)[:3] == [Step.READY, Step.SENT, Arrived(50)]
        assert book.of(2)[:4] == [Step.PUT_OFF, Step.READY, Step.SENT, Arrived(50)]
        await crew.close(PATIENCE)

    async def test_what_is_turned_back_ends_as_such(self, crew: Crew) -> None:
        book = Book(crew)
        await book.start()
        crew.send(structs.replace(errand(1, "image"), leave=False))
        await book.until(1, Step.READY)
        crew.may_send(7)
        crew.turn_back(1)
        crew.turn_back(1)
        await book.until_ended(1)
        assert book.of(1) == [Step.READY, TurnedBack()]
        crew.send(errand(2, "image"))
        await book.until_ended(2)
        await crew.close(PATIENCE)

    async def test_nothing_waits_for_its_turn_when_the_run_ends(self, crew: Crew) -> None:
        book = Book(crew)
        await book.start()
        crew.send(structs.replace(errand(1, "image"), leave=False))
        await book.until(1, Step.READY)
        crew.send(structs.replace(errand(2, "slow"), leave=True))
        async with asyncio.timeout(PATIENCE):
            await crew.close(1e6)
        assert book.of(1) == [Step.READY, TurnedBack()]
        assert book.of(2)[-1] == TurnedBack()
        assert Step.SENT not in book.of(2)

    async def test_what_was_kept_of_a_body_goes_along(self, crew: Crew) -> None:
        partial = Partial(Path("spool/1"), 7, Validators("tag", "date"), ended=True)
        book = Book(crew)
        await book.start()
        crew.send(errand(1, "echo", partial=partial))
        await book.until_ended(1)
        assert book.of(1) == [Fault("truncated", "1000", partial=partial)]
        await crew.close(PATIENCE)

    async def test_one_that_can_be_reached_is_enough(self, crew: Crew) -> None:
        await Book(crew).start()
        assert await crew.reach(["http://h.test/down", "http://h.test/up"])
        assert not await crew.reach(["http://h.test/down"])
        assert not await crew.reach([])
        await crew.close(PATIENCE)

    async def test_a_bug_is_told_and_not_swallowed(self, crew: Crew) -> None:
        book = Book(crew)
        await book.start()
        crew.send(errand(1, "bug"))
        await book.until_ended(1)
        assert "a bug" in str(book.errors[0])
        await crew.close(0.0)

"""Small images are landed in the turn of the loop in which they arrived; all others by threads."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Sequence
from pathlib import Path

import pytest
from msgspec import structs

from fetcher.engine import Finisher, LandingRules, PromptLanding, ThreadedLanding
from fetcher.engine.prompt import SMALL
from fetcher.errors import StoreError
from fetcher.model import Arrival, Asset, Body, Expectation, Fault, Landed, State
from fetcher.policy.verify import digest
from fetcher.ports import Refused, Staged
from fetcher.store import LocalStore
from tests.fakes.transport import image

JPEG = b"\xff\xd8\xff\xe0"


class Site:
    """A prompt landing over a directory, and what it delivered."""

    def __init__(self, root: Path) -> None:
        self.store = LocalStore(root, durability="none")
        self.store.prepare()
        finisher = Finisher(self.store, LandingRules())
        self.landing = PromptLanding(finisher, ThreadedLanding(finisher, threads=1))
        self.delivered: list[Sequence[Landed | Refused]] = []
        self.broken: list[BaseException] = []
        self.news = asyncio.Event()
        self.landing.start(self._deliver, self.broken.append)

    def _deliver(self, results: Sequence[Landed | Refused]) -> None:
        self.delivered.append(results)
        self.news.set()

    def submit(self, n: int, size: int) -> bool:
        data = JPEG + bytes(size - len(JPEG))
        asset = Asset(n, f"{n:04}", "", f"http://h.test/{n}.jpg", "", Expectation(*digest([data])))
        return self.landing.submit(asset, image(data, asset.url))


@pytest.fixture
async def site(tmp_path: Path) -> Site:
    return Site(tmp_path / "out")


async def test_what_arrives_in_one_turn_is_landed_together_before_the_next(site: Site) -> None:
    assert all(map(site.submit, range(3), (4, 20_000, SMALL)))
    assert site.delivered == []  # not while the crew still has to say that it arrived
    await asyncio.sleep(0)
    (batch,) = site.delivered
    assert [(one.asset_id, one.verdict.state) for one in batch if isinstance(one, Landed)] == [
        (n, State.VERIFIED) for n in range(3)
    ]
    assert (Path(site.store.root) / "images/000/0001.jpg").stat().st_size == 20_000
    await site.landing.close()


async def test_what_is_large_or_spooled_goes_to_threads(site: Site) -> None:
    assert not site.submit(1, SMALL + 1)
    spool = site.store.spool_path("2.part")
    spool.write_bytes(JPEG)
    asset = Asset(2, "0002", "", "http://h.test/2.jpg", "", Expectation(4, None))
    arrival = Arrival(Body(4, path=spool), 200, "image/jpeg", asset.url, received=4)
    assert not site.landing.submit(asset, arrival)
    await site.landing.close()
    await asyncio.sleep(0)
    assert sorted(one.asset_id for batch in site.delivered for one in batch) == [1, 2]


async def test_what_comes_compressed_goes_to_threads(site: Site) -> None:
    """Four hundred bytes may hold the loop for seconds."""
    asset = Asset(1, "0001", "", "http://h.test/1.jpg", "", Expectation(4, None))
    arrival = structs.replace(image(gzip.compress(JPEG), asset.url), content_encoding="gzip")
    assert not site.landing.submit(asset, arrival)
    await site.landing.close()
    await asyncio.sleep(0)
    ((landed,),) = site.delivered
    assert isinstance(landed, Landed)
    assert landed.receipt.size == len(JPEG)


async def test_closing_lands_what_has_just_arrived(site: Site) -> None:
    site.submit(1, 100)
    await site.landing.close()
    assert [one.asset_id for batch in site.delivered for one in batch] == [1]


async def test_a_full_disk_refuses_the_batch(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: Sequence[Staged]) -> None:
        raise StoreError("No room.", hint="Free some.", fault_code="disk-full")

    monkeypatch.setattr(site.store, "publish", full)
    site.submit(1, 100)
    site.submit(2, 100)
    await asyncio.sleep(0)
    assert site.delivered == [
        [Refused(n, Fault("disk-full", "No room. Free some.")) for n in (1, 2)]
    ]
    assert list(site.store.leftovers()) == []
    await site.landing.close()


async def test_a_bug_is_told_and_not_swallowed(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    def bug(_: Sequence[Staged]) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(site.store, "publish", bug)
    site.submit(1, 100)
    await asyncio.sleep(0)
    assert [type(error) for error in site.broken] == [ZeroDivisionError]
    await site.landing.close()

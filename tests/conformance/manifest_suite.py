"""The contract of ``ports.Manifest``, for the real one and for every fake of it.

A subclass gives the fixture ``opened``, which makes a manifest that holds the given rows: its
assets are numbered from 1 in their order, and ``group_of`` maps its hosts to groups.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest

from fetcher.model import Expectation, HostMemory, LeaseRequest, Outcome, Row, RowTally, State
from fetcher.ports import Manifest

MD5 = "mR0ynQmMtzRZwuGDcuPnZA=="
Opened = Callable[[Sequence[Row]], AbstractAsyncContextManager[Manifest]]


def group_of(host: str) -> str:
    """The last two labels: enough of a registrable domain for tests."""
    return ".".join(host.split(".")[-2:])


def row(n: int, *, host: str = "a.one.test", **values: Any) -> Row:
    image_id = f"{n:016x}"
    url = f"https://{host}/{image_id}.jpg"
    expected = Expectation(1000 + n, MD5)
    return Row(
        **{
            "line": n + 1,
            "image_id": image_id,
            "subset": "train",
            "url": url,
            "expected": expected,
            **values,
        }
    )


def outcome(asset_id: int, state: State, attempt: int = 1, **values: Any) -> Outcome:
    return Outcome(
        **{
            "asset_id": asset_id,
            "state": state,
            "attempt": attempt,
            "started_at": 1_700_000_000.0,
            "elapsed": 0.5,
            **values,
        }
    )


async def leased(manifest: Manifest, limit: int = 1000, room: int = 1000) -> list[int]:
    lease = await manifest.lease(LeaseRequest(limit, default_room=room))
    return [asset.asset_id for asset in lease.assets]


class ManifestSuite:
    async def test_hands_out_assets_as_the_list_has_them(self, opened: Opened) -> None:
        rows = [row(1), row(2, subset="", expected=Expectation())]
        async with opened(rows) as manifest:
            assets = (await manifest.lease(LeaseRequest(10, default_room=10))).assets
        for asset, given in zip(assets, rows, strict=True):
            assert (asset.image_id, asset.subset, asset.url) == (
                given.image_id,
                given.subset,
                given.url,
            )
            assert asset.expected == given.expected
            assert (asset.host, asset.attempts) == ("a.one.test", 0)

    async def test_keeps_list_order_within_a_host(self, opened: Opened) -> None:
        hosts = ["a.one.test", "b.one.test", "c.two.test"]
        async with opened([row(n, host=hosts[n % 3]) for n in range(60)]) as manifest:
            for _ in range(4):
                lease = await manifest.lease(LeaseRequest(15, default_room=7))
                for host in hosts:
                    ids = [asset.asset_id for asset in lease.assets if asset.host == host]
                    assert ids == sorted(ids)

    async def test_goes_round_the_hosts(self, opened: Opened) -> None:
        hosts = [f"{name}.test" for name in "abcdef"]
        async with opened([row(n, host=hosts[n // 10]) for n in range(60)]) as manifest:
            served: Counter[str] = Counter()
            for _ in range(6):
                lease = await manifest.lease(LeaseRequest(4, default_room=9))
                served.update(asset.host for asset in lease.assets)
            assert served == dict.fromkeys(hosts, 4)

    async def test_goes_round_the_hosts_of_a_group(self, opened: Opened) -> None:
        hosts = [f"h{n:02}.one.test" for n in range(40)]
        async with opened([row(n, host=hosts[n // 3]) for n in range(120)]) as manifest:
            served: Counter[str] = Counter()
            for _ in range(8):
                lease = await manifest.lease(LeaseRequest(5, default_room=9))
                served.update(asset.host for asset in lease.assets)
            assert served == dict.fromkeys(hosts, 1)

    @pytest.mark.parametrize(
        ("limit", "room", "default_room", "expected"),
        [
            (100, {}, 100, {"one.test": 20, "two.test": 10}),
            (100, {}, 3, {"one.test": 3, "two.test": 3}),
            (100, {"one.test": 5}, 1, {"one.test": 5, "two.test": 1}),
            (100, {"one.test": 0}, 100, {"two.test": 10}),
            (100, {"one.test": -2}, 100, {"two.test": 10}),
            (100, {"two.test": 4, "three.test": 9}, 0, {"two.test": 4}),
            (100, {}, 0, {}),
            (0, {}, 100, {}),
            (6, {"one.test": 1}, 100, {"one.test": 1, "two.test": 5}),
        ],
    )
    async def test_respects_the_room_of_each_group(
        self,
        opened: Opened,
        limit: int,
        room: dict[str, int],
        default_room: int,
        expected: dict[str, int],
    ) -> None:
        hosts = ["a.one.test", "b.one.test", "c.two.test"]
        async with opened([row(n, host=hosts[n % 3]) for n in range(30)]) as manifest:
            lease = await manifest.lease(LeaseRequest(limit, room, default_room))
        assert Counter(group_of(asset.host) for asset in lease.assets) == expected

    async def test_hands_out_each_asset_once(self, opened: Opened) -> None:
        async with opened([row(n, host=f"h{n % 7}.test") for n in range(100)]) as manifest:
            seen: list[int] = []
            while ids := await leased(manifest, limit=9, room=2):
                seen += ids
            assert sorted(seen) == list(range(1, 101))
            assert await leased(manifest) == []

    async def test_hands_out_again_what_is_given_back(self, opened: Opened) -> None:
        async with opened([row(n) for n in range(10)]) as manifest:
            assert await leased(manifest, limit=6) == [1, 2, 3, 4, 5, 6]
            await manifest.give_back([5, 2])
            assert await leased(manifest, limit=4) == [2, 5, 7, 8]
            await manifest.give_back([])

    async def test_hands_out_again_the_last_that_is_given_back(self, opened: Opened) -> None:
        async with opened([row(n) for n in range(3)]) as manifest:
            assert await leased(manifest) == [1, 2, 3]
            assert await leased(manifest) == []
            await manifest.give_back([2])
            assert await leased(manifest) == [2]

    @pytest.mark.parametrize("state", [state for state in State if state.terminal])
    async def test_ends_the_lease_of_what_is_settled(self, opened: Opened, state: State) -> None:
        async with opened([row(1), row(2)]) as manifest:
            assert await leased(manifest) == [1, 2]
            await manifest.settle([outcome(1, state)])
            assert await leased(manifest) == []
            tally = await manifest.tally()
            assert tally.states == dict.fromkeys(State, 0) | {state: 1, State.PENDING: 1}
            with pytest.raises(ValueError, match="asset 1 is not leased"):
                await manifest.give_back([1])

    async def test_keeps_the_lease_of_what_will_be_tried_again(self, opened: Opened) -> None:
        async with opened([row(1)]) as manifest:
            await leased(manifest)
            await manifest.settle([outcome(1, State.PENDING, code="stalled")])
            assert await leased(manifest) == []
            tally = await manifest.tally()
            assert (tally.pending, tally.codes) == (1, {"stalled": 1})
            await manifest.give_back([1])
            (asset,) = (await manifest.lease(LeaseRequest(1))).assets
            assert asset.attempts == 1

    async def test_takes_several_outcomes_of_one_asset_in_a_batch(self, opened: Opened) -> None:
        async with opened([row(1)]) as manifest:
            await leased(manifest)
            await manifest.settle(
                [
                    outcome(1, State.PENDING, 1, code="stalled"),
                    outcome(1, State.PENDING, 2, code="http-5xx"),
                    outcome(1, State.FAILED, 3, code="stalled"),
                ]
            )
            tally = await manifest.tally()
            assert (tally.states[State.FAILED], tally.codes) == (1, {"stalled": 1})

    @pytest.mark.parametrize(
        "batch",
        [
            [outcome(2, State.VERIFIED), outcome(3, State.VERIFIED)],
            [outcome(2, State.VERIFIED), outcome(2, State.VERIFIED)],
            [outcome(2, State.VERIFIED), outcome(2, State.PENDING)],
            [outcome(2, State.VERIFIED), outcome(1, State.GONE)],
            [outcome(2, State.VERIFIED), outcome(99, State.GONE)],
        ],
        ids=["not leased", "twice", "after its end", "settled before", "unknown"],
    )
    async def test_refuses_a_batch_with_a_bug_as_a_whole(
        self, opened: Opened, batch: list[Outcome]
    ) -> None:
        async with opened([row(n) for n in range(3)]) as manifest:
            assert await leased(manifest, limit=2) == [1, 2]
            await manifest.settle([outcome(1, State.GONE, code="http-404")])
            before = await manifest.tally()
            with pytest.raises(ValueError, match="asset"):
                await manifest.settle(batch)
            assert await manifest.tally() == before
            await manifest.settle([outcome(2, State.VERIFIED)])  # is still leased

    async def test_counts_bytes(self, opened: Opened) -> None:
        rows = [row(1), row(2), row(3), row(4, expected=Expectation())]
        async with opened(rows) as manifest:
            await leased(manifest)
            path = "images/train/000/{:016x}.jpg".format
            await manifest.settle(
                [
                    outcome(1, State.VERIFIED, actual_size=1001, actual_md5=MD5, path=path(1)),
                    outcome(2, State.VERIFIED, actual_size=1002, actual_md5=MD5),
                    outcome(
                        3,
                        State.MISMATCHED,
                        code="md5-mismatch",
                        actual_size=1003,
                        path="mismatched/train/000/0000000000000003.jpg",
                    ),
                    outcome(4, State.UNVERIFIED, actual_size=50, path=path(4)),
                ]
            )
            tally = await manifest.tally()
        assert tally.expected_bytes == 1001 + 1002 + 1003
        assert tally.stored_bytes == 1001 + 50
        assert (tally.total, tally.kept) == (4, 3)

    async def test_settles_what_needed_no_attempt(self, opened: Opened) -> None:
        async with opened([row(1)]) as manifest:
            await leased(manifest)
            await manifest.settle([outcome(1, State.VERIFIED, 0, actual_size=1001)])
            assert (await manifest.tally()).kept == 1

    @pytest.mark.parametrize(
        ("url", "code"),
        [("ftp://a.test/1.jpg", "bad-scheme"), ("https:///1.jpg", "bad-url"), ("", "bad-url")],
    )
    async def test_never_hands_out_an_unusable_url(
        self, opened: Opened, url: str, code: str
    ) -> None:
        async with opened([row(1, url=url), row(2)]) as manifest:
            assert await leased(manifest) == [2]
            tally = await manifest.tally()
        assert (tally.states[State.INVALID], tally.codes) == (1, {code: 1})
        assert tally.rows == RowTally(2, 2)

    async def test_tells_nothing_of_an_empty_list(self, opened: Opened) -> None:
        async with opened([]) as manifest:
            assert await leased(manifest) == []
            tally = await manifest.tally()
        assert tally.states == dict.fromkeys(State, 0)
        assert (tally.codes, tally.rows) == ({}, RowTally())

    async def test_remembers_host_groups_until_there_is_nothing_to_remember(
        self, opened: Opened
    ) -> None:
        slow = HostMemory("one.test", 5.0, rate=1.5, bad_rate=2.0, code="rate-limited")
        held = HostMemory("two.test", 5.0, held_until=65.5, held_code="http-5xx")
        async with opened([]) as manifest:
            assert list(await manifest.host_memories()) == []
            await manifest.remember_hosts([slow, held])
            assert sorted(await manifest.host_memories(), key=lambda m: m.group) == [slow, held]
            slower = HostMemory("one.test", 9.0, rate=1.0, concurrency=3, code="stalled")
            await manifest.remember_hosts([slower, HostMemory("two.test", 9.0)])
            assert list(await manifest.host_memories()) == [slower]

"""A landing without threads: it judges as the real one does, and delivers on the next turn of the
loop, or after a virtual delay. ``at_once`` says so, as a prompt one does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from fetcher.model import Arrival, Asset, Fault, Keep, Landed, Receipt, State
from fetcher.policy import sniff, verify
from fetcher.ports import Refused


class InlineLanding:
    """``kept`` by asset id. ``refuse`` names faults for the next arrivals, in order."""

    def __init__(self, *, delay: float = 0.0, at_once: bool = False) -> None:
        self.kept: dict[int, bytes] = {}
        self.refuse: list[Fault] = []
        self._delay = delay
        self._at_once = at_once
        self._under_way = 0
        self._idle = asyncio.Event()
        self._idle.set()

    def start(
        self,
        deliver: Callable[[Sequence[Landed | Refused]], None],
        broken: Callable[[BaseException], None],
    ) -> None:
        self._deliver = deliver
        self.broken = broken

    def submit(self, asset: Asset, arrival: Arrival) -> bool:
        self._under_way += 1
        self._idle.clear()
        loop = asyncio.get_running_loop()
        if self._at_once:
            loop.call_soon(self._land, asset, arrival)
        else:
            loop.call_later(self._delay, self._land, asset, arrival)
        return self._at_once

    async def close(self) -> None:
        await self._idle.wait()

    def _land(self, asset: Asset, arrival: Arrival) -> None:
        self._under_way -= 1
        if not self._under_way:
            self._idle.set()
        self._deliver([self._result(asset, arrival)])

    def _result(self, asset: Asset, arrival: Arrival) -> Landed | Refused:
        if self.refuse:
            return Refused(asset.asset_id, self.refuse.pop(0))
        assert arrival.body.data is not None
        data = bytes(arrival.body.data)
        measured = verify.digest([data])
        receipt = Receipt(
            measured.size, measured.md5, sniff.sniff(data), arrival.final_url, arrival.http_status
        )
        verdict = verify.judge(asset.expected, receipt, placeholder_digests=frozenset())
        if arrival.resumed and verdict.state is State.MISMATCHED:
            return Refused(asset.asset_id, Fault("range-mismatch"))
        path = None
        if verdict.keep is not Keep.DISCARD:
            self.kept[asset.asset_id] = data
            folder = "images" if verdict.keep is Keep.STORE else "mismatched"
            path = f"{folder}/{asset.image_id}.jpg"
        return Landed(asset.asset_id, receipt, verdict, path)

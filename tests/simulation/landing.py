"""The real landing, whose finishing threads are turns of the virtual loop.

What is decided and done is the real code's; only when a batch is taken up, and how long it takes,
is decided here: up to ``threads`` batches are under way at a time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from fetcher.engine.finishing import Finisher, Item
from fetcher.engine.landing import BATCH, Deliver, ThreadedLanding
from fetcher.model import Arrival, Asset, Landed
from fetcher.ports import Refused
from tests.simulation.eye import Eye
from tests.simulation.life import Killed, Mortal


class TurnedLanding(ThreadedLanding):
    def __init__(
        self,
        finisher: Finisher,
        *,
        threads: int,
        takes: float,
        witness: Eye,
        life: Mortal,
    ) -> None:
        super().__init__(finisher, threads=threads)
        self._takes = takes
        self._witness = witness
        self._life = life
        self._lines: list[Item] = []
        self._free = threads
        self._idle = asyncio.Event()
        self._idle.set()

    def start(self, deliver: Deliver, broken: Callable[[BaseException], None]) -> None:
        loop = asyncio.get_running_loop()

        def hand_over(results: Sequence[Landed | Refused]) -> None:
            if not self._life.dead:
                self._witness.landed(results)
                deliver(results)

        self._deliver = lambda results: loop.call_soon(hand_over, results)
        self._tell_broken = lambda error: loop.call_soon(broken, error)

    def submit(self, asset: Asset, arrival: Arrival) -> bool:
        self._life.check()
        self._lines.append(Item(asset, arrival))
        self._take_up()
        return False

    async def close(self) -> None:
        self._life.check()
        await self._idle.wait()
        await asyncio.sleep(0)
        self._life.check()

    def _take_up(self) -> None:
        if self._lines and self._free:
            batch, self._lines = self._lines[:BATCH], self._lines[BATCH:]
            self._free -= 1
            self._idle.clear()
            asyncio.get_running_loop().call_later(self._takes, self._finish, batch)

    def _finish(self, batch: list[Item]) -> None:
        try:
            self._land(batch)
        except Killed:
            return
        except Exception as error:  # noqa: BLE001  as in the real one: a bug, which ends the run
            assert self._tell_broken is not None
            self._tell_broken(error)
        self._free += 1
        self._take_up()
        if not self._lines and self._free == len(self._threads):
            self._idle.set()

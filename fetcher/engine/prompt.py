"""A prompt landing: small images are finished where they arrived, on the event loop of a worker.

Handing an image to a thread and back costs two queues, two wake-ups and, while the loop is busy, a
wait for the GIL at each of its system calls. Measured for 20 kB on two cores: 57 µs on the thread
and as much again lost on the loop, where the hashing and writing itself takes 45. So what takes
less time than its hand-over is done at once: in a process of its own, whose loop has nothing else
to do, and for a store where publishing waits for no disk.

    arrivals of one turn of the loop → finish the batch → deliver

Larger bodies, compressed ones, and those that were spooled, go to finishing threads as ever.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from fetcher.engine.finishing import Finisher, Item
from fetcher.engine.landing import Deliver, ThreadedLanding
from fetcher.killpoints import Point, reached
from fetcher.model import Arrival, Asset

SMALL: Final = 1 << 16
"""Bytes; hashing them takes less than a tenth of a millisecond."""


class PromptLanding:
    """``ports.Landing``; ``others`` lands what is not small."""

    def __init__(self, finisher: Finisher, others: ThreadedLanding) -> None:
        self._finisher = finisher
        self._others = others
        self._arrived: list[Item] = []
        self._loop = asyncio.get_running_loop()

    def start(self, deliver: Deliver, broken: Callable[[BaseException], None]) -> None:
        self._deliver = deliver
        self._broken = broken
        self._others.start(deliver, broken)

    def submit(self, asset: Asset, arrival: Arrival) -> bool:
        data = arrival.body.data
        if data is None or len(data) > SMALL or arrival.content_encoding is not None:
            # What comes compressed may become as large as the byte cap allows.
            return self._others.submit(asset, arrival)
        if not self._arrived:
            self._loop.call_soon(self._land)
        self._arrived.append(Item(asset, arrival))
        return True

    async def close(self) -> None:
        self._land()
        await self._others.close()

    def _land(self) -> None:
        """What arrived in this turn of the loop."""
        batch, self._arrived = self._arrived, []
        if not batch:
            return
        try:
            results = self._finisher.finish(batch)
        except Exception as error:  # noqa: BLE001  a bug, which ends the run
            self._broken(error)
            return
        reached(Point.LANDED)
        self._deliver(results)

"""Finishing threads: what arrived is hashed, judged and stored, off the event loop.

Each thread takes whatever has queued up while it was busy with the last batch, so batches grow with
the load by themselves: one image at a polite pace is stored at once, a thousand a second share
their syncs. Nothing here awaits, schedules or retries.

    queue → finish the batch (``fetcher.engine.finishing``) → deliver to the loop
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from typing import Final

from fetcher.engine.finishing import Finisher, Item
from fetcher.killpoints import Point, reached
from fetcher.model import Arrival, Asset, Landed
from fetcher.ports import Refused

BATCH: Final = 256
"""Arrivals in a batch at most, so that a settlement never waits for long."""
LINGER: Final = 0.005
"""Seconds to let a batch grow under load: every turn of a thread costs the event loop the GIL."""

Deliver = Callable[[Sequence[Landed | Refused]], None]


class ThreadedLanding:
    """``ports.Landing`` with ``threads`` finishing threads."""

    def __init__(self, finisher: Finisher, *, threads: int) -> None:
        self._finisher = finisher
        self._queue: SimpleQueue[Item | None] = SimpleQueue()
        self._threads = [
            threading.Thread(target=self._work, name=f"landing-{n}", daemon=True)
            for n in range(threads)
        ]
        self._deliver: Callable[[Sequence[Landed | Refused]], object] | None = None
        self._tell_broken: Callable[[BaseException], object] | None = None

    def start(self, deliver: Deliver, broken: Callable[[BaseException], None]) -> None:
        loop = asyncio.get_running_loop()
        self._deliver = lambda results: loop.call_soon_threadsafe(deliver, results)
        self._tell_broken = lambda error: loop.call_soon_threadsafe(broken, error)
        for thread in self._threads:
            thread.start()

    def submit(self, asset: Asset, arrival: Arrival) -> bool:
        self._queue.put(Item(asset, arrival))
        return False

    async def close(self) -> None:
        for _ in self._threads:
            self._queue.put(None)
        for thread in self._threads:
            if thread.ident is not None:
                await asyncio.to_thread(thread.join)

    # On the finishing threads.

    def _work(self) -> None:
        batch: list[Item] = []
        try:
            while batch := self._take(linger=len(batch) > 1):
                self._land(batch)
        except BaseException as error:  # noqa: BLE001  a bug, which ends the run
            assert self._tell_broken is not None  # noqa: S101  start() comes first
            self._tell_broken(error)

    def _take(self, *, linger: bool) -> list[Item]:
        """What is queued, at least one item; empty at the end."""
        batch: list[Item] = []
        item = self._queue.get()
        if linger and item is not None:
            time.sleep(LINGER)
        while item is not None:
            batch.append(item)
            if len(batch) == BATCH:
                return batch
            try:
                item = self._queue.get_nowait()
            except Empty:
                return batch
        if batch:
            self._queue.put(None)  # the end is for the next round
        return batch

    def _land(self, batch: Sequence[Item]) -> None:
        results = self._finisher.finish(batch)
        assert self._deliver is not None  # noqa: S101  start() comes first
        reached(Point.LANDED)
        self._deliver(results)

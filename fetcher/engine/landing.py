"""Finishing threads: what arrived is hashed, judged and stored, off the event loop.

Each thread takes whatever has queued up while it was busy with the last batch, so batches grow with
the load by themselves: one image at a polite pace is stored at once, a thousand a second share
their syncs. Nothing here awaits, schedules or retries.

    queue → measure (size, MD5, type) → judge → stage → publish the batch → deliver to the loop
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Final, NamedTuple

from fetcher.engine import unpacking
from fetcher.engine.measuring import chunks_of, key, measure
from fetcher.errors import StoreError
from fetcher.killpoints import Point, reached
from fetcher.model import Arrival, Asset, Body, Fault, Keep, Landed, Receipt, State, Verdict
from fetcher.policy import codings, verify
from fetcher.ports import Refused, Staged, Store

BATCH: Final = 256
"""Arrivals in a batch at most, so that a settlement never waits for long."""
LINGER: Final = 0.005
"""Seconds to let a batch grow under load: every turn of a thread costs the event loop the GIL."""
UNPACKED_SUFFIX: Final = ".unpacked"


@dataclass(frozen=True, slots=True)
class LandingRules:
    """``mismatched``: what becomes of bytes that are not the listed image's. ``max_bytes``: how
    much may come out of a body that came compressed, unasked.
    """

    mismatched: Keep = Keep.QUARANTINE
    placeholder_digests: frozenset[str] = frozenset()
    max_bytes: int = 256 << 20
    measure_only: bool = False
    """It is an audit: nothing is kept, whatever it is."""


class _Arrived(NamedTuple):
    asset: Asset
    arrival: Arrival


Deliver = Callable[[Sequence[Landed | Refused]], None]


class ThreadedLanding:
    """``ports.Landing`` with ``threads`` finishing threads over a blocking store."""

    def __init__(self, store: Store, rules: LandingRules, *, threads: int) -> None:
        self._store = store
        self._rules = rules
        self._queue: SimpleQueue[_Arrived | None] = SimpleQueue()
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

    def submit(self, asset: Asset, arrival: Arrival) -> None:
        self._queue.put(_Arrived(asset, arrival))

    async def close(self) -> None:
        for _ in self._threads:
            self._queue.put(None)
        for thread in self._threads:
            if thread.ident is not None:
                await asyncio.to_thread(thread.join)

    # On the finishing threads.

    def _work(self) -> None:
        batch: list[_Arrived] = []
        try:
            while batch := self._take(linger=len(batch) > 1):
                self._land(batch)
        except BaseException as error:  # noqa: BLE001  a bug, which ends the run
            assert self._tell_broken is not None  # noqa: S101  start() comes first
            self._tell_broken(error)

    def _take(self, *, linger: bool) -> list[_Arrived]:
        """What is queued, at least one item; empty at the end."""
        batch: list[_Arrived] = []
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

    def _land(self, batch: Sequence[_Arrived]) -> None:
        results: list[Landed | Refused] = []
        staged: list[Staged] = []
        try:
            for item in batch:
                result, stage = self._settle_one(item)
                results.append(result)
                if stage is not None:
                    staged.append(stage)
            self._store.publish(staged)
        except StoreError as error:
            self._abandon([*(s.temporary for s in staged), *_spooled(batch)])
            fault = Fault(error.fault_code, str(error))
            results = [Refused(item.asset.asset_id, fault) for item in batch]
        assert self._deliver is not None  # noqa: S101  start() comes first
        reached(Point.LANDED)
        self._deliver(results)

    def _abandon(self, paths: Iterable[Path]) -> None:
        """Remove files of a batch that failed, as far as the disk lets us; the next run looks."""
        for path in paths:
            with suppress(StoreError):
                self._store.discard(path)

    def _settle_one(self, item: _Arrived) -> tuple[Landed | Refused, Staged | None]:
        """What becomes of one arrival, and what is to be published for it."""
        asset, arrival = item.asset, item.arrival
        receipt = measure(arrival)
        reached(Point.HASHED)
        verdict = verify.judge(
            asset.expected, receipt, placeholder_digests=self._rules.placeholder_digests
        )
        if arrival.content_encoding is not None and verdict.state is State.MISMATCHED:
            why = codings.obstacle(arrival.content_encoding)
            if why is not None and verdict.code == "not-an-image":
                # What is in it, nobody can say: that is no other image than the listed one yet.
                self._drop(arrival.body)
                return Refused(asset.asset_id, Fault("content-coding", why)), None
            arrival, receipt, verdict = self._unpacked(asset, arrival, receipt, verdict)
        if verdict.keep is Keep.QUARANTINE:
            verdict = replace(verdict, keep=self._rules.mismatched)
        if self._rules.measure_only:
            verdict = replace(verdict, keep=Keep.DISCARD)
        if arrival.resumed and verdict.state is State.MISMATCHED:
            # Two responses may have been of two different images: only a whole one can tell.
            self._drop(arrival.body)
            return Refused(asset.asset_id, Fault("range-mismatch", "the parts do not fit")), None
        if verdict.keep is Keep.DISCARD:
            self._drop(arrival.body)
            return Landed(asset.asset_id, receipt, verdict, None), None
        path = key(asset, receipt, verdict)
        stage = self._store.stage(
            path, arrival.body, name=str(asset.asset_id), about=(asset, receipt)
        )
        return Landed(asset.asset_id, receipt, verdict, stage.key, stage.slot), stage

    def _unpacked(
        self, asset: Asset, arrival: Arrival, receipt: Receipt, verdict: Verdict
    ) -> tuple[Arrival, Receipt, Verdict]:
        """What is in a body that came compressed, if that is an image, or known for no longer being
        one; else the body as it is, which is what there is to show.
        """
        body, label = arrival.body, arrival.content_encoding or ""

        def chunks() -> Iterable[bytes]:
            return (body.data,) if body.data is not None else chunks_of(body)

        found = unpacking.measure(label, chunks, self._rules.max_bytes)
        if found is None:
            return arrival, receipt, verdict
        digest, kind = found
        inside = receipt._replace(size=digest.size, md5=digest.md5, content_type=kind)
        judged = verify.judge(
            asset.expected, inside, placeholder_digests=self._rules.placeholder_digests
        )
        if judged.code == "not-an-image":
            return arrival, receipt, verdict
        unpacked = Body(digest.size, data=b"")  # to be dropped
        if judged.keep is not Keep.DISCARD and not self._rules.measure_only:
            path = self._store.spool_path(f"{asset.asset_id}{UNPACKED_SUFFIX}")
            unpacked = unpacking.write(label, chunks, path, digest.size)
        self._drop(body)
        return arrival._replace(body=unpacked), inside, judged

    def _drop(self, body: Body) -> None:
        if body.path is not None:
            self._store.discard(body.path)


def _spooled(batch: Sequence[_Arrived]) -> list[Path]:
    paths = (item.arrival.body.path for item in batch)
    return [path for path in paths if path is not None]

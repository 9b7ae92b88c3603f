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
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Final

from fetcher.engine import unpacking
from fetcher.errors import StoreError
from fetcher.model import (
    Arrival,
    Asset,
    Body,
    Fault,
    Keep,
    Landed,
    Partial,
    Receipt,
    State,
    Validators,
    Verdict,
)
from fetcher.policy import paths, sniff, verify
from fetcher.policy.oserrors import disk_fault
from fetcher.ports import Adoption, Refused, Staged, Store

BATCH: Final = 256
"""Arrivals in a batch at most, so that a settlement never waits for long."""
LINGER: Final = 0.005
"""Seconds to let a batch grow under load: every turn of a thread costs the event loop the GIL."""
CHUNK: Final = 1 << 20
SPOOL_SUFFIX: Final = ".part"
UNPACKED_SUFFIX: Final = ".unpacked"


@dataclass(frozen=True, slots=True)
class LandingRules:
    """``mismatched``: what becomes of bytes that are not the listed image's. ``max_bytes``: how
    much may come out of a body that came compressed, unasked.
    """

    mismatched: Keep = Keep.QUARANTINE
    placeholder_digests: frozenset[str] = frozenset()
    max_bytes: int = 256 << 20


@dataclass(frozen=True, slots=True)
class _Arrived:
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
        self._leftovers = {path.name: path for path in store.leftovers()}
        self._may_adopt = bool(self._leftovers) or not store.is_fresh()
        self._deliver: Callable[[Sequence[Landed | Refused]], object] | None = None
        self._tell_broken: Callable[[BaseException], object] | None = None
        self._adopting = threading.Lock()
        self._closing = False

    def start(self, deliver: Deliver, broken: Callable[[BaseException], None]) -> None:
        loop = asyncio.get_running_loop()
        self._deliver = lambda results: loop.call_soon_threadsafe(deliver, results)
        self._tell_broken = lambda error: loop.call_soon_threadsafe(broken, error)
        for thread in self._threads:
            thread.start()

    def submit(self, asset: Asset, arrival: Arrival) -> None:
        self._queue.put(_Arrived(asset, arrival))

    def discard(self, partial: Partial) -> None:
        # At once: the next attempt spools to the same path, and must not lose it to a late removal.
        self._abandon([partial.path])

    async def close(self) -> None:
        self._closing = True
        for _ in self._threads:
            self._queue.put(None)
        for thread in self._threads:
            if thread.ident is not None:
                await asyncio.to_thread(thread.join)
        await asyncio.to_thread(self._sweep)

    async def adopt(self, assets: Sequence[Asset]) -> Adoption:
        if not self._may_adopt:
            return Adoption()
        return await asyncio.to_thread(self._adopt, assets)

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
        self._deliver(results)

    def _abandon(self, paths: Iterable[Path]) -> None:
        """Remove files of a batch that failed, as far as the disk lets us; the next run looks."""
        for path in paths:
            with suppress(StoreError):
                self._store.discard(path)

    def _sweep(self) -> None:
        """Remove all temporary files: none outlives a run. An adoption that nobody waits for any
        more is waited for here.
        """
        with self._adopting, suppress(StoreError):
            self._abandon(list(self._store.leftovers()))

    def _settle_one(self, item: _Arrived) -> tuple[Landed | Refused, Staged | None]:
        """What becomes of one arrival, and what is to be published for it."""
        asset, arrival = item.asset, item.arrival
        receipt = self._measure(arrival)
        verdict = verify.judge(
            asset.expected, receipt, placeholder_digests=self._rules.placeholder_digests
        )
        if arrival.content_encoding is not None and verdict.state is State.MISMATCHED:
            arrival, receipt, verdict = self._unpacked(asset, arrival, receipt, verdict)
        if verdict.keep is Keep.QUARANTINE:
            verdict = replace(verdict, keep=self._rules.mismatched)
        if arrival.resumed and verdict.state is State.MISMATCHED:
            # Two responses may have been of two different images: only a whole one can tell.
            self._drop(arrival.body)
            return Refused(asset.asset_id, Fault("range-mismatch", "the parts do not fit")), None
        if verdict.keep is Keep.DISCARD:
            self._drop(arrival.body)
            return Landed(asset.asset_id, receipt, verdict, None), None
        key = _key(asset, receipt, verdict)
        stage = self._store.stage(key, arrival.body, name=str(asset.asset_id))
        return Landed(asset.asset_id, receipt, verdict, key), stage

    def _unpacked(
        self, asset: Asset, arrival: Arrival, receipt: Receipt, verdict: Verdict
    ) -> tuple[Arrival, Receipt, Verdict]:
        """What is in a body that came compressed, if that is an image, or known for no longer being
        one; else the body as it is, which is what there is to show.
        """
        body, label = arrival.body, arrival.content_encoding or ""

        def chunks() -> Iterable[bytes]:
            return (body.data,) if body.data is not None else _chunks(body)

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
        if judged.keep is not Keep.DISCARD:
            path = self._store.spool_path(f"{asset.asset_id}{UNPACKED_SUFFIX}")
            unpacked = unpacking.write(label, chunks, path, digest.size)
        self._drop(body)
        return arrival._replace(body=unpacked), inside, judged

    def _drop(self, body: Body) -> None:
        if body.path is not None:
            self._store.discard(body.path)

    def _measure(self, arrival: Arrival) -> Receipt:
        body = arrival.body
        chunks = iter((body.data,)) if body.data is not None else _chunks(body)
        first = next(chunks, b"")
        measured = verify.digest(chain((first,), chunks))
        if measured.size != body.size:
            raise StoreError(
                f"{body.path} has {measured.size} bytes; {body.size} were written.",
                fault_code="disk-error",
                hint="Something else changes files in DIR, or the disk loses data.",
            )
        return Receipt(
            size=measured.size,
            md5=measured.md5,
            content_type=sniff.sniff(first[: sniff.HEAD]),
            final_url=arrival.final_url,
            http_status=arrival.http_status,
            validators=arrival.validators,
        )

    # Looking for what an earlier run left.

    def _adopt(self, assets: Sequence[Asset]) -> Adoption:
        published: list[Landed] = []
        written: list[Landed] = []
        partials: dict[int, Partial] = {}
        with self._adopting:
            for asset in assets:
                if self._closing:  # nobody waits for the answer any more
                    break
                if (landed := self._published(asset)) is not None:
                    published.append(landed)
                elif (landed := self._written(asset)) is not None:
                    written.append(landed)
                elif (part := self._begun(asset)) is not None:
                    partials[asset.asset_id] = part
            # They may have been named and not yet synced when the other run was killed.
            self._store.confirm([landed.path for landed in published if landed.path is not None])
        return Adoption((*published, *written), partials)

    def _published(self, asset: Asset) -> Landed | None:
        """A file under the asset's final name: published, and then not settled."""
        for extension in sniff.usual_extensions(asset.url):
            key = paths.relative_path("images", asset.subset, asset.image_id, extension)
            path = self._store.find(key)
            receipt = self._proof(asset, path) if path is not None else None
            if receipt is not None:
                return Landed(asset.asset_id, receipt, _VERIFIED, key)
        return None

    def _begun(self, asset: Asset) -> Partial | None:
        """The beginning of a body. The MD5 decides in the end whether it is this image's."""
        part = self._leftovers.pop(f"{asset.asset_id}{SPOOL_SUFFIX}", None)
        size = part.stat().st_size if part is not None else 0
        if part is None or not size or asset.expected.md5 is None:
            return None
        return Partial(part, size, Validators())

    def _written(self, asset: Asset) -> Landed | None:
        """A file that was written, and then not published."""
        path = self._leftovers.pop(str(asset.asset_id), None)
        receipt = self._proof(asset, path) if path is not None else None
        if path is None or receipt is None:
            return None
        key = _key(asset, receipt, _VERIFIED)
        body = Body(receipt.size, path=path)
        self._store.publish([self._store.stage(key, body, name=str(asset.asset_id))])
        return Landed(asset.asset_id, receipt, _VERIFIED, key)

    def _proof(self, asset: Asset, path: Path) -> Receipt | None:
        """A receipt for ``path`` if its MD5 is the list's; a size alone proves nothing."""
        if asset.expected.md5 is None:
            return None
        size = path.stat().st_size
        if asset.expected.size not in (None, size):
            return None
        receipt = self._measure(Arrival(Body(size, path=path), 0, None, asset.url))
        return receipt if receipt.md5 == asset.expected.md5 else None


_VERIFIED: Final = Verdict(State.VERIFIED, None, Keep.STORE)


def _spooled(batch: Sequence[_Arrived]) -> list[Path]:
    paths = (item.arrival.body.path for item in batch)
    return [path for path in paths if path is not None]


def _key(asset: Asset, receipt: Receipt, verdict: Verdict) -> str:
    folder = "mismatched" if verdict.keep is Keep.QUARANTINE else "images"
    extension = sniff.extension(receipt.content_type, asset.url)
    return paths.relative_path(folder, asset.subset, asset.image_id, extension)


def _chunks(body: Body) -> Iterator[bytes]:
    """The bytes of a spooled body. Raises ``StoreError``."""
    assert body.path is not None  # noqa: S101  a body is in memory or in a file
    try:
        with body.path.open("rb", buffering=0) as file:
            while chunk := file.read(CHUNK):
                yield chunk
    except OSError as error:
        raise StoreError(
            f"{body.path} cannot be read: {error.strerror or error}.",
            fault_code=disk_fault(error),
            hint="Check the disk and the permissions of DIR, then run the same command again.",
        ) from error

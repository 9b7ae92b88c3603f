"""Finishing: what becomes of arrivals, from their bytes to kept files. All of it blocks.

    measure (size, MD5, type) the batch → judge → stage each → publish the batch

Where this is done, on which thread and in what batches, is the business of a landing
(``fetcher.engine.landing``, ``fetcher.engine.prompt``).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from msgspec import Struct, structs
from msgspec.structs import replace

from fetcher.engine import unpacking
from fetcher.engine.measuring import chunks_of, key, measure
from fetcher.errors import StoreError
from fetcher.killpoints import Point, reached
from fetcher.model import Arrival, Asset, Body, Fault, Keep, Landed, Receipt, State, Verdict
from fetcher.policy import codings, verify
from fetcher.ports import Refused, Staged, Store

UNPACKED_SUFFIX: Final = ".unpacked"


class LandingRules(Struct, frozen=True):
    """``mismatched``: what becomes of bytes that are not the listed image's. ``max_bytes``: how
    much may come out of a body that came compressed, unasked.
    """

    mismatched: Keep = Keep.QUARANTINE
    placeholder_digests: frozenset[str] = frozenset()
    max_bytes: int = 256 << 20
    measure_only: bool = False
    """It is an audit: nothing is kept, whatever it is."""


class Item(Struct, frozen=True):
    asset: Asset
    arrival: Arrival


class Finisher:
    """Finishes batches for a blocking store; several threads may use one at the same time."""

    def __init__(self, store: Store, rules: LandingRules) -> None:
        self._store = store
        self._rules = rules

    def finish(self, batch: Sequence[Item]) -> list[Landed | Refused]:
        """What became of each, in their order; trouble of the store's refuses all of them."""
        results: list[Landed | Refused] = []
        staged: list[Staged] = []
        try:
            receipts = measure([item.arrival for item in batch])
            for item, receipt in zip(batch, receipts, strict=True):
                result, stage = self._settle_one(item, receipt)
                results.append(result)
                if stage is not None:
                    staged.append(stage)
            self._store.publish(staged)
        except StoreError as error:
            self._abandon([*(Path(s.temporary) for s in staged), *_spooled(batch)])
            fault = Fault(error.fault_code, error.in_one_line)
            return [Refused(item.asset.asset_id, fault) for item in batch]
        return results

    def _abandon(self, paths: Iterable[Path]) -> None:
        """Remove files of a batch that failed, as far as the disk lets us; the next run looks."""
        for path in paths:
            with suppress(StoreError):
                self._store.discard(path)

    def _settle_one(self, item: Item, receipt: Receipt) -> tuple[Landed | Refused, Staged | None]:
        """What becomes of one arrival, and what is to be published for it."""
        asset, arrival = item.asset, item.arrival
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

        def chunks() -> Iterable[bytes | bytearray]:
            return (body.data,) if body.data is not None else chunks_of(body)

        found = unpacking.measure(label, chunks, self._rules.max_bytes)
        if found is None:
            return arrival, receipt, verdict
        digest, kind = found
        inside = structs.replace(receipt, size=digest.size, md5=digest.md5, content_type=kind)
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
        return structs.replace(arrival, body=unpacked), inside, judged

    def _drop(self, body: Body) -> None:
        if body.path is not None:
            self._store.discard(body.path)


def _spooled(batch: Sequence[Item]) -> list[Path]:
    paths = (item.arrival.body.path for item in batch)
    return [path for path in paths if path is not None]

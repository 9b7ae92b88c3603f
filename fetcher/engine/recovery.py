"""What a run that was killed brought and could not settle is used; what this one leaves is removed.

Three kinds of leavings, by how far an image had come: a file under its final name, a file that is
whole under its temporary name, and the beginning of a body. Only the list's MD5 proves which image
bytes are; without one they are fetched anew.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from fetcher.engine.measuring import body_in, key, measure
from fetcher.errors import StoreError
from fetcher.killpoints import Point, reached
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
from fetcher.policy import paths, sniff
from fetcher.policy.groups import Job
from fetcher.ports import Adoption, Recovery, Store

SPOOL_SUFFIX: Final = ".part"
_VERIFIED: Final = Verdict(State.VERIFIED, None, Keep.STORE)


def drop_partial(job: Job, recovery: Recovery) -> None:
    """Let go of what there is of the body of ``job``."""
    if job.partial is not None:
        recovery.discard(job.partial)
        job.partial = None


class StoreRecovery:
    """``ports.Recovery`` over a blocking store. To be made before this run writes anything."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._leftovers = {path.name: path for path in store.leftovers()}
        self._may_adopt = bool(self._leftovers) or not store.is_fresh()
        self._adopting = threading.Lock()
        self._closing = False

    async def adopt(self, assets: Sequence[Asset]) -> Adoption:
        if not self._may_adopt:
            return Adoption()
        try:
            return await asyncio.to_thread(self._adopt, assets)
        except StoreError as error:
            return Adoption(fault=Fault(error.fault_code, error.in_one_line))

    def discard(self, partial: Partial) -> None:
        # At once: the next attempt spools to the same path, and must not lose it to a late removal.
        with suppress(StoreError):  # the next run looks
            self._store.discard(partial.path)

    async def close(self) -> None:
        self._closing = True
        await asyncio.to_thread(self._sweep)

    def _sweep(self) -> None:
        """An adoption that nobody waits for any more is waited for here."""
        with self._adopting, suppress(StoreError):
            for path in list(self._store.leftovers()):
                with suppress(StoreError):
                    self._store.discard(path)
        reached(Point.SWEPT)

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
            reached(Point.FOUND)
            # They may have been named and not yet synced when the other run was killed.
            self._store.confirm([landed.path for landed in published if landed.path is not None])
        return Adoption((*published, *written), partials)

    def _published(self, asset: Asset) -> Landed | None:
        """A file under the asset's final name: published, and then not settled."""
        for extension in sniff.usual_extensions(asset.url):
            path = paths.relative_path("images", asset.subset, asset.image_id, extension)
            found = self._store.find(path)
            receipt = _proof(asset, body_in(found)) if found else None
            if receipt is not None:
                return Landed(asset.asset_id, receipt, _VERIFIED, path)
        return None

    def _written(self, asset: Asset) -> Landed | None:
        """A file that was written, and then not published."""
        found = self._leftovers.pop(str(asset.asset_id), None)
        if found is None:
            return None
        body = body_in(found)
        receipt = _proof(asset, body)
        if receipt is None:
            return None
        path = key(asset, receipt, _VERIFIED)
        staged = self._store.stage(path, body, name=str(asset.asset_id), about=(asset, receipt))
        self._store.publish([staged])
        return Landed(asset.asset_id, receipt, _VERIFIED, staged.key, staged.slot)

    def _begun(self, asset: Asset) -> Partial | None:
        """The beginning of a body. The MD5 decides in the end whether it is this image's."""
        part = self._leftovers.pop(f"{asset.asset_id}{SPOOL_SUFFIX}", None)
        size = body_in(part).size if part is not None else 0
        if part is None or not size or asset.expected.md5 is None:
            return None
        return Partial(part, size, Validators())


class AuditRecovery(StoreRecovery):
    """An audit is about what the web has: nothing that lies on disk is taken for an answer."""

    async def adopt(self, assets: Sequence[Asset]) -> Adoption:  # noqa: ARG002  none of them
        return Adoption()


def _proof(asset: Asset, body: Body) -> Receipt | None:
    """A receipt for ``body`` if its MD5 is the list's; a size alone proves nothing."""
    if asset.expected.md5 is None or asset.expected.size not in (None, body.size):
        return None
    (receipt,) = measure([Arrival(body, 0, None, asset.url)])
    return receipt if receipt.md5 == asset.expected.md5 else None

"""The ledger: outcomes on their way to the manifest, committed in batches.

A batch is whatever came up while the last one was being committed, and for a moment after that. So
a single outcome is written at once, and a flood is written in few transactions. Entries are handed
back when they are committed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

from msgspec import Struct

from fetcher.events import Settled
from fetcher.killpoints import Point, reached
from fetcher.model import Fault, Found, Landed, Outcome, State, Verdict
from fetcher.policy import codes, urls
from fetcher.policy.groups import Job
from fetcher.ports import Clock, Manifest, Observer

LINGER: Final = 0.005
"""Seconds between the end of a commit and the next one, under load. A transaction costs as much as
the rows of ten images."""
FEW: Final = 4
"""Outcomes in a batch that show no load."""


class Entry(Struct, frozen=True):
    """``retry_at``: when the asset's next attempt may start; ``None`` if it is settled."""

    job: Job
    outcome: Outcome
    retry_at: float | None = None
    outside: bool = False
    """The frontier does not hold it: settled from bytes on disk, or refused before a request."""


class Ledger:
    """See the module's text."""

    def __init__(
        self,
        manifest: Manifest,
        observer: Observer,
        committed: Callable[[Sequence[Entry]], None],
        available: Callable[[], None],
    ) -> None:
        self._manifest = manifest
        self._observer = observer
        self._committed = committed
        self._available = available
        self._entries: list[Entry] = []
        self._committing = 0
        self._news = asyncio.Event()
        self._closing = False

    @property
    def open(self) -> int:
        """Entries that are not committed yet."""
        return len(self._entries) + self._committing

    async def run(self) -> None:
        """Commit until closed. Raises what the manifest raises."""
        while self._entries or not self._closing:
            if not self._entries:
                await self._news.wait()
                self._news.clear()
                continue
            batch, self._entries = self._entries, []
            self._committing = len(batch)
            reached(Point.DELIVERED)
            available = await self._manifest.settle([entry.outcome for entry in batch])
            reached(Point.TOLD)
            self._committing = 0
            self._observer.notify(Settled(tuple(entry.outcome for entry in batch)))
            if available:
                self._available()
            self._committed(batch)
            if len(batch) > FEW and not self._closing:
                await asyncio.sleep(LINGER)

    async def close(self) -> None:
        """Let ``run`` end when all is committed."""
        self._closing = True
        self._news.set()

    def failed(self, job: Job, fault: Fault, clock: Clock, *, retry_at: float | None) -> None:
        state = State.PENDING if retry_at is not None else codes.final_state(fault.code)
        elapsed = clock.now() - job.started
        self._enter(
            job,
            Outcome(
                asset_id=job.asset.asset_id,
                state=state,
                attempt=job.attempt,
                started_at=clock.wall() - elapsed,
                elapsed=elapsed,
                code=fault.code,
                http_status=fault.http_status,
                final_url=fault.final_url or _elsewhere(job, job.url),
                received=fault.received,
                detail=fault.detail or None,
            ),
            retry_at=retry_at,
        )

    def refused(self, job: Job, fault: Fault, clock: Clock) -> None:
        """An attempt that ended before its request, or before the one that a redirect led to."""
        elapsed = clock.now() - job.started if job.hops else 0.0
        outcome = Outcome(
            asset_id=job.asset.asset_id,
            state=codes.final_state(fault.code),
            attempt=job.attempt,
            started_at=clock.wall() - elapsed,
            elapsed=elapsed,
            code=fault.code,
            final_url=_elsewhere(job, job.url),
            detail=fault.detail or None,
        )
        self._enter(job, outcome, outside=True)

    def landed(self, job: Job, landed: Landed, clock: Clock) -> None:
        elapsed = clock.now() - job.started
        receipt, verdict = landed.receipt, landed.verdict
        self._enter(
            job,
            Outcome(
                asset_id=job.asset.asset_id,
                state=verdict.state,
                attempt=job.attempt,
                started_at=clock.wall() - elapsed,
                elapsed=elapsed,
                code=verdict.code,
                http_status=receipt.http_status,
                final_url=_elsewhere(job, receipt.final_url),
                actual_size=receipt.size,
                actual_md5=receipt.md5,
                path=landed.path,
                received=job.received,
                slot=landed.slot,
            ),
        )

    def found(self, job: Job, found: Found, verdict: Verdict, clock: Clock) -> None:
        """An audit knows enough without all of its bytes."""
        elapsed = clock.now() - job.started
        self._enter(
            job,
            Outcome(
                asset_id=job.asset.asset_id,
                state=verdict.state,
                attempt=job.attempt,
                started_at=clock.wall() - elapsed,
                elapsed=elapsed,
                code=verdict.code,
                http_status=found.http_status,
                final_url=_elsewhere(job, found.final_url),
                actual_size=found.size,
                received=found.received,
            ),
        )

    def adopted(self, job: Job, landed: Landed, wall: float) -> None:
        """Found on disk: no attempt was made."""
        receipt = landed.receipt
        outcome = Outcome(
            asset_id=job.asset.asset_id,
            state=landed.verdict.state,
            attempt=0,
            started_at=wall,
            elapsed=0.0,
            actual_size=receipt.size,
            actual_md5=receipt.md5,
            path=landed.path,
            slot=landed.slot,
        )
        self._enter(job, outcome, outside=True)

    def _enter(
        self, job: Job, outcome: Outcome, *, retry_at: float | None = None, outside: bool = False
    ) -> None:
        self._entries.append(Entry(job, outcome, retry_at, outside))
        self._news.set()


def _elsewhere(job: Job, url: str) -> str | None:
    """``url`` as it may be written down, if that is not the listed one."""
    if "@" in url:
        url = urls.drop_credentials(url)
    return url if url != job.asset.url else None

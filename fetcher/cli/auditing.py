"""One audit run: first the lists to their end, then a sample of them or all, and no file kept.

What is asked for is drawn from all rows, so nothing is asked before they are read. The rest is a
mirror's run: the same engine, budgets, consent, retries and workers, with another method.
"""

from __future__ import annotations

import asyncio
from typing import Any

from msgspec import Struct

from fetcher.cli.importing import raise_of_list
from fetcher.cli.mirroring import Mirroring, nothing_to_do
from fetcher.engine import AuditRecovery, Ending, EndReason
from fetcher.manifest import Audit, AuditTerms, ManifestThread
from fetcher.model import Tally
from fetcher.policy.sampling import StratumCount


class Findings(Struct):
    """What is known when it is over; ``audit`` is ``None`` if it did not come to be drawn."""

    audit: Audit | None = None
    strata: tuple[StratumCount, ...] = ()


class Auditing(Mirroring):
    """See the module's text. ``findings`` is filled in; the rest is as of ``Mirroring``."""

    def __init__(self, terms: AuditTerms, findings: Findings, *parts: Any, **named: Any) -> None:
        super().__init__(*parts, **named)
        self._terms = terms
        self._findings = findings

    async def _work(self, manifest: ManifestThread) -> Ending:
        stopped = await self._read_lists(manifest)
        if stopped is not None:
            return stopped
        if useless := nothing_to_do(await manifest.selected_tally(), self._job.selection):
            raise useless
        self._findings.audit = await manifest.begin_audit(self._terms)
        progress = self._progress(await manifest.audit_tally(), importing=False)
        self._tell_of_deaths(progress)
        engine = self._engine(manifest, progress, AuditRecovery(self._store), self._terms.method)
        engine.no_more_to_come()
        async with self._shown(progress, engine):
            ending = await engine.run()
        await manifest.finish_audit()
        self._findings.strata = tuple(await manifest.audit_counts())
        return ending

    async def _tally(self, manifest: ManifestThread) -> Tally:
        if self._findings.audit is None:
            return await manifest.selected_tally()
        return await manifest.audit_tally()

    async def _read_lists(self, manifest: ManifestThread) -> Ending | None:
        """How it ended, if that was before the lists did."""
        importing = asyncio.create_task(self._importer(manifest, self._progress(Tally())).run())
        signals: list[str] = []

        def stop(name: str) -> None:
            """It goes on where its last batch ended."""
            signals.append(name)
            importing.cancel()

        with self._signals.stopping(stop):
            await asyncio.wait([importing], timeout=self._job.config.run.max_runtime)
            importing.cancel()
            await asyncio.wait([importing])
        if importing.cancelled():
            return Ending(EndReason.STOPPED, signals[0] if signals else "run.max_runtime")
        if (error := importing.exception()) is not None:
            raise_of_list(error)
        return None

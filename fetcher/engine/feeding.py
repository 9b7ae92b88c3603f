"""Feeding: leases keep the frontier supplied, and what an earlier run left behind is used first.

Whoever feeds knows when there is no more: everything is settled and all lists are read, or as many
assets as allowed were leased and are settled.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from fetcher.engine.ending import End, Ending, EndReason
from fetcher.engine.ledger import Ledger
from fetcher.engine.options import EngineOptions
from fetcher.engine.pauses import Pauses
from fetcher.model import Asset, Fault, Lease, LeaseRequest
from fetcher.policy.frontier import Frontier
from fetcher.policy.groups import Job
from fetcher.ports import Adoption, Clock, Manifest, Recovery


class Feeder:
    """``objection`` says why a job must not be asked for, ``refuse`` ends one for that; ``fed`` is
    called when the frontier has got more. ``end`` ends the run.
    """

    def __init__(
        self,
        *,
        frontier: Frontier,
        manifest: Manifest,
        recovery: Recovery,
        ledger: Ledger,
        pauses: Pauses,
        clock: Clock,
        options: EngineOptions,
        group_of: Callable[[str], str],
        objection: Callable[[Job, str], Fault | None],
        refuse: Callable[[Job, Fault], None],
        fed: Callable[[], None],
        end: End,
    ) -> None:
        self._frontier = frontier
        self._manifest = manifest
        self._recovery = recovery
        self._ledger = ledger
        self._pauses = pauses
        self._clock = clock
        self._options = options
        self._group_of = group_of
        self._objection = objection
        self._refuse = refuse
        self._fed = fed
        self._end = end
        self._leased = 0
        self._unfed: Sequence[Asset] = ()
        """Leased assets on their way to the frontier."""
        self._more_to_come = True
        self._stopped = False
        self._news = asyncio.Event()

    # What may change whether there is something to lease.

    def stirred(self) -> None:
        """Rows were imported, or assets became available again: there may be something to lease."""
        self._frontier.stirred()
        self._news.set()

    def no_more_to_come(self) -> None:
        """All lists are read: a manifest without pending assets now means the end."""
        self._more_to_come = False
        self.stirred()

    def settled(self) -> None:
        """There is room in the frontier; or that was all."""
        if self._frontier.hungry:
            self._news.set()
        self.look_for_the_end()

    def stop(self) -> None:
        """Nothing more is leased."""
        self._stopped = True

    # The task.

    async def run(self) -> None:
        """Feed until stopped; may be cancelled at any time."""
        while not self._stopped:
            self._news.clear()
            request = self._wanted()
            if request is None:
                await self._look_for_the_limit()
                await self._news.wait()
                continue
            lease = await self._manifest.lease(request)
            self._leased += len(lease.assets)
            self._unfed = lease.assets  # adopting may be interrupted
            adoption = await self._recovery.adopt(lease.assets)
            self._unfed = ()
            if adoption.fault is not None:
                await self._could_not_look(lease, adoption.fault)
            else:
                self._feed(request, lease, adoption)

    async def give_back(self) -> None:
        """Return every lease that is not settled."""
        left = [job.asset for job in self._frontier.withdraw() if not job.is_robots]
        await self._manifest.give_back([asset.asset_id for asset in (*left, *self._unfed)])

    def look_for_the_end(self) -> None:
        """End the run if that was all."""
        if self._frontier.held or self._ledger.open:
            return
        if self._limit_reached():
            self._news.set()
        elif not self._frontier.hungry and not self._more_to_come:
            # Not hungry while it holds nothing: the manifest had nothing when last asked.
            self._end(Ending(EndReason.COMPLETE))

    def _feed(self, request: LeaseRequest, lease: Lease, adoption: Adoption) -> None:
        found = {landed.asset_id: landed for landed in adoption.landed}
        jobs: list[Job] = []
        adopted: list[Job] = []
        for asset in lease.assets:
            job = self._job(asset)
            job.partial = adoption.partials.get(asset.asset_id)
            if asset.asset_id in found:
                self._ledger.adopted(job, found[asset.asset_id], self._clock.wall())
                adopted.append(job)
            elif (objection := self._objection(job, job.url)) is not None:
                self._refuse(job, objection)
                adopted.append(job)
            else:
                jobs.append(job)
        self._frontier.fed(
            request, jobs, self._clock.now(), adopted=adopted, exhausted=lease.exhausted
        )
        self._fed()
        self.look_for_the_end()

    async def _could_not_look(self, lease: Lease, fault: Fault) -> None:
        """The disk does not let us see what an earlier run left; what was leased is not touched."""
        await self._manifest.give_back([asset.asset_id for asset in lease.assets])
        self._leased -= len(lease.assets)
        self._pauses.stop_or_pause(fault, self._clock.now())
        await asyncio.sleep(self._pauses.left(self._clock.now()))
        self._frontier.stirred()  # it has not got what it had asked for

    def _wanted(self) -> LeaseRequest | None:
        request = self._frontier.wants()
        if request is not None and self._ledger.open >= request.limit:
            return None  # what was refused at once is with the ledger alone: that is enough of it
        if request is None or self._options.limit is None:
            return request
        limit = min(request.limit, self._options.limit - self._leased)
        return LeaseRequest(limit, request.room, request.default_room) if limit > 0 else None

    def _limit_reached(self) -> bool:
        return self._options.limit is not None and self._leased >= self._options.limit

    def _job(self, asset: Asset) -> Job:
        size, most = asset.expected.size, self._options.spool_above
        return Job(
            asset=asset,
            home=self._group_of(asset.host),
            memory=min(size, most) if size is not None else most,
            attempt=asset.attempts + 1,
            method=self._options.method,
        )

    async def _look_for_the_limit(self) -> None:
        """End if as many assets as allowed are settled. But while the lists are being read, and all
        that is known of them is settled, wait: that may have been everything.
        """
        if not self._limit_reached() or self._frontier.held or self._ledger.open:
            return
        if not self._more_to_come or (await self._manifest.tally()).pending:
            self._end(Ending(EndReason.LIMIT, f"limit of {self._options.limit} reached"))

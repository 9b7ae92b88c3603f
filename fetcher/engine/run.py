"""The engine: one run, from the first lease to the last settlement.

The frontier decides, the engine acts. It is made of:

    feeding        a task that keeps the frontier supplied with leases
    dispatching    what may start goes to the crew, which carries it out and reports
    consequences   what follows from a report: an outcome, another hop, a retry, a pause
    ledger         a task that commits outcomes: all that came up during the last commit
    consent        a task that looks up what robots.txt files said
    keeper         a task that keeps what was learned of host groups

Nothing else waits. An image costs no task, no timer and no future of its own; a retry waits as data
in the frontier.

An attempt's way: dispatched → (hop → hop …) → arrived or fault → landed → outcome → committed. Only
then is its slot free: what a crash can cost is bounded by ``fetch.concurrency``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from fetcher.engine.consent import Consent
from fetcher.engine.consequences import Consequences
from fetcher.engine.dispatching import Dispatcher
from fetcher.engine.ending import Ending, EndReason
from fetcher.engine.feeding import Feeder
from fetcher.engine.keeper import Keeper
from fetcher.engine.ledger import Entry, Ledger
from fetcher.engine.options import EngineOptions
from fetcher.engine.pauses import Pauses
from fetcher.engine.recovery import drop_partial
from fetcher.errors import FetcherError, WorkerBrokeError
from fetcher.events import Draining
from fetcher.model import Fault
from fetcher.policy.frontier import Frontier
from fetcher.policy.groups import GroupStatus, Job
from fetcher.ports import Clock, Crew, Manifest, Observer, Recovery, RobotsBook


class Engine:
    """Wires the ports together for one run. Everything it does not own is handed in."""

    def __init__(
        self,
        *,
        frontier: Frontier,
        group_of: Callable[[str], str],
        crew: Crew,
        recovery: Recovery,
        manifest: Manifest,
        clock: Clock,
        chance: Callable[[], float],
        observer: Observer,
        options: EngineOptions,
        robots: RobotsBook | None = None,
    ) -> None:
        self._frontier = frontier
        self._crew = crew
        self._recovery = recovery
        self._clock = clock
        self._observer = observer
        self._drain_for = options.drain
        self._ended: asyncio.Future[Ending] = asyncio.get_running_loop().create_future()
        self._dispatcher = Dispatcher(frontier, crew, clock)
        self._ledger = Ledger(manifest, observer, self._committed, self.stirred)
        self._consent: Consent | None = None
        if options.consent is not None and options.consent.robots and robots is not None:
            self._consent = Consent(
                options.consent,
                robots,
                frontier,
                group_of=group_of,
                redirects=options.redirects,
                retry=options.retry,
                clock=clock,
                chance=chance,
                observer=observer,
                refuse=self._refuse,
                moved=self._moved,
            )
        longest = max(options.retry.max_retry_after, options.retry.max_delay)
        self._keeper = Keeper(frontier, manifest, clock, longest=longest)
        pauses = Pauses(
            frontier,
            observer,
            self._end,
            first=options.first_pause,
            longest=options.longest_pause,
        )
        self._consequences = Consequences(
            frontier=frontier,
            dispatcher=self._dispatcher,
            ledger=self._ledger,
            keeper=self._keeper,
            pauses=pauses,
            consent=self._consent,
            recovery=recovery,
            reach=crew.reach,
            group_of=group_of,
            clock=clock,
            chance=chance,
            observer=observer,
            options=options,
        )
        self._feeder = Feeder(
            frontier=frontier,
            manifest=manifest,
            recovery=recovery,
            ledger=self._ledger,
            pauses=pauses,
            clock=clock,
            options=options,
            group_of=group_of,
            objection=self._consequences.objection,
            refuse=self._refuse,
            fed=self._dispatcher.pump,
            end=self._end,
        )

    # What the outside may do while a run is on.

    def stirred(self) -> None:
        """Rows were imported, or assets became available again: there may be something to lease."""
        self._feeder.stirred()

    def no_more_to_come(self) -> None:
        """All lists are read: a manifest without pending assets now means the end."""
        self._feeder.no_more_to_come()

    def stop(self, detail: str) -> None:
        """End in good order: no new requests, those in flight have ``drain`` seconds."""
        self._end(Ending(EndReason.STOPPED, detail))

    def stop_now(self) -> None:
        """After ``stop``: do not wait for those in flight. What has arrived is settled still."""
        self._drain_for = 0.0
        self._crew.abandon()

    @property
    def ending(self) -> bool:
        return self._ended.done()

    def groups(self) -> list[GroupStatus]:
        """The host groups that hold assets, for display."""
        return list(self._frontier.status(self._clock.now()))

    # The run.

    async def run(self) -> Ending:
        """Run to the end. Raises ``ManifestError`` or ``StoreError`` if nothing can be settled,
        ``WorkersLostError`` if nobody is left who could ask.
        """
        await self._crew.start(self._consequences.reported, self._broke)
        try:
            return await self._run()
        except* (FetcherError, WorkerBrokeError) as errors:
            raise errors.exceptions[0] from None
        finally:
            # However it ended: nothing may go on storing when the manifest's lock is given up.
            await self._crew.close(0.0)
            await self._recovery.close()

    async def _run(self) -> Ending:
        async with asyncio.TaskGroup() as tasks:
            for cool_down in await self._keeper.restore():
                self._observer.notify(cool_down)
            settler = tasks.create_task(self._or_stop(self._ledger.run))
            keeper = tasks.create_task(self._or_stop(self._keeper.run))
            feeder = tasks.create_task(self._or_stop(self._feeder.run))
            consent = None
            if self._consent is not None:
                consent = tasks.create_task(self._or_stop(self._consent.run))
            ending = await self._ended
            feeder.cancel()
            await self._drain(ending)
            if self._consent is not None:
                self._consent.close()
            await self._ledger.close()
            await settler
            if consent is not None:
                await consent
            self._keeper.close()
            await keeper
            await self._feeder.give_back()  # what there is of their bodies goes with the recovery
        return ending

    async def _or_stop(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Do ``work``, without which there is nothing to run for: if it fails, nothing may start
        while the other tasks are being ended. It is no coroutine yet: a task that is cancelled
        before its first step would leave one behind that nobody has awaited.
        """
        try:
            await work()
        except BaseException:
            self._stop_starting()
            raise

    def _end(self, ending: Ending) -> None:
        self._stop_starting()  # what ends the run is heard of later than runners ask for more
        if not self._ended.done():
            self._ended.set_result(ending)

    def _broke(self, error: BaseException) -> None:
        """A bug has ended the crew, or the engine while the crew delivered."""
        self._stop_starting()
        if not self._ended.done():
            self._ended.set_exception(error)

    def _stop_starting(self) -> None:
        self._dispatcher.stop()
        self._feeder.stop()

    async def _drain(self, ending: Ending) -> None:
        busy = self._frontier.slots_taken
        if busy and ending.reason is not EndReason.COMPLETE:
            self._observer.notify(Draining(ending.detail or ending.reason, busy))
        await self._crew.close(self._drain_for)
        self._consequences.close()

    # What the parts tell each other.

    def _refuse(self, job: Job, fault: Fault) -> None:
        """It ends without a request; the frontier does not hold it."""
        drop_partial(job, self._recovery)
        self._ledger.refused(job, fault, self._clock)

    def _moved(self) -> None:
        """Something else may start, or be leased, or that was all."""
        self._dispatcher.pump()
        self._feeder.settled()

    def _committed(self, entries: Sequence[Entry]) -> None:
        """The ledger's delivery: these outcomes are in the manifest."""
        now = self._clock.now()
        for entry in entries:
            if entry.outside:
                continue
            if entry.retry_at is not None:
                entry.job.attempt += 1
                self._frontier.retry(entry.job, entry.retry_at, now)
            else:
                self._frontier.settled(entry.job)
        self._moved()

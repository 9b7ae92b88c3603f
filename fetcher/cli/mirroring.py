"""One mirror run, wired together: lists → manifest → engine → store, with progress and signals."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import shlex
import time
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Final

from msgspec import Struct
from rich.console import Console

from fetcher import __version__
from fetcher.aside import ReadingProcess
from fetcher.cli.crewing import Crewed
from fetcher.cli.importing import Stirring, import_and_run
from fetcher.cli.job import Job
from fetcher.cli.recipe import settle_in
from fetcher.cli.signals import Signals
from fetcher.cli.stores import store_of
from fetcher.config import (
    as_dict,
    breaker_rule,
    consent_rule,
    host_groups,
    redirect_rule,
    retry_rule,
)
from fetcher.engine import Ending, EndReason, Engine, EngineOptions, StoreRecovery
from fetcher.engine.workforce import Workforce
from fetcher.errors import Exit, FetcherError, LockedError, UsageError
from fetcher.events import SentAhead
from fetcher.manifest import ManifestThread, RunInfo
from fetcher.manifest.faults import damaged
from fetcher.model import Method, Selection, State, Tally
from fetcher.policy import urls
from fetcher.policy.frontier import Frontier
from fetcher.ports import Crew, Observer, Recovery
from fetcher.report.progress import Progress
from fetcher.report.running import RunningTally
from fetcher.report.text import counted
from fetcher.source import ColumnNames, ImageList, open_list
from fetcher.source.importer import Importer
from fetcher.store import LocalStore, cut_tails

CAPACITY: Final = 16_384
"""Leased assets that are held in memory at most; about 1 kB each."""

MANY_DEATHS: Final = 2
"""Runs that died, one after another: after so many it may be an image that kills them."""


class Result(Struct, frozen=True):
    ending: Ending
    tally: Tally
    """Of the selection."""
    exit: Exit


class RealClock:
    """``ports.Clock``: the event loop's idea of now, and the system's of the date."""

    def now(self) -> float:
        return time.monotonic()

    def wall(self) -> float:
        return time.time()


def run(
    job: Job, crewed: Crewed, console: Console, make: Callable[..., Mirroring] | None = None
) -> Result:
    """Do it; ``make`` makes what does it, if that is no mirror.

    Raises ``FetcherError`` for what makes the command unusable or the manifest fail.
    """
    lists = _checked_lists(job)
    make = make or Mirroring
    recipe = crewed.recipe
    store = store_of(recipe)
    store.prepare()
    settle_in()
    mirroring = make(job, lists, store, console, crewed)
    with asyncio.Runner(loop_factory=recipe.loop) as runner:
        return runner.run(mirroring.run())


def _checked_lists(job: Job) -> list[ImageList]:
    """The lists, each known to be one: a command that cannot work must change nothing."""
    config = job.config
    names = config.source.columns
    columns = ColumnNames(
        id=names.id, subset=names.subset, url=names.url, size=names.size, md5=names.md5
    )
    lists = [
        open_list(path, columns, job.selection, check_bytes=config.source.check_bytes)
        for path in job.lists
    ]
    for image_list in lists:
        image_list.check()
    return lists


class Mirroring:
    """The parts of one run, made in order and taken apart in reverse."""

    def __init__(
        self,
        job: Job,
        lists: list[ImageList],
        store: LocalStore,
        console: Console,
        crewed: Crewed,
    ) -> None:
        self._job = job
        self._lists = lists
        self._store = store
        self._console = console
        self._recipe = crewed.recipe
        self._force = crewed.force
        self._nursery = crewed.nursery
        self._clock = RealClock()
        self._signals = Signals()
        self._deaths = 0
        """Of runs before this one, if they are why a worker is sent ahead."""
        self._groups = host_groups(job.config)

    async def run(self) -> Result:
        try:
            with contextlib.ExitStack() as when_it_is_written:
                return await self._run(when_it_is_written)
        except LockedError:
            raise  # the place for temporary files is in use
        except FetcherError:
            self._store.close()
            raise

    async def _run(self, when_it_is_written: contextlib.ExitStack) -> Result:
        # It is written down, and shown to whoever finds the manifest locked.
        job, command = self._job, urls.redact_within(shlex.join(self._job.command))
        async with ManifestThread(
            job.manifest,
            command=command,
            group_of=self._groups.group_of,
            selection=job.selection,
            images_stored=not self._store.is_fresh(),
            place=Path(self._store.spool_directory),
        ) as manifest:
            # From here on nobody else works in DIR: its lock is ours, and the manifest's.
            try:
                return await self._in_charge(manifest, command, when_it_is_written)
            finally:
                self._store.close()

    async def _in_charge(
        self, manifest: ManifestThread, command: str, when_it_is_written: contextlib.ExitStack
    ) -> Result:
        job = self._job
        when_it_is_written.enter_context(self._signals.heard())
        await self._cut_tails(manifest, of_killed_runs=True)
        if job.config.store.layout == "tar":
            await manifest.fill_shards()
        shown = json.dumps(as_dict(job.loaded)["config"], ensure_ascii=False)
        await manifest.begin_run(RunInfo(command, __version__, shown))
        await self._look_back(manifest)
        try:
            ending = await self._work(manifest)
            tally = await self._tally(manifest)
            if ending.reason is EndReason.COMPLETE and tally.pending:
                raise damaged(
                    job.manifest, f"{tally.pending:,} images count as pending, and are not found"
                )
        except FetcherError as error:
            with contextlib.suppress(FetcherError):  # what ended the run is what is told
                await manifest.end_run(error.exit, error.sentence)
            raise
        finally:
            self._store.close()
        await self._cut_tails(manifest, of_killed_runs=False)
        result = Result(ending, tally, exit_code(ending, tally, job.config.run.tolerate))
        useless = nothing_to_do(tally, job.selection) if result.exit is Exit.COMPLETE else None
        await manifest.end_run(
            useless.exit if useless else result.exit,
            useless.sentence if useless else ending.detail or ending.reason,
        )
        if useless is not None:
            raise useless
        return result

    async def _look_back(self, manifest: ManifestThread) -> None:
        """Whether the runs before this one died over and over. Who has asked for one process gets
        it all the same.
        """
        deaths = await manifest.runs_without_end()
        alone = not self._force.workers and self._job.config.fetch.processes is None
        if alone and deaths >= MANY_DEATHS:
            with contextlib.suppress(OSError):  # there can be none now
                self._force = Workforce([self._force.hire()], self._force.hire)
                self._deaths = deaths

    async def _cut_tails(self, manifest: ManifestThread, *, of_killed_runs: bool) -> None:
        """Whatever the layout is now: there may be shards of another run."""
        known = await manifest.shards()
        most = known.in_flight if of_killed_runs else None
        await asyncio.to_thread(cut_tails, self._store.root, known.sizes, most=most)

    async def _tally(self, manifest: ManifestThread) -> Tally:
        """What the command's result is about."""
        return await manifest.selected_tally()

    async def _work(self, manifest: ManifestThread) -> Ending:
        await manifest.reopen_found()
        progress = self._progress(await self._tally(manifest))
        self._tell_of_deaths(progress)
        engine = self._engine(manifest, progress, StoreRecovery(self._store))
        importer = self._importer(manifest, Stirring(progress, engine))
        async with self._shown(progress, engine):
            return await import_and_run(importer, engine)

    def _tell_of_deaths(self, observer: Observer) -> None:
        if self._deaths:
            observer.notify(SentAhead(self._deaths))

    def _importer(self, manifest: ManifestThread, observer: Observer) -> Importer:
        alone = self._job.config.fetch.processes == 1
        aside = None if alone else partial(ReadingProcess, self._nursery)
        return Importer(self._lists, manifest, observer, aside)

    def _progress(self, start: Tally, *, importing: bool = True) -> Progress:
        running = RunningTally(start, self._clock.now())
        running.importing = importing
        return Progress(
            self._console,
            running,
            self._clock,
            title=str(self._job.directory),
            stores=not self._job.measure_only,
        )

    @contextlib.asynccontextmanager
    async def _shown(self, progress: Progress, engine: Engine) -> AsyncIterator[None]:
        """While it runs it is drawn, and stopped by signals and by its time."""
        drawing = asyncio.create_task(progress.run(engine.groups))
        try:
            max_runtime = self._job.config.run.max_runtime
            with self._stopped_by_signals(engine), _stopped_in_time(engine, max_runtime):
                yield
        finally:
            drawing.cancel()
            await asyncio.wait([drawing])

    @contextlib.contextmanager
    def _stopped_by_signals(self, engine: Engine) -> Iterator[None]:
        """The first signal stops the run in good order, the second at once."""
        told: list[str] = []

        def stop(name: str) -> None:
            if told or engine.ending:
                engine.stop_now()
            else:
                engine.stop(name)
            told.append(name)

        with self._signals.stopping(stop):
            yield

    def _engine(
        self,
        manifest: ManifestThread,
        progress: Progress,
        recovery: Recovery,
        method: Method = Method.GET,
    ) -> Engine:
        config = self._job.config
        return Engine(
            frontier=Frontier(
                concurrency=config.fetch.concurrency,
                memory=config.fetch.memory,
                capacity=CAPACITY,
                budget_of=self._groups.budget,
                breaker=breaker_rule(config),
            ),
            group_of=self._groups.group_of,
            crew=self._crew(),
            recovery=recovery,
            manifest=manifest,
            clock=self._clock,
            chance=random.random,
            observer=progress,
            options=EngineOptions(
                retry=retry_rule(config),
                redirects=redirect_rule(config),
                spool_above=config.fetch.spool_above,
                drain=config.run.drain,
                limit=config.run.limit,
                consent=consent_rule(config),
                method=method,
            ),
            robots=manifest,
        )

    def _crew(self) -> Crew:
        if not self._force.workers:
            from fetcher.cli.adapters import crew_over  # noqa: PLC0415  loads the client

            return crew_over(self._recipe, self._store)
        from fetcher.engine.processes import ProcessCrew  # noqa: PLC0415  one process needs none

        return ProcessCrew(self._force, lambda group: self._groups.budget(group).concurrency)


@contextlib.contextmanager
def _stopped_in_time(engine: Engine, max_runtime: float | None) -> Iterator[None]:
    if max_runtime is None:
        yield
        return
    timer = asyncio.get_running_loop().call_later(max_runtime, engine.stop, "run.max_runtime")
    try:
        yield
    finally:
        timer.cancel()


def nothing_to_do(tally: Tally, selection: Selection) -> UsageError | None:
    """What to raise where the lists leave no image, and that was hardly meant: a success would hide
    a mistyped subset, or columns that are not where the header has them. A header and no rows is
    a list.
    """
    if tally.total:
        return None
    noted = "Nothing was fetched; the manifest has taken note of the run."
    rows = tally.rows
    if rows.rejected and not rows.accepted:
        return UsageError(
            f"No row of the lists can be used: {counted(rows.rejected, 'row')} read, all rejected.",
            hint=f"fetcher plan with the same lists says why, with examples. {noted}",
        )
    if selection.everything:
        return None
    return UsageError(
        "No row of the lists was selected.",
        hint=f"Look at --subset and --ids, and at what the lists call their subsets. {noted}",
    )


def exit_code(ending: Ending, tally: Tally, tolerate: float) -> Exit:
    if ending.reason is EndReason.LOCAL_FAULT:
        return Exit.OUR_FAULT
    if tally.pending or ending.reason is EndReason.STOPPED:
        return Exit.STOPPED
    # What is alive is only left by an audit, and is what that one is after.
    lost = tally.total - tally.kept - tally.states.get(State.ALIVE, 0)
    # A share such as 29 % is not exact in binary: 0.29 * 100 is a little less than 29.
    return Exit.COMPLETE if lost <= (tolerate + 1e-12) * tally.total else Exit.LOSSES

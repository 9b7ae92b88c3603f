"""One run of the engine in a world: wired as the command line wires it, with the import beside it
and signals between, until it ends or is cut off.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass, field

from fetcher.engine import (
    Ending,
    EndReason,
    Engine,
    EngineOptions,
    Finisher,
    LandingRules,
    TaskCrew,
)
from fetcher.engine.processes import ProcessCrew
from fetcher.errors import FetcherError, WorkersLostError
from fetcher.events import Event, Paused
from fetcher.policy.breaker import BreakerRule
from fetcher.policy.deaths import GIVE_UP
from fetcher.policy.hosts import HostGroups
from fetcher.policy.redirects import RedirectRule
from fetcher.ports import Crew
from tests.fakes.clock import EPOCH
from tests.simulation.book import Book
from tests.simulation.bounds import longest_attempt
from tests.simulation.disk import SPOOLS, Disk
from tests.simulation.draw import md5
from tests.simulation.eye import Eye
from tests.simulation.fleet import Depot, Onlooker, WatchedCrew
from tests.simulation.landing import TurnedLanding
from tests.simulation.life import Killed, Life, Mortal
from tests.simulation.loop import EndlessError, RunLoop
from tests.simulation.network import Network
from tests.simulation.records import Records
from tests.simulation.recovery import TurnedRecovery
from tests.simulation.scenario import PLACEHOLDERS, Run, Scenario
from tests.simulation.trace import Trace
from tests.simulation.watch import WatchedFrontier
from tests.simulation.web import Web
from tests.simulation.witness import Witness


@dataclass(slots=True)
class Parts:
    """What tests of the simulation itself put in the place of the real parts."""

    frontier: type[WatchedFrontier] = WatchedFrontier
    finisher: type[Finisher] = Finisher
    network: type[Network] = Network
    disk: type[Disk] = Disk
    crew: type[ProcessCrew] = ProcessCrew
    book: type[Book] = Book
    options: Callable[[EngineOptions], EngineOptions] = lambda options: options


@dataclass(slots=True)
class WorldClock:
    """``ports.Clock``: goes on over all runs."""

    loop: RunLoop | None = None

    def now(self) -> float:
        return self.loop.time() if self.loop is not None else 0.0

    def wall(self) -> float:
        return EPOCH + self.now()


@dataclass(slots=True, kw_only=True)
class World:
    """What goes on over all runs of a seed."""

    scenario: Scenario
    parts: Parts
    clock: WorldClock
    trace: Trace
    chance: random.Random
    groups: HostGroups
    web: Web
    disk: Disk
    records: Records
    witness: Witness
    book: Book

    def notify(self, event: Event) -> None:
        """``ports.Observer``"""
        self.trace.note("event", type(event).__name__)
        if isinstance(event, Paused) and event.code == "network-down":
            self.witness.excuses()


@dataclass(slots=True)
class End:
    """How a run ended: with an ending, or an error of the project's; or cut off, with neither."""

    ending: Ending | None = None
    error: FetcherError | None = None
    gave_up: bool = False
    """Workers did nothing but die."""
    signals: int = 0
    leased: list[int] = field(default_factory=list)
    """Assets that were not given back."""


class OneRun:
    def __init__(self, world: World, run: Run, now: float) -> None:
        self._world = world
        self._run = run
        self._scenario = world.scenario
        self.loop = world.clock.loop = RunLoop(now)
        self.life = Life(run, self.loop.stop)
        world.disk.begin(self.life)
        world.book.begin(self.life)
        world.witness.begin_run()
        self.end = End()
        self.network = world.parts.network(
            self._scenario, world.web, world.disk, world.witness, self.life
        )
        self.depot: Depot | None = None
        limits = self._scenario.limits
        self.frontier = world.parts.frontier(
            witness=world.witness,
            longest=longest_attempt(self._scenario),
            concurrency=limits.concurrency,
            memory=limits.memory,
            capacity=limits.capacity,
            budget_of=world.groups.budget,
            breaker=BreakerRule(
                self._scenario.retry.first_delay or 0.001,
                self._scenario.retry.max_delay or 0.001,
                patience=20 * self._scenario.retry.max_delay,
            ),
        )
        # Held until it is buried: what is cut off must not be tidied up by chance.
        self._main: asyncio.Task[None] | None = None

    def play(self) -> None:
        self._main = self.loop.create_task(self._to_the_end())
        try:
            self.loop.run_until_complete(self._main)
        except Killed:
            pass
        except EndlessError as error:
            self._world.trace.breach("termination", str(error))
        except WorkersLostError:
            self.end.gave_up = True
        except FetcherError as error:
            self.end.error = error
        except Exception as error:  # noqa: BLE001  whatever it is, it is a finding
            if not self.life.dead:
                self._world.trace.breach("a bug", repr(error))

    def bury(self) -> None:
        cut, self.life.dead = self.life.dead, True
        if not cut:
            for text in self.loop.errors:
                self._world.trace.breach("a bug", text)
        self.loop.bury()
        self._main = None

    async def _to_the_end(self) -> None:
        run, world, loop = self._run, self._world, asyncio.get_running_loop()
        if run.kill is not None and run.kill.time is not None:
            loop.call_later(run.kill.time, self.life.kill)
        engine = self._engine()
        for after in (run.stop, run.stop_now):
            if after is not None:
                loop.call_later(after, self._signal, engine)
        running = asyncio.create_task(engine.run())
        reading = asyncio.create_task(world.book.read(run.version, run.gaps, engine.stirred))
        reading.add_done_callback(lambda done: _read(done, engine))
        try:
            self.end.ending = await running
        finally:
            running.cancel()
            reading.cancel()
            await asyncio.wait([reading, running])
        if not reading.cancelled() and (error := reading.exception()) is not None:
            raise error
        self.end.leased = sorted(world.records.leased)
        await self.network.close()
        if self.depot is not None:
            self.depot.close()

    def _engine(self) -> Engine:
        """The one place that knows how an engine is put together."""
        world, scenario, limits = self._world, self._scenario, self._scenario.limits
        return Engine(
            frontier=self.frontier,
            group_of=world.groups.group_of,
            crew=self._crew(),
            recovery=TurnedRecovery(
                world.disk, takes=scenario.landing, witness=world.witness, life=self.life
            ),
            manifest=world.book,
            clock=world.clock,
            chance=world.chance.random,
            observer=world,
            robots=world.book,
            options=world.parts.options(
                EngineOptions(
                    retry=scenario.retry,
                    redirects=RedirectRule(placeholders=(PLACEHOLDERS,)),
                    spool_above=limits.spool_above,
                    drain=limits.drain,
                    limit=self._run.limit,
                    consent=scenario.consent,
                    method=scenario.method,
                    first_pause=limits.first_pause,
                    longest_pause=limits.longest_pause,
                )
            ),
        )

    def _crew(self) -> Crew:
        world, fleet = self._world, self._scenario.fleet
        if fleet is None:
            landing = self._landing(world.witness, world.disk, self.life)
            return TaskCrew(self.network, landing, lambda asset_id: f"{SPOOLS}/{asset_id}.part")
        self.loop.thread_takes = fleet.hiring
        budgets, pages = self._scenario.budgets, self._scenario.pages
        self.depot = Depot(
            fleet=fleet,
            crashes=self._run.crashes,
            life=self.life,
            disk=world.disk,
            trace=world.trace,
            chance=world.chance,
            onlooker=Onlooker(
                world.trace,
                lambda url: pages[url].group,
                {group: budget.concurrency for group, budget in budgets.items()},
            ),
            workshop=self._workshop,
        )
        crew = self.depot.crew(
            world.parts.crew, lambda group: world.groups.budget(group).concurrency
        )
        return WatchedCrew(crew, world.witness, self.depot)

    def _workshop(self, eye: Eye, disk: Disk, life: Mortal) -> tuple[Network, TurnedLanding]:
        """A worker's own."""
        network = self._world.parts.network(self._scenario, self._world.web, disk, eye, life)
        return network, self._landing(eye, disk, life)

    def _landing(self, eye: Eye, disk: Disk, life: Mortal) -> TurnedLanding:
        scenario = self._scenario
        rules = LandingRules(
            scenario.mismatched,
            frozenset({md5(scenario.placeholder)}),
            measure_only=scenario.measure_only,
        )
        return TurnedLanding(
            self._world.parts.finisher(disk, rules),
            threads=scenario.limits.threads,
            takes=scenario.landing,
            witness=eye,
            life=life,
        )

    def tear(self) -> None:
        """It is cut off: what spooled bodies had come to is on the disk."""
        now = self.loop.time()
        self.network.tear(now)
        if self.depot is not None:
            self.depot.tear(now)

    def _signal(self, engine: Engine) -> None:
        """As the command line takes them: the first stops in good order, the second at once."""
        if self.end.signals or engine.ending:
            self._world.trace.note("signal", "now")
            engine.stop_now()
        else:
            self._world.trace.note("signal", "stop")
            engine.stop("SIGTERM")
            self._world.witness.stops("a signal")
        self.end.signals += 1

    # What must be true of its end.

    def judge(self) -> None:
        """Whether it ended as it had to, for the reason that it gave."""
        end, world, require = self.end, self._world, self._world.trace.require
        failed = {self.life.disk_failed, self.life.book_failed} - {None}
        world.trace.note("end", end.ending or end.error)
        if end.gave_up:
            deaths = self.depot.deaths if self.depot is not None else 0
            right = deaths >= GIVE_UP and not self._run.calm
            require(right, "the ending", lambda: f"it gave up after {deaths} deaths")
            return
        if end.error is not None:
            code = getattr(end.error, "fault_code", "busy")
            require(code in failed, "the ending", lambda: f"{end.error!r}, but {failed} failed")
            return
        ending = end.ending
        assert ending is not None
        require(not end.leased, "no asset is lost", lambda: f"{end.leased} are still leased")
        if not self._run.disk:
            left = world.disk.temporaries
            require(not left, "no file is left behind", lambda: f"{sorted(left)}")
        held = self.frontier.held, self.frontier.slots_taken, self.frontier.memory_taken
        settled = world.records.pending == 0 and world.records.complete
        right = {
            EndReason.COMPLETE: settled and held == (0, 0, 0),
            EndReason.STOPPED: end.signals > 0,
            EndReason.LOCAL_FAULT: ending.fault_code in failed,
            EndReason.LIMIT: self._run.limit is not None,
        }[ending.reason]
        require(right, "the ending", lambda: f"{ending}, {settled=}, {held=}, {failed=}")
        complete = ending.reason is EndReason.COMPLETE
        require(complete or not self._run.calm, "the ending", lambda: f"a calm run: {ending}")


def _read(reading: asyncio.Task[None], engine: Engine) -> None:
    if reading.cancelled():
        return
    error = reading.exception()
    if isinstance(error, Killed):
        return
    if error is not None:
        engine.stop("the lists cannot be read to their end")
    else:
        engine.no_more_to_come()

"""One seed: runs of the engine on one world, until the last has come to its end."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass
from pathlib import Path

from fetcher.policy.hosts import GroupRule, HostGroups
from tests.simulation import book as books
from tests.simulation import bounds
from tests.simulation.draw import draw
from tests.simulation.onerun import OneRun, Parts, World, WorldClock
from tests.simulation.records import Records
from tests.simulation.scenario import Run, Scenario
from tests.simulation.trace import Trace
from tests.simulation.web import Web
from tests.simulation.witness import Witness


@dataclass(frozen=True, slots=True)
class Report:
    seed: int
    trace: Trace
    runs: int
    longest_wait: float
    """Seconds that a group which could have started something waited for its turn."""

    @property
    def holds(self) -> bool:
        return not self.trace.breaches

    def __str__(self) -> str:
        lines = [str(breach) for breach in self.trace.breaches]
        lines += ["", f"The last events before the first breach of seed {self.seed}:"]
        lines += self.trace.tail(40)
        lines += ["", again(self.seed)]
        return "\n".join(lines)


def again(seed: int) -> str:
    """How to live it once more."""
    return f"Again: scripts/prove simulate --seed {seed} --seeds 1"


def simulate(seed: int, scenario: Scenario | None = None, parts: Parts | None = None) -> Report:
    scenario = draw(seed) if scenario is None else scenario
    with books.folder(real=scenario.real_database) as folder:
        return _live(_world(scenario, parts or Parts(), folder))


def _world(scenario: Scenario, parts: Parts, folder: Path | None) -> World:
    clock = WorldClock()
    trace = Trace(clock=clock.now)
    chance = random.Random(f"world {scenario.seed}")
    rules = [GroupRule(g, (f"*.{g}",), budget) for g, budget in scenario.budgets.items()]
    groups = HostGroups(rules[0].budget, rules, registrable_domain=lambda host: host)
    records = Records(groups.group_of)
    witness = Witness(scenario, trace, records)
    return World(
        scenario=scenario,
        parts=parts,
        clock=clock,
        trace=trace,
        chance=chance,
        groups=groups,
        web=Web(scenario, chance),
        disk=parts.disk(trace, chance),
        records=records,
        witness=witness,
        book=parts.book(
            scenario=scenario, records=records, witness=witness, groups=groups, folder=folder
        ),
    )


def _live(world: World) -> Report:
    """Runs, one after another, up to the first breach."""
    now = longest_wait = 0.0
    for number, run in enumerate(world.scenario.runs):
        world.trace.note("run", number)
        one = OneRun(world, run, now)
        _play(world, one, run)
        longest_wait = max(longest_wait, one.frontier.longest_wait)
        if world.trace.breaches:
            break
        now = one.loop.time() + run.rest
    else:
        _look_back(world)
    return Report(world.scenario.seed, world.trace, len(world.scenario.runs), longest_wait)


def _play(world: World, one: OneRun, run: Run) -> None:
    asyncio.set_event_loop(one.loop)
    events = len(world.trace.events)
    one.play()
    bounds.check(world, one, len(world.trace.events) - events)
    world.witness.end_run()
    world.book.end(cleanly=not one.life.dead)
    if one.life.dead:
        assert run.kill is not None
        one.tear()
        world.trace.note("killed", "power" if run.kill.power else "")
        if run.kill.power:
            world.disk.lose()
    elif not world.trace.breaches:
        one.judge()
    one.bury()
    world.witness.look_at_files(world.disk.files)


def _look_back(world: World) -> None:
    """Law 6: all of it is settled, and every request is accounted for."""
    pending = world.records.pending
    if pending:
        world.trace.breach("termination", f"{pending} assets are pending in the end")
    world.witness.look_back()
    left = world.disk.temporaries
    world.trace.require(not left, "no file is left behind", lambda: f"{sorted(left)}")


__all__ = ["Parts", "Report", "again", "simulate"]

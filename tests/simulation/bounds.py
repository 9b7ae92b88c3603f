"""How long anything may take, and how often anything may be done: derived from a scenario, and
checked after each run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fetcher.engine.suspicion import HOLD
from tests.simulation.scenario import Scenario

if TYPE_CHECKING:
    from tests.simulation.onerun import OneRun, World

ASKED_PER_EVENT, ASKED_BESIDES = 3, 30
TURNS_PER_EVENT, TURNS_BESIDES = 12, 200


def longest_attempt(scenario: Scenario) -> float:
    """S: seconds from a dispatch until the slot is free again, at most.

    The transport gives up after its timeouts; an arrival waits for the batch before it and is part
    of the next; an outcome waits for what the manifest is doing (a commit, a lease and an import's
    batch, at most) and is part of the next commit. A silence is held until it is known whose it is,
    and what a worker had that died, until it is known how.
    """
    limits, fleet = scenario.limits, scenario.fleet
    transport = limits.total_timeout + limits.stall_timeout
    buried = fleet.hiring if fleet is not None else 0.0
    return transport + 2 * scenario.landing + 8 * scenario.booking + HOLD + buried + 0.1


def longest_silence(scenario: Scenario, largest: int) -> float:
    """Seconds in which nothing happens although the run goes on, at most: the longest attempt, and
    the longest of all the things that can be waited for at the same time.
    """
    budgets = scenario.budgets.values()
    return longest_attempt(scenario) + max(
        *(1.02 / b.rate for b in budgets if b.rate is not None),
        *(largest * b.concurrency / b.bandwidth for b in budgets if b.bandwidth is not None),
        scenario.retry.max_delay,
        scenario.retry.max_retry_after,
        scenario.limits.longest_pause,
        *(run.gaps for run in scenario.runs),
    )


def check(world: World, one: OneRun, events: int) -> None:
    """No busy loop and no dead time.

    An event (a request, an answer, a landing, a lease, a commit …) makes the engine ask the
    frontier once for whatever may start, and once more to hear that nothing else may; beside that
    it asks when the timer comes that the last answer has named. The loop turns a few times for
    each.
    """
    require, asked, turns = world.trace.require, one.frontier.asked, one.loop.turns
    require(
        asked <= ASKED_PER_EVENT * events + ASKED_BESIDES,
        "no busy loop",
        lambda: f"the frontier was asked {asked} times for {events} events",
    )
    require(
        turns <= TURNS_PER_EVENT * events + TURNS_BESIDES,
        "no busy loop",
        lambda: f"{turns} turns of the loop for {events} events",
    )
    largest = max((len(body) for body in world.witness.served), default=0)
    gap, bound = world.witness.longest_gap, longest_silence(world.scenario, largest)
    require(gap <= bound, "no dead time", lambda: f"nothing for {gap:.3f} s; at most {bound:.3f}")

"""A run over images of which some kill every worker process that gets them comes to its end."""

from __future__ import annotations

import asyncio
import random

import pytest

from fetcher.cli.mirroring import RealClock
from fetcher.engine import EndReason, Engine, EngineOptions
from fetcher.engine.processes import ProcessCrew
from fetcher.engine.workforce import hired
from fetcher.errors import Exit, WorkerBrokeError, WorkersLostError
from fetcher.events import Event, Paused
from fetcher.model import HostBudget, State
from fetcher.nursery.hiring import nursery
from fetcher.policy import deaths
from fetcher.policy.frontier import Frontier
from fetcher.policy.redirects import RedirectRule
from fetcher.policy.retry import RetryRule
from tests.engine.rig import row
from tests.fakes.byurl import ByUrlRecipe
from tests.fakes.manifest import MemoryManifest
from tests.fakes.recovery import ScriptedRecovery

IMAGES = 80
DEADLY = frozenset({3, 40, 79})
PATIENCE = 60.0


class Events(list[Event]):
    notify = list.append


async def mirror(manifest: MemoryManifest, crew: ProcessCrew, events: Events) -> EndReason:
    budget = HostBudget(rate=None, burst=1, concurrency=32)
    engine = Engine(
        frontier=Frontier(concurrency=64, memory=1 << 20, capacity=100, budget_of=lambda _: budget),
        group_of=str,
        crew=crew,
        recovery=ScriptedRecovery(),
        manifest=manifest,
        clock=RealClock(),
        chance=random.Random(7).random,
        observer=events,
        options=EngineOptions(
            RetryRule(3, 0.01, 0.01, 1.0),
            RedirectRule(),
            spool_above=1 << 16,
            drain=1.0,
            first_pause=0.01,
            longest_pause=0.02,
        ),
    )
    engine.no_more_to_come()
    async with asyncio.timeout(PATIENCE):
        return (await engine.run()).reason


@pytest.mark.parametrize("deadly", ["crash", "astray"])
def test_deadly_images_fail_and_nothing_else_does(deadly: str) -> None:
    """Also where a redirect leads to them, which is harmless itself."""
    rows = [
        row(n, f"http://h.test/{deadly if n in DEADLY else 'later'}/{n}", str(n).encode() * 50)
        for n in range(IMAGES)
    ]
    manifest, events = MemoryManifest(rows, group_of=str), Events()
    with nursery() as one, hired(one, ByUrlRecipe(), 2) as force:
        crew = ProcessCrew(force, lambda _: 32)
        assert asyncio.run(mirror(manifest, crew, events)) is EndReason.COMPLETE
    for n in range(IMAGES):
        outcome = manifest.settled[n + 1]
        if n in DEADLY:
            assert (outcome.state, outcome.code, outcome.attempt) == (State.FAILED, "crashed", 1)
        else:
            assert (outcome.state, outcome.attempt) == (State.VERIFIED, 1)
    assert {event.code for event in events if isinstance(event, Paused)} == {"worker-lost"}


def test_workers_that_only_die_end_the_run_with_what_can_be_done(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(deaths, "GIVE_UP", 2)
    rows = [row(n, f"http://h.test/kill/{n}") for n in range(8)]
    manifest = MemoryManifest(rows, group_of=str)
    with (
        nursery() as one,
        hired(one, ByUrlRecipe(), 2) as force,
        pytest.raises(WorkersLostError) as raised,
    ):
        asyncio.run(mirror(manifest, ProcessCrew(force, lambda _: 32), Events()))
    assert raised.value.exit is Exit.OUR_FAULT
    assert "memory" in raised.value.hint
    assert manifest.settled == {}


def test_a_bug_in_a_worker_ends_the_run_with_its_traceback_alone() -> None:
    manifest = MemoryManifest([row(0, "http://h.test/bug/0")], group_of=str)
    with (
        nursery() as one,
        hired(one, ByUrlRecipe(), 2) as force,
        pytest.raises(WorkerBrokeError) as raised,
    ):
        asyncio.run(mirror(manifest, ProcessCrew(force, lambda _: 32), Events()))
    text = str(raised.value)
    assert text.startswith("Traceback")
    assert text.endswith("ZeroDivisionError: a bug\n")

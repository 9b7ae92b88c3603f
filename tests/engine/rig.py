"""The engine with everything around it in memory and in virtual time."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fetcher.engine import Ending, Engine, EngineOptions, TaskCrew
from fetcher.events import Event
from fetcher.model import Expectation, HostBudget, HostMemory, Method, Outcome, Row, State
from fetcher.policy.breaker import PATIENCE, BreakerRule
from fetcher.policy.consent import ConsentRule
from fetcher.policy.frontier import Frontier
from fetcher.policy.hosts import GroupRule, HostGroups
from fetcher.policy.redirects import RedirectRule
from fetcher.policy.retry import RetryRule
from tests.fakes import clock
from tests.fakes.landing import InlineLanding
from tests.fakes.manifest import MemoryManifest
from tests.fakes.recovery import ScriptedRecovery
from tests.fakes.robots import MemoryRobotsBook
from tests.fakes.transport import Result, ScriptedTransport, image

RETRY = RetryRule(attempts=3, first_delay=1.0, max_delay=60.0, max_retry_after=600.0)
BUDGET = HostBudget(rate=None, burst=1, concurrency=8)


def picture(n: int) -> bytes:
    return b"\xff\xd8\xff\xe0" + n.to_bytes(4, "big") * 8


def row(n: int, url: str, data: bytes | None = None) -> Row:
    """A row whose image is ``data``, by default the n-th picture."""
    data = picture(n) if data is None else data
    md5 = base64.b64encode(hashlib.md5(data, usedforsecurity=False).digest()).decode()
    return Row(n + 1, f"{n:016x}", "train", url, Expectation(len(data), md5))


@dataclass(slots=True)
class Rig:
    """``at``: what is done to the engine, by virtual time."""

    rows: Sequence[Row]
    scripts: Mapping[str, Sequence[Result]]
    budget: HostBudget = BUDGET
    rules: Sequence[GroupRule] = ()
    concurrency: int = 64
    memory: int = 1 << 20
    capacity: int = 1_000
    latency: float = 0.05
    limit: int | None = None
    drain: float = 5.0
    retry: RetryRule = RETRY
    patience: float = PATIENCE
    landing_delay: float = 0.0
    lands_at_once: bool = False
    consent: ConsentRule | None = None
    method: Method = Method.GET
    book: MemoryRobotsBook = field(default_factory=MemoryRobotsBook)
    memories: Sequence[HostMemory] = ()
    """What earlier runs have learned."""
    at: Mapping[float, Callable[[Engine], Any]] = field(default_factory=dict)
    prepare: Callable[[Rig], None] = lambda _: None
    events: list[Event] = field(default_factory=list)
    manifest: MemoryManifest = field(init=False)
    transport: ScriptedTransport = field(init=False)
    landing: InlineLanding = field(init=False)
    recovery: ScriptedRecovery = field(init=False)
    frontier: Frontier = field(init=False)

    def run(self) -> Ending:
        return clock.run(self._run())

    def notify(self, event: Event) -> None:
        self.events.append(event)

    async def _run(self) -> Ending:
        groups = HostGroups(self.budget, self.rules, registrable_domain=lambda host: host)
        self.manifest = MemoryManifest(self.rows, group_of=groups.group_of)
        await self.manifest.remember_hosts(self.memories)
        self.transport = ScriptedTransport(self.scripts, self.latency)
        self.landing = InlineLanding(delay=self.landing_delay, at_once=self.lands_at_once)
        self.recovery = ScriptedRecovery()
        self.frontier = Frontier(
            concurrency=self.concurrency,
            memory=self.memory,
            capacity=self.capacity,
            budget_of=groups.budget,
            breaker=BreakerRule(patience=self.patience),
        )
        self.prepare(self)
        engine = Engine(
            frontier=self.frontier,
            group_of=groups.group_of,
            crew=TaskCrew(self.transport, self.landing, lambda asset_id: f"spool/{asset_id}"),
            recovery=self.recovery,
            manifest=self.manifest,
            clock=clock.VirtualClock(),
            chance=random.Random(7).random,
            observer=self,
            options=EngineOptions(
                retry=self.retry,
                redirects=RedirectRule(placeholders=("http://gone.test/*",)),
                spool_above=1 << 16,
                drain=self.drain,
                limit=self.limit,
                consent=self.consent,
                method=self.method,
            ),
            robots=self.book,
        )
        loop = asyncio.get_running_loop()
        for when, act in self.at.items():
            loop.call_at(when, act, engine)
        loop.call_soon(engine.no_more_to_come)
        return await engine.run()

    # What came of it.

    def state(self, n: int) -> State:
        return self.manifest.states[n + 1]

    def settled(self, n: int) -> Outcome:
        return self.manifest.settled[n + 1]

    def history(self, n: int) -> list[Outcome]:
        return [outcome for outcome in self.manifest.history if outcome.asset_id == n + 1]


def one(*results: Result | bytes, url: str = "http://a.test/0", **options: Any) -> Rig:
    """A list of one image, whose URL answers ``results`` one after another."""
    script = [image(r, url) if isinstance(r, bytes) else r for r in results]
    return Rig([row(0, url)], {url: script}, **options)

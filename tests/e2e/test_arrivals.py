"""Law 4 as a web counts it, where there is much between a decision and its request.

Each case lets many requests be decided on that cannot be sent, and then be ready all at once.
"""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest

from fetcher.cli.mirroring import RealClock
from fetcher.demo.images import picture
from fetcher.demo.steps import Answer, Close, Picture
from fetcher.demo.tls import Authority
from fetcher.demo.web import Web
from fetcher.engine import EndReason, Engine, EngineOptions, TaskCrew
from fetcher.events import Event
from fetcher.model import HostBudget, Row
from fetcher.policy.frontier import Frontier
from fetcher.policy.hosts import GroupRule, HostGroups
from fetcher.policy.redirects import RedirectRule
from fetcher.policy.retry import RetryRule
from fetcher.transport.client import HttpTransport
from fetcher.transport.options import TransportOptions
from scripts.proofs.rate import worst_window
from scripts.proofs.relay import Relay
from tests.engine.rig import row
from tests.fakes.landing import InlineLanding
from tests.fakes.manifest import MemoryManifest
from tests.fakes.recovery import ScriptedRecovery

RATE = 8.0
BUDGET = HostBudget(RATE, burst=3, concurrency=32)
IMAGES = 16
HELD_FOR = 1.0
"""Seconds in which 9 requests or more are decided on."""
ROOM = 2.0
"""Requests that may be too many: what was sent evenly may arrive a little less so."""
TRIALS = 3
"""A machine that stops for a moment delays requests that were sent in time, but not every time."""

Way = Callable[[Web], AbstractAsyncContextManager[dict[str, object]]]
"""Arguments of the transport."""


class Nobody:
    def notify(self, event: Event) -> None:
        pass


@asynccontextmanager
async def slow_names(web: Web) -> AsyncIterator[dict[str, object]]:
    """Every image has a host of its own, and all names are known at the same moment."""
    known = threading.Event()
    asyncio.get_running_loop().call_later(HELD_FOR, known.set)

    def look_up(name: str) -> Sequence[str]:
        assert known.wait(30), name
        return [web.address]

    yield {"look_up": look_up, "port": web.port, "scheme": "http"}


@asynccontextmanager
async def slow_handshakes(web: Web) -> AsyncIterator[dict[str, object]]:
    """No connection stands before all of them do."""
    gate = asyncio.Event()
    asyncio.get_running_loop().call_later(HELD_FOR, gate.set)

    async def hold() -> None:
        await gate.wait()

    async with await Relay(web.tls_port, hold).serve() as server:
        port = server.sockets[0].getsockname()[1]
        yield {"look_up": lambda _: [web.address], "port": port, "scheme": "https"}


@asynccontextmanager
async def cut_connections(web: Web) -> AsyncIterator[dict[str, object]]:
    """Nothing is kept alive, though it is promised; and new ones stand at certain moments only."""
    for n in range(IMAGES):
        web.serve(f"/pic/{n}/600.jpg", Answer(Picture(600, f"{n}"), end=Close()))
    loop = asyncio.get_running_loop()
    begun = loop.time()

    async def hold() -> None:
        await asyncio.sleep(HELD_FOR - (loop.time() - begun) % HELD_FOR)

    async with await Relay(web.tls_port, hold).serve() as server:
        port = server.sockets[0].getsockname()[1]
        yield {"look_up": lambda _: [web.address], "port": port, "scheme": "https"}


async def arrivals(way: Way, authority: Authority, folder: Path) -> list[float]:
    """When the requests of a whole run came to the web."""
    names = tuple(f"{n}.slow.test" for n in range(IMAGES))
    async with Web(tls=authority, tls_names=names) as web, way(web) as parts:
        rows = [listed(n, f"{parts['scheme']}://{names[n]}:{parts['port']}") for n in range(IMAGES)]
        authority.write_ca(folder / "ca.pem")
        transport = HttpTransport(
            TransportOptions("fetcher", 1 << 20, 30.0, 30.0, 30.0, {}, True, folder / "ca.pem"),
            look_up=parts["look_up"],  # type: ignore[arg-type]
        )
        groups = HostGroups(
            BUDGET, [GroupRule("slow", ("*.slow.test",), BUDGET)], registrable_domain=str
        )
        manifest = MemoryManifest(rows, group_of=groups.group_of)
        engine = Engine(
            frontier=Frontier(
                concurrency=64, memory=1 << 20, capacity=100, budget_of=groups.budget
            ),
            group_of=groups.group_of,
            crew=TaskCrew(transport, InlineLanding(), lambda n: str(folder / f"{n}")),
            recovery=ScriptedRecovery(),
            manifest=manifest,
            clock=RealClock(),
            chance=random.Random(7).random,
            observer=Nobody(),
            options=EngineOptions(
                RetryRule(2, 0.1, 0.1, 1.0), RedirectRule(), spool_above=1 << 16, drain=1.0
            ),
        )
        engine.no_more_to_come()
        assert (await engine.run()).reason is EndReason.COMPLETE
        assert {str(state) for state in manifest.states.values()} == {"verified"}
        return [request.at for request in web.requests]


def listed(n: int, origin: str) -> Row:
    return row(n, f"{origin}/pic/{n}/600.jpg", picture(f"{n}", 600))


@pytest.mark.parametrize("way", [slow_names, slow_handshakes, cut_connections])
def test_no_more_requests_arrive_than_the_budget_allows(way: Way, tmp_path: Path) -> None:
    authority = Authority.create()
    for _ in range(TRIALS):
        times = asyncio.run(arrivals(way, authority, tmp_path))
        assert len(times) == IMAGES
        worst = worst_window(times, RATE, BUDGET.burst)
        if worst < ROOM:
            return
    raise AssertionError(f"{worst:+.1f} requests in the worst window")

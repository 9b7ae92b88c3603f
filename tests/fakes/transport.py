"""A network in memory: what each URL answers is a script, how long it takes is virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from fetcher.model import Arrival, Body, Fault, Found, Redirect
from fetcher.ports import FetchRequest, Turn


@dataclass(frozen=True, slots=True)
class Asked:
    """One request: when it started, and what it asked for."""

    at: float
    request: FetchRequest

    @property
    def url(self) -> str:
        return self.request.url


Result = Arrival | Found | Redirect | Fault


@dataclass(slots=True)
class ScriptedTransport:
    """The k-th request to a URL gets its k-th result; the last one repeats."""

    scripts: Mapping[str, Sequence[Result]]
    latency: float = 0.05
    asked: list[Asked] = field(default_factory=list)
    in_flight: int = 0
    most_in_flight: int = 0
    closed: bool = False
    reachable: Callable[[str], bool] = lambda _: True
    reached: list[str] = field(default_factory=list)
    connecting: Callable[[str], float] = lambda _: 0.0
    """Seconds until there is a connection, where a request has a turn."""

    async def fetch(self, request: FetchRequest) -> Result:
        if request.turn is not None:
            await self._in_turn(request.url, request.turn)
        asked = sum(1 for earlier in self.asked if earlier.url == request.url)
        self.asked.append(Asked(asyncio.get_running_loop().time(), request))
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            await asyncio.sleep(self.latency)
        finally:
            self.in_flight -= 1
        script = self.scripts[request.url]
        return script[min(asked, len(script) - 1)]

    async def _in_turn(self, url: str, turn: Turn) -> None:
        connecting = self.connecting(url)
        if connecting > 0:
            turn.put_off()
            await asyncio.sleep(connecting)
        if not turn.has_leave:
            await turn.come()
        turn.taken()

    async def reach(self, url: str) -> bool:
        self.reached.append(url)
        return self.reachable(url)

    async def close(self) -> None:
        self.closed = True

    def times(self, prefix: str) -> list[float]:
        """When requests to URLs that begin with ``prefix`` started."""
        return [asked.at for asked in self.asked if asked.url.startswith(prefix)]


def image(data: bytes, url: str, *, resumed: bool = False) -> Arrival:
    """An arrival of these very bytes."""
    body = Body(len(data), data=data)
    return Arrival(body, 200, "image/jpeg", url, resumed=resumed, received=len(data))

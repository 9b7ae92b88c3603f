"""The keeper: what a run learns of its host groups, on its way to the manifest and back.

A resumed run must not begin by hammering a host that has just asked for peace. So what was learned
is read before the first lease, and written when it changes for the worse: at once, and then at most
every ``PAUSE`` seconds, for all that came up meanwhile. What grows again is written at the end.

What a crash loses: cool-downs and decreases of the last ``PAUSE`` seconds, and growth since the
last decrease of the group. The next run begins a little too fast or too slow, and learns it anew.
"""

from __future__ import annotations

import asyncio
from typing import Final

from msgspec.structs import replace

from fetcher.events import CooledDown
from fetcher.policy.frontier import Frontier
from fetcher.ports import Clock, Manifest

PAUSE: Final = 5.0
"""Seconds."""


class Keeper:
    """See the module's text."""

    def __init__(
        self, frontier: Frontier, manifest: Manifest, clock: Clock, *, longest: float
    ) -> None:
        """``longest``: seconds for which a group is left alone at most, whatever is written (by a
        clock that went wrong, or under a configuration that has changed).
        """
        self._frontier = frontier
        self._longest = longest
        self._manifest = manifest
        self._clock = clock
        self._news = asyncio.Event()
        self._closing = asyncio.Event()

    async def restore(self) -> list[CooledDown]:
        """Tell the frontier what earlier runs have learned; the cool-downs that still hold."""
        wall = self._clock.wall()
        memories = [
            replace(memory, held_until=min(memory.held_until, wall + self._longest))
            if memory.held_until is not None
            else memory
            for memory in await self._manifest.host_memories()
        ]
        self._frontier.recall(memories, self._clock.now(), wall)
        return [
            CooledDown(memory.group, memory.held_until - wall, memory.held_code)
            for memory in memories
            if memory.held_until is not None
            and memory.held_until > wall
            and memory.held_code is not None
        ]

    def note(self) -> None:
        """Something has changed for the worse."""
        self._news.set()

    def close(self) -> None:
        """Let ``run`` end when all is written."""
        self._closing.set()
        self._news.set()

    async def run(self) -> None:
        """Write until closed. Raises what the manifest raises."""
        while True:
            await self._news.wait()
            self._news.clear()
            closing = self._closing.is_set()
            memories = self._frontier.memories(
                self._clock.now(), self._clock.wall(), everything=closing
            )
            if memories:
                await self._manifest.remember_hosts(memories)
            if closing:
                return
            await self._sleep()

    async def _sleep(self) -> None:
        try:
            await asyncio.wait_for(self._closing.wait(), PAUSE)
        except TimeoutError:
            return

"""Their silence or ours: a fault that may be of our own network is held until that is known.

A host that no longer answers looks the same whether it is down or our line is. What tells them
apart is the others. So such a fault is held for a moment, with its slot, and then:

    somebody answers         our network works: what is held is charged to those who were silent
    only one group is held   a host group that fails alone: that group's trouble
    several groups are held  hosts that answered lately are tried, by opening a connection: if one
                             can be reached, the held ones are charged; if none can, it is our
                             network that is down, and no attempt is charged

Nothing here pauses or retries; the engine is told which of the two it was.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from fetcher.model import Fault
from fetcher.policy.groups import Job

SILENCE: Final = frozenset({"connect-timeout", "connection-reset", "host-unreachable", "stalled"})
"""Codes that a dead line of ours produces as well as a dead host."""
HOLD: Final = 5.0
"""Seconds in which somebody may answer."""
WITNESSES: Final = 4
"""Host groups that are tried, those that answered last."""
_TOGETHER: Final = 2
"""Host groups whose silence is no coincidence."""

Held = Sequence[tuple[Job, Fault]]


class Suspicion:
    """``theirs`` and ``ours`` take what was held; ``reach`` tries URLs, of which one is enough."""

    def __init__(
        self,
        *,
        reach: Callable[[Sequence[str]], Awaitable[bool]],
        theirs: Callable[[Held], None],
        ours: Callable[[Held], None],
    ) -> None:
        self._reach = reach
        self._theirs = theirs
        self._ours = ours
        self._held: list[tuple[Job, Fault]] = []
        self._witnesses: OrderedDict[str, str] = OrderedDict()
        self._timer: asyncio.TimerHandle | None = None
        self._trying: asyncio.Task[None] | None = None

    def answered(self, job: Job) -> None:
        """A host has said something, whatever it was."""
        if job.group not in self._witnesses and len(self._witnesses) >= WITNESSES:
            self._witnesses.popitem(last=False)
        self._witnesses[job.group] = job.url
        if self._held:
            self._release(self._theirs)

    def hold(self, job: Job, fault: Fault) -> None:
        """It failed in a way that may be ours."""
        self._held.append((job, fault))
        if self._timer is None and self._trying is None:
            self._timer = asyncio.get_running_loop().call_later(HOLD, self._look)

    def close(self) -> Held:
        """The run is ending, and nobody will know any more: what is held is its caller's again."""
        if self._trying is not None:
            self._trying.cancel()
            self._trying = None
        left: list[tuple[Job, Fault]] = []
        self._release(left.extend)
        return left

    def _look(self) -> None:
        self._timer = None
        silent = {job.group for job, _ in self._held}
        if len(silent) < _TOGETHER or not self._witnesses:
            self._release(self._theirs)
        else:
            self._trying = asyncio.get_running_loop().create_task(self._try())

    async def _try(self) -> None:
        reached = await self._reach(list(self._witnesses.values()))
        self._trying = None
        self._release(self._theirs if reached else self._ours)

    def _release(self, to: Callable[[Held], None]) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        held, self._held = self._held, []
        if held:
            to(held)

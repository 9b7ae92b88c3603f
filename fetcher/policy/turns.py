"""Whose turn it is to be sent, of the requests that were begun with and had to wait.

In a group with a rate, what is dispatched has leave to be sent at once, as a rule. A request that
cannot be, as its connection is still to be opened, is put off, and asks for leave when it is ready.
Its group's pace alone decides when it gets it, in the order of asking: it holds its slot, its
memory and its connection by then. So it must not wait for long, and does not: those that ask hold
up what is begun with next (``limits.Pace``).

Where the group is to be left alone meanwhile, it is turned back instead, and waits in line again;
and so it is in a pause of our own that lasts. Nobody is sent in a pause.
Groups without a rate are never here.
"""

from __future__ import annotations

import heapq
import math
from typing import Final

from msgspec import Struct

from fetcher.policy.groups import Group, Job, Leave

PATIENCE: Final = 5.0
"""Seconds for which who asks may wait for a pause to end: servers soon close a connection on which
nothing is asked, and after a long pause it may lead nowhere."""


class Send(Struct, frozen=True):
    """A request that was put off may be sent now."""

    job: Job


class TurnBack(Struct, frozen=True):
    """It may not, for longer than it should wait: break it off."""

    job: Job


class Turns:
    """Groups of which a request asks for leave, by when it may be given."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Group]] = []
        self._sequence = 0

    def __bool__(self) -> bool:
        return bool(self._heap)

    def look_at(self) -> float:
        """When ``next`` will have something to say; infinity if something has to happen first."""
        heap = self._heap
        while heap and heap[0][2].turn != heap[0][0]:
            heapq.heappop(heap)  # it was changed since
        return heap[0][0] if heap else math.inf

    def asks(self, job: Job, group: Group) -> None:
        job.leave = Leave.ASKED_FOR
        group.asking.append(job)
        group.pace.ask()
        self.changed(group)

    def changed(self, group: Group) -> None:
        """Its pace has changed, or who asks has."""
        at = group.pace.turn_at() if group.asking else math.inf
        if at == group.turn:
            return
        group.turn = at
        if at < math.inf:
            self._sequence += 1
            heapq.heappush(self._heap, (at, self._sequence, group))

    def next(self, now: float, *, paused: bool) -> Send | TurnBack | None:
        if self.look_at() > now:
            return None
        group = self._heap[0][2]
        decision = _decide(group, now, paused=paused)
        self.changed(group)
        return decision


def _decide(group: Group, now: float, *, paused: bool) -> Send | TurnBack:
    job = group.asking.popleft()
    if paused or group.left_alone(now):
        job.leave = Leave.PUT_OFF
        group.pace.stop_asking()
        return TurnBack(job)
    job.leave = Leave.GIVEN
    group.pace.give_leave()
    return Send(job)

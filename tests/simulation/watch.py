"""A frontier that is looked at while it works. It decides nothing here."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

from fetcher.policy.frontier import Decision, Frontier
from fetcher.policy.groups import Group, Job, Place
from tests.simulation.witness import Witness


class WatchedFrontier(Frontier):
    """Measures how long a group that could start something has to wait, and who overtakes it.

    A group *could start* from the time on at which it has an asset that is due, a token, a free
    connection, no cool-down and nothing owed. What it can still wait for then is its turn, a slot
    and memory: each of at most N groups that hold anything goes before it once, and each of these
    waits for one slot, which is free again after at most the longest attempt S. So it waits

        less than (N + 1) * S        and nobody overtakes it twice.
    """

    def __init__(self, *, witness: Witness, longest: float, **limits: Any) -> None:
        super().__init__(**limits)
        self.asked = 0
        self.longest_wait = 0.0
        self._waking = False
        self._witness = witness
        self._trace = witness.trace
        self._longest = longest
        self._could: dict[str, tuple[float, int]] = {}
        """By group: since when, and how many starts there had been by then."""
        self._touched: dict[str, float] = {}
        self._starts: list[str] = []

    def next(self, now: float) -> Decision:
        self.asked += 1
        return super().next(now)

    def _wake_due(self, now: float) -> None:
        self._waking = True
        super()._wake_due(now)
        self._waking = False

    def pause(self, until: float) -> None:
        super().pause(until)
        # Nobody could start anything until then.
        self._could = {
            name: (max(since, self._paused_until), starts)
            for name, (since, starts) in self._could.items()
        }

    def _start(self, group: Group, now: float) -> Job:
        if self._witness.stopped_for is not None:
            why = self._witness.stopped_for
            self._trace.breach("stopping", f"{group.name} may start one more after {why}")
        since, starts = self._could.pop(group.name, (now, len(self._starts)))
        overtaken = Counter(self._starts[starts:])
        if overtaken and max(overtaken.values()) > 1:
            self._trace.breach("fairness", f"{overtaken} went before {group.name}")
        wait = now - since
        bound = (len(self._groups) + 1) * self._longest
        if wait > bound:
            self._trace.breach("no starvation", f"{group.name} waited {wait:.3f} s of {bound:.3f}")
        self.longest_wait = max(self.longest_wait, wait)
        self._starts.append(group.name)
        return super()._start(group, now)

    def _settle_place(self, group: Group, now: float) -> None:
        name = group.name
        due = group.waiting[0][0] if group.waiting and not group.ready else -math.inf
        super()._settle_place(group, now)
        if group.place is not Place.RING:
            self._could.pop(name, None)
        elif name not in self._could:
            since = now
            if self._waking:  # it could before, had anyone looked
                since = max(group.opens_at(), due, self._touched.get(name, now))
            self._could[name] = (max(since, self._paused_until), len(self._starts))
        self._touched[name] = now

"""Faults of our own side: the run pauses, or ends where waiting does not help.

No attempt is charged for them, and no asset changes its state. A pause is the frontier's; when it
is over, what starts next is the probe. Pauses double while nothing else comes of it.
"""

from __future__ import annotations

import math
from typing import Final

from fetcher.engine.ending import End, Ending, EndReason
from fetcher.events import Paused, Resumed
from fetcher.model import Fault
from fetcher.policy.frontier import Frontier
from fetcher.policy.groups import Job
from fetcher.ports import Observer

STOPS_THE_RUN: Final = frozenset({"disk-full", "disk-error"})
"""Local faults that do not clear by themselves; the others pause the run."""


class Pauses:
    """``first`` and ``longest`` pause in seconds."""

    def __init__(
        self, frontier: Frontier, observer: Observer, end: End, *, first: float, longest: float
    ) -> None:
        self._frontier = frontier
        self._observer = observer
        self._end = end
        self._first = first
        self._longest = longest
        self._in_a_row = 0
        self._until = -math.inf

    def our_fault(self, job: Job, fault: Fault, now: float) -> None:
        """``job`` is not to blame, and will be tried again."""
        self._frontier.retry(job, now, now)
        self.stop_or_pause(fault, now)

    def stop_or_pause(self, fault: Fault, now: float) -> None:
        if fault.code in STOPS_THE_RUN:
            self._end(Ending(EndReason.LOCAL_FAULT, fault.detail, fault.code))
        elif now >= self._until:  # else this one was under way when the pause began
            pause = min(self._longest, self._first * 2.0**self._in_a_row)
            self._in_a_row = min(self._in_a_row + 1, 32)
            self._until = now + pause
            self._frontier.pause(self._until)
            self._observer.notify(Paused(fault.code, fault.detail, pause))

    def back_in_order(self) -> None:
        """Something worked, or failed for a reason of its own."""
        if self._in_a_row:
            self._in_a_row = 0
            self._observer.notify(Resumed())

    def left(self, now: float) -> float:
        """Seconds until the pause is over."""
        return max(0.0, self._until - now)

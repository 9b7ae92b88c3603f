"""Budgets over time: how many requests, and how many bytes, a host group gets.

Both are virtual schedules rather than counters: they hold one point in time and are exact for any
sequence of questions, however late or early these are asked.
"""

from __future__ import annotations

import math
from typing import Final

HEADROOM: Final = 0.01
"""The share of a rate that is left unused. A budget is promised to the host and counted there,
where the way through the network has pushed starts closer together than they were made."""


class Pace:
    """A token bucket as a generic cell rate algorithm (ITU-T I.371, the virtual scheduling form).

    In any window of ``t`` seconds at most ``burst + rate * t`` starts are allowed. The bucket
    begins with a single token, not with ``burst``: a run that is interrupted and repeated over and
    over must not get a burst each time.
    """

    __slots__ = ("_interval", "_next", "_tolerance")

    def __init__(self, rate: float | None, burst: int, now: float) -> None:
        self._interval = (1 + HEADROOM) / rate if rate is not None else 0.0
        self._tolerance = (burst - 1) * self._interval
        self._next = now + self._tolerance
        """When the bucket would be full, less one token (the "theoretical arrival time")."""

    def ready_at(self) -> float:
        """The earliest time at which a start is allowed."""
        return self._next - self._tolerance

    def take(self, now: float) -> None:
        """Account for a start at ``now``, which must not be before ``ready_at()``."""
        self._next = max(self._next, now) + self._interval

    def recovered(self, now: float) -> bool:
        """Whether forgetting this bucket would grant nothing that it refuses."""
        return self.ready_at() <= now


class Throughput:
    """Bytes per second, kept on average: what a transfer took too much delays the next start."""

    __slots__ = ("_bandwidth", "_paid_at")

    def __init__(self, bandwidth: float | None) -> None:
        self._bandwidth = bandwidth if bandwidth is not None else math.inf
        self._paid_at = -math.inf

    def ready_at(self) -> float:
        return self._paid_at

    def spend(self, received: int, since: float) -> None:
        """Account for a transfer of ``received`` bytes that began at ``since``: the time that it
        took itself counts, so that a slow one delays nothing.
        """
        self._paid_at = max(self._paid_at, since) + received / self._bandwidth

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

    In any window of ``t`` seconds at most ``burst + rate * t`` requests are sent. What counts is
    the moment of sending, which comes later than the decision to begin with a request: a name is
    looked up in between, a connection opened, TLS agreed upon, and each of these takes as long as
    it likes. So there are two schedules of the same kind:

        begun    when requests were begun with; nothing but the even flow of new ones rests on it
        sent     when they were sent: the promise

    To be sent, a request needs leave, which most have from their beginning. Leave that is out and
    not used yet stands in the schedule as if it would be used at once, and there is no more of it
    than ``burst``: then any time at which it is used is within the promise, whoever has it, and
    however late that is told. A request that has to wait for its connection gives its leave back,
    so that others may be sent meanwhile, and asks for another when it is ready. While some ask,
    what is begun with next has to wait for its place behind them: what became ready all at once is
    sent before more comes to it.

    The bucket begins with a single token, not with ``burst``: a run that is interrupted and
    repeated over and over must not get a burst each time.
    """

    __slots__ = (
        "_asking",
        "_begun",
        "_burst",
        "_interval",
        "_leave",
        "_ready_at",
        "_sent",
        "_tolerance",
        "limited",
    )

    def __init__(self, rate: float | None, burst: int, now: float) -> None:
        self.limited = rate is not None
        """Whether anything is to be told to it; without a rate, nothing is."""
        self._interval = (1 + HEADROOM) / rate if rate is not None else 0.0
        self._burst = burst
        self._tolerance = (burst - 1) * self._interval
        self._begun = self._sent = now + self._tolerance
        """When the bucket would be full, less one token (the "theoretical arrival time")."""
        self._leave = 0
        """Requests that have leave, and are not sent yet as far as was told."""
        self._asking = 0
        self._look()

    def ready_at(self) -> float:
        """The earliest time at which another request may be begun with."""
        return self._ready_at

    def turn_at(self) -> float:
        """The earliest time at which leave may be given; infinity while that hangs on what is told
        of those that have it.
        """
        if self._leave >= self._burst:
            return math.inf
        return self._sent + self._leave * self._interval - self._tolerance

    def begin(self, now: float) -> bool:
        """A request is begun with, not before ``ready_at()``. Whether it has leave to be sent."""
        self._begun = max(self._begun, now) + self._interval
        has_leave = self.turn_at() <= now
        if has_leave:
            self._leave += 1
        self._look()
        return has_leave

    def put_off(self) -> None:
        """One that has leave has to wait for its connection, and gives it back."""
        self._leave -= 1
        self._look()

    def ask(self) -> None:
        """One without leave is ready, and asks for it."""
        self._asking += 1
        self._look()

    def stop_asking(self) -> None:
        """It will not be sent."""
        self._asking -= 1
        self._look()

    def give_leave(self) -> None:
        """To one that asks; not before ``turn_at()``."""
        self._asking -= 1
        self._leave += 1
        self._look()

    def sent(self, now: float) -> None:
        """One was sent, by its leave, at ``now`` or before that."""
        self._sent = max(self._sent, now) + self._interval
        self._leave -= 1
        self._look()

    def recovered(self, now: float) -> bool:
        """Whether forgetting this bucket would grant nothing that it refuses; if no request that
        was begun with is to come back to it.
        """
        full_at = max(self._begun, self._sent) - self._tolerance
        return not self._leave and not self._asking and full_at <= now

    def _look(self) -> None:
        begun = self._begun
        if self._asking:
            begun = max(begun, self._sent + (self._leave + self._asking) * self._interval)
        self._ready_at = begun - self._tolerance


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

"""What is known of a run while it is on: counts, and how fast they grow.

It is fed with events and asked for numbers; it neither draws nor waits, and the time is an
argument.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from msgspec import Struct

from fetcher.events import Event, ImportFinished, Paused, Resumed, RowsImported, Settled
from fetcher.model import Outcome, State, Tally

WINDOW: Final = 20.0
"""Seconds over which speeds are taken."""


class Speed(Struct, frozen=True):
    """Per second, over the last ``WINDOW``."""

    images: float
    bytes: float


class RunningTally:
    """An observer that counts. ``start`` is where the manifest stood when the run began."""

    def __init__(self, start: Tally, now: float) -> None:
        self.states = {state: start.states.get(state, 0) for state in State}
        self.stored_bytes = start.stored_bytes
        self.received_bytes = 0
        self.settled = 0
        """Assets settled in this run."""
        self.retries = 0
        """Attempts in this run after which another one follows."""
        self.importing = True
        self.pause: Paused | None = None
        self.started = now
        self._samples: deque[tuple[float, int, int]] = deque([(now, 0, 0)])

    @property
    def total(self) -> int:
        return sum(self.states.values())

    @property
    def pending(self) -> int:
        return self.states[State.PENDING]

    def notify(self, event: Event) -> None:
        if isinstance(event, Settled):
            for outcome in event.outcomes:
                self._settled(outcome)
        elif isinstance(event, RowsImported):
            self.states[State.PENDING] += event.tally.new
        elif isinstance(event, ImportFinished):
            self.importing = False
        elif isinstance(event, Paused):
            self.pause = event
        elif isinstance(event, Resumed):
            self.pause = None

    def _settled(self, outcome: Outcome) -> None:
        self.received_bytes += outcome.received
        if not outcome.state.terminal:
            self.retries += 1
            return
        self.settled += 1
        self.states[State.PENDING] -= 1
        self.states[outcome.state] += 1
        if outcome.path is not None and outcome.path.startswith(("images/", "shards/")):
            self.stored_bytes += outcome.actual_size or 0

    def sample(self, now: float) -> Speed:
        """Take note of where it stands at ``now``, and say how fast it got there."""
        self._samples.append((now, self.settled, self.received_bytes))
        while len(self._samples) > 2 and self._samples[1][0] <= now - WINDOW:  # noqa: PLR2004
            self._samples.popleft()
        then, settled, received = self._samples[0]
        span = max(now - then, 1e-9)
        return Speed((self.settled - settled) / span, (self.received_bytes - received) / span)

    def eta(self, speed: Speed) -> float | None:
        """Seconds to the end at ``speed``; ``None`` while that cannot be said."""
        if speed.images <= 0 or self.importing:
            return None
        return self.pending / speed.images

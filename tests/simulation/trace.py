"""What happened, in order, and which laws were broken. The same seed makes the same trace."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

MOST_BREACHES = 20
"""Kept; one bug shows many times."""


@dataclass(frozen=True, slots=True)
class Breach:
    law: str
    what: str
    at: float

    def __str__(self) -> str:
        return f"{self.law}: {self.what} (at {self.at:.3f} s)"


@dataclass(slots=True)
class Trace:
    """Events are (time, kind, what); ``counts`` by kind."""

    events: list[tuple[Any, ...]] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    breaches: list[Breach] = field(default_factory=list)
    clock: Callable[[], float] = lambda: 0.0

    def note(self, kind: str, *what: Any) -> None:
        self.events.append((self.clock(), kind, *what))
        self.counts[kind] += 1

    def breach(self, law: str, what: str) -> None:
        self.note("BREACH", law, what)
        if len(self.breaches) < MOST_BREACHES:
            self.breaches.append(Breach(law, what, self.clock()))

    def require(self, holds: bool, law: str, what: Callable[[], str]) -> None:  # noqa: FBT001
        if not holds:
            self.breach(law, what())

    def digest(self) -> str:
        return hashlib.sha256(repr(self.events).encode()).hexdigest()

    def tail(self, number: int) -> list[str]:
        """The last events before the first breach, one a line; the last of all if there is none."""
        first = next((n for n, event in enumerate(self.events) if event[1] == "BREACH"), None)
        end = len(self.events) if first is None else first + 1
        return [
            f"{at:12.3f}  {kind:<10} {' '.join(map(str, what))}"
            for at, kind, *what in self.events[max(0, end - number) : end]
        ]

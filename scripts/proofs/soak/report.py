"""What was done in a soak, and what came of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from scripts.proofs.mischief import KINDS
from scripts.proofs.soak.flatness import Flatness, flatness
from scripts.proofs.soak.sampling import Sample

_SHOWN = 50
"""Breaches."""


@dataclass(slots=True)
class Report:
    images: int
    done: Counter[str] = field(default_factory=Counter)
    """Harm that was done, by kind, and what there was besides."""
    requests: int = 0
    states: Counter[str] = field(default_factory=Counter)
    worst_window: float = 0.0
    """Requests beyond the budget in the worst window that a web saw."""
    samples: list[Sample] = field(default_factory=list)
    pace: float = 0.0
    """Images settled per minute, while the samples were taken."""
    breaches: list[str] = field(default_factory=list)

    def breach(self, text: str) -> None:
        self.breaches.append(text)

    def flatness(self) -> list[Flatness]:
        return flatness(self.samples, self.pace)

    @property
    def flat(self) -> bool:
        return bool(found := self.flatness()) and all(one.holds for one in found)

    @property
    def holds(self) -> bool:
        return self.flat and not self.breaches


def lines(report: Report) -> Iterator[str]:
    """For people."""
    yield from report.breaches[:_SHOWN]
    did = ", ".join(f"{count} {name}" for name, count in report.done.items())
    states = ", ".join(f"{count:,} {state}" for state, count in report.states.most_common())
    yield f"{report.images:,} images of {len(KINDS) + 1} kinds: {states}"
    yield f"{report.requests:,} requests, worst window {report.worst_window:+.1f}; {did}"
    for one in report.flatness():
        yield one.line()
    yield (
        f"{len(report.samples):,} samples at {report.pace:,.0f} images a minute, "
        f"{len(report.breaches)} breaches"
    )

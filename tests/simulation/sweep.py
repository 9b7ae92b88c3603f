"""Many seeds, over several processes. How they are shared out makes no difference to any."""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context

from tests.simulation.run import simulate

CHUNK = 50
FAILURES_KEPT = 5


@dataclass(slots=True)
class Summary:
    """``failures``: the reports of seeds that broke a law, by seed; the first few as text."""

    seeds: int = 0
    failed: list[int] = field(default_factory=list)
    reports: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    """What happened, by kind of event."""
    runs: int = 0
    longest_wait: float = 0.0
    """Virtual seconds that a group which could start something waited for its turn."""

    def add(self, other: Summary) -> None:
        self.seeds += other.seeds
        self.failed += other.failed
        self.reports = (self.reports + other.reports)[:FAILURES_KEPT]
        self.counts.update(other.counts)
        self.runs += other.runs
        self.longest_wait = max(self.longest_wait, other.longest_wait)


def sweep(seeds: Iterable[int]) -> Summary:
    """In this process."""
    summary = Summary()
    for seed in seeds:
        report = simulate(seed)
        summary.seeds += 1
        summary.runs += report.runs
        summary.counts.update(report.trace.counts)
        summary.longest_wait = max(summary.longest_wait, report.longest_wait)
        if not report.holds:
            summary.failed.append(seed)
            if len(summary.reports) < FAILURES_KEPT:
                summary.reports.append(str(report))
    return summary


def sweep_all(first: int, number: int, jobs: int, told: Callable[[Summary], None]) -> Summary:
    """Over ``jobs`` processes; ``told`` hears how far it is."""
    summary = Summary()
    for part in _parts(first, number, jobs):
        summary.add(part)
        told(summary)
    return summary


def _parts(first: int, number: int, jobs: int) -> Iterator[Summary]:
    ranges = [
        range(at, min(at + CHUNK, first + number)) for at in range(first, first + number, CHUNK)
    ]
    if jobs == 1:
        gc.freeze()
        yield from map(sweep, ranges)
        return
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as processes:
        yield from processes.map(sweep, ranges)

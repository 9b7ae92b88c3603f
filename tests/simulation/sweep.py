"""Many seeds, over several processes. How they are shared out makes no difference to any."""

from __future__ import annotations

import gc
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from multiprocessing import get_context

from tests.simulation.run import Report, again, simulate

Live = Callable[[int], Report]
"""Lives a seed; where there are several processes, to be found by its name."""
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


def sweep(seeds: Iterable[int], live: Live = simulate) -> Summary:
    """In this process."""
    summary = Summary()
    for seed in seeds:
        summary.seeds += 1
        try:
            report = live(seed)
        except Exception:  # noqa: BLE001  of the simulation itself: the other seeds are of worth
            _fail(summary, seed, f"{traceback.format_exc()}\n{again(seed)}")
            continue
        summary.runs += report.runs
        summary.counts.update(report.trace.counts)
        summary.longest_wait = max(summary.longest_wait, report.longest_wait)
        if not report.holds:
            _fail(summary, seed, str(report))
    return summary


def _fail(summary: Summary, seed: int, text: str) -> None:
    summary.failed.append(seed)
    if len(summary.reports) < FAILURES_KEPT:
        summary.reports.append(text)


def sweep_all(
    first: int, number: int, jobs: int, told: Callable[[Summary], None], live: Live = simulate
) -> Summary:
    """Over ``jobs`` processes; ``told`` hears how far it is. Ctrl-C ends it where it is."""
    summary = Summary()
    with suppress(KeyboardInterrupt):
        for part in _parts(first, number, jobs, live):
            summary.add(part)
            told(summary)
    return summary


def _parts(first: int, number: int, jobs: int, live: Live) -> Iterator[Summary]:
    ranges = [
        range(at, min(at + CHUNK, first + number)) for at in range(first, first + number, CHUNK)
    ]
    sweep_range = partial(sweep, live=live)
    if jobs == 1:
        gc.freeze()
        yield from map(sweep_range, ranges)
        return
    spawn = get_context("spawn")
    with ProcessPoolExecutor(jobs, mp_context=spawn, initializer=gc.freeze) as processes:
        try:
            yield from processes.map(sweep_range, ranges)
        finally:
            processes.shutdown(cancel_futures=True)

"""Lives of the engine in a simulated world, one for each seed; see ``tests.simulation``."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass

from tests.simulation.sweep import Summary, sweep_all

TOLD_EVERY = 5_000
"""Seeds, where nobody watches."""


@dataclass(frozen=True, slots=True)
class Report:
    summary: Summary
    seconds: float

    @property
    def holds(self) -> bool:
        return not self.summary.failed

    def line(self) -> str:
        counts = self.summary.counts
        faults = counts["fault"] + counts["disk fails"] + counts["book fails"]
        return (
            f"{self.summary.seeds:,} seeds, {self.summary.runs:,} runs in {self.seconds:.0f} s: "
            f"{counts['GET']:,} requests, {faults:,} faults, {counts['killed']:,} kills, "
            f"{counts['worker dies']:,} of workers, {counts['signal']:,} signals; "
            f"{len(self.summary.failed)} seeds break a law"
        )


def prove(*, seeds: int, first: int, jobs: int) -> Report:
    begun = time.monotonic()
    shows = sys.stderr.isatty()

    told_of: set[int] = set()

    def told(so_far: Summary) -> None:
        for seed in so_far.failed:
            if seed not in told_of:
                told_of.add(seed)
                print(f"\nseed {seed} breaks a law", file=sys.stderr, flush=True)
        if shows:
            print(f"\r{so_far.seeds:,} seeds", end="", file=sys.stderr, flush=True)
        elif so_far.seeds % TOLD_EVERY == 0:
            print(f"{so_far.seeds:,} seeds", file=sys.stderr, flush=True)

    summary = sweep_all(first, seeds, jobs, told)
    if shows:
        print(file=sys.stderr)
    return Report(summary, time.monotonic() - begun)

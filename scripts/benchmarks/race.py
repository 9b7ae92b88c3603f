"""A B C A B C …: everybody once per round, so that what else the machine does hits all alike.

Warm-up rounds are those in which memory is looked at.

Numbers are therefore compared within a round, and only then is the median taken: a ratio is the
median of the rounds' ratios, not the ratio of two medians.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from scripts.benchmarks.measure import Failure, Usage


@dataclass(frozen=True, slots=True)
class Spread:
    """A median, and the extremes that it lies between."""

    median: float
    low: float
    high: float


def spread(values: Sequence[float]) -> Spread:
    """Of at least one value."""
    return Spread(statistics.median(values), min(values), max(values))


@dataclass(frozen=True, slots=True)
class Standing:
    """What one contender came to: a usage per round; or why it is out, and then no numbers."""

    name: str
    usages: tuple[Usage, ...] = ()
    failure: Failure | None = None
    peaks: tuple[int, ...] = ()
    """Bytes that it held at most, in each of the warm-up rounds."""

    def against(self, other: Standing, of: Callable[[Usage], float]) -> Spread | None:
        """The rounds' ratios of this one to ``other``; ``None`` where one of them is out."""
        if not self.usages or not other.usages:
            return None
        pairs = zip(self.usages, other.usages, strict=True)
        return spread([of(mine) / of(theirs) for mine, theirs in pairs])


@dataclass(slots=True)
class _Runner:
    usages: list[Usage] = field(default_factory=list)
    peaks: list[int] = field(default_factory=list)
    failure: Failure | None = None


def race(
    names: Sequence[str],
    attempt: Callable[[str, bool], Usage | Failure],
    *,
    rounds: int,
    warm_up: int,
    say: Callable[[str], None],
) -> tuple[Standing, ...]:
    """Run everybody ``warm_up`` times untimed, then ``rounds`` (≥ 1) times.

    ``attempt`` is told whether to look at the memory. Whoever fails once is out, and does not run
    again. ``say`` is told of every attempt.
    """
    runners = {name: _Runner() for name in names}
    for number in range(1 - warm_up, rounds + 1):
        for name, runner in runners.items():
            if runner.failure is not None:
                continue
            title = f"round {number} of {rounds}" if number > 0 else "warm-up"
            result = attempt(name, number <= 0)
            if isinstance(result, Failure):
                runner.failure = result
                say(f"{title}: {name}: {result.reason}")
                continue
            say(f"{title}: {name}: {result.wall:.2f} s")
            if number > 0:
                runner.usages.append(result)
            else:
                runner.peaks.append(result.peak)
    return tuple(
        Standing(name, failure=runner.failure)
        if runner.failure is not None
        else Standing(name, tuple(runner.usages), peaks=tuple(runner.peaks))
        for name, runner in runners.items()
    )

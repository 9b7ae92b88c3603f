"""What is to be reached, and what the results at hand say of it: one table of ratios.

A figure is a number of medians, or the median of ratios round by round, as the tables have them;
one whose experiment was not run, or failed, is left out of the table of results and told so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from scripts.benchmarks import imports as importing
from scripts.benchmarks.contenders import FETCHER, SHARDS
from scripts.benchmarks.hosts import HostsResult
from scripts.benchmarks.imports import ImportResult
from scripts.benchmarks.memory import Held, MemoryResult
from scripts.benchmarks.race import Spread, spread
from scripts.benchmarks.results import Results
from scripts.benchmarks.speeds import SpeedResult

T = TypeVar("T")
_MIB: Final = 1024**2


@dataclass(frozen=True, slots=True)
class Figure:
    what: str
    bound: float
    least: bool
    """Whether ``bound`` is the least that is wanted, or else the most."""
    found: Spread | None
    unit: str = "times"

    @property
    def holds(self) -> bool | None:
        if self.found is None:
            return None
        median = self.found.median
        return median >= self.bound if self.least else median <= self.bound

    @property
    def reach(self) -> str:
        return f"{'≥' if self.least else '≤'} {self.bound:g} {self.unit}"


def figures(results: Results) -> list[Figure]:
    """All of them, in the order of the table in ``docs/bench.md``."""
    small = _speed(results.speeds, "20k", in_memory=True)
    large = _speed(results.speeds, "2m", in_memory=True)
    disk = _speed(results.speeds, "20k", in_memory=False)
    many = _first(results.hosts)
    rows = _first(results.imports)
    held = _first(results.memories)
    aria, img2dataset = "aria2c with checksums", "img2dataset, md5"
    wget2, curl = "wget2, md5sum -c", "curl -Z, md5sum -c"
    fetcher = FETCHER.name
    return [
        Figure("20 kB: images/s ÷ aria2c's", 3, True, _walls(small, aria, fetcher)),
        Figure("20 kB: images/s ÷ img2dataset's", 6, True, _walls(small, img2dataset, fetcher)),
        Figure("20 kB: wall ÷ that of wget2, md5sum -c", 1, False, _walls(small, fetcher, wget2)),
        Figure("2 MB: bytes/s ÷ aria2c's", 2.5, True, _walls(large, aria, fetcher)),
        Figure("2 MB: wall ÷ that of curl -Z, md5sum -c", 0.4, False, _walls(large, fetcher, curl)),
        Figure("2 MB: CPU ÷ the floor's", 1.25, False, large.floor if large else None),
        Figure("20 kB: CPU ÷ the floor's", 1.4, False, small.floor if small else None),
        Figure("many hosts: images/s ÷ (hosts ÷ latency)", 0.9, True, _used(many), "of it"),
        Figure("import: wall ÷ sqlite3 .import's", 1, False, _imported(rows)),
        Figure("first request, fresh", 2, False, _starts(rows, lambda r: r.fresh), "s"),
        Figure("first request, resumed", 2, False, _starts(rows, lambda r: r.resumed), "s"),
        Figure("memory, long list", 600, False, _peak(held), "MiB"),
        Figure("memory, long list ÷ short list", 1.1, False, _growth(held)),
        Figure("manifest ÷ the list's cells", 1.3, False, _size(rows)),
        Figure(
            "20 kB: the manifest's share of CPU",
            0.1,
            False,
            small.manifest if small else None,
            "of it",
        ),
        Figure(
            "20 kB to a disk: wall of files ÷ shards", 2, True, _walls(disk, fetcher, SHARDS.name)
        ),
    ]


def _speed(speeds: Sequence[SpeedResult], corpus: str, *, in_memory: bool) -> SpeedResult | None:
    found = (one for one in speeds if one.corpus == corpus and one.in_memory == in_memory)
    return next(found, None)


def _first(results: Sequence[T]) -> T | None:
    return results[0] if results else None


def _walls(result: SpeedResult | None, one: str, other: str) -> Spread | None:
    """The rounds' ratios of their wall times."""
    standings = [result.named(name) for name in (one, other)] if result else []
    mine, theirs = standings or (None, None)
    return mine.against(theirs, lambda usage: usage.wall) if mine and theirs else None


def _used(result: HostsResult | None) -> Spread | None:
    found = [one for one in result.standings if one.name == FETCHER.name] if result else []
    return result.sustained_share(found[0]) if result and found else None


def _imported(result: ImportResult | None) -> Spread | None:
    by_name = {standing.name: standing for standing in result.standings} if result else {}
    mine, theirs = by_name.get(importing.FETCHER), by_name.get(importing.SQLITE)
    return mine.against(theirs, lambda usage: usage.wall) if mine and theirs else None


def _starts(
    result: ImportResult | None, of: Callable[[ImportResult], tuple[float, ...]]
) -> Spread | None:
    return spread(of(result)) if result and of(result) else None


def _peak(result: MemoryResult | None) -> Spread | None:
    if result is None or not isinstance(result.long, Held):
        return None
    return spread([result.long.peak / _MIB])


def _growth(result: MemoryResult | None) -> Spread | None:
    return spread([result.growth]) if result and result.growth is not None else None


def _size(result: ImportResult | None) -> Spread | None:
    if result is None or result.manifest is None:
        return None
    return spread([result.manifest.settled / result.kept_bytes])


def told(found: Sequence[Figure]) -> Iterator[tuple[str, str, str, str]]:
    """The rows of the table."""
    for figure in found:
        if figure.found is not None:
            value = f"{figure.found.median:.3g} ({figure.found.low:.3g}-{figure.found.high:.3g})"
            yield figure.what, figure.reach, value, "yes" if figure.holds else "no"

"""Memory while a list as long as Open Images is imported and mirrored.

As many requests are in flight as asked for, each of an image of 2 MB that arrives within some
seconds, until each slot was used twice; with the long list, and with a hundredth of its rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from scripts.benchmarks import longlist, longruns
from scripts.benchmarks.longlist import KNOWN, LongList
from scripts.benchmarks.measure import Failure
from scripts.benchmarks.settings import Settings
from scripts.benchmarks.slow import slow_web
from scripts.benchmarks.slowweb import Options
from scripts.benchmarks.watching import watch
from scripts.benchmarks.workplace import workplace

SHORTER: Final = 100
"""How many times shorter the short list is."""
_EXPECTED: Final = ("verified", "pending")
_PIECES: Final = 40
_ROUNDS: Final = 2
"""How often each slot is used at least."""


@dataclass(frozen=True, slots=True)
class Held:
    """Memory of one run."""

    rows: int
    peak: int
    """Bytes of all processes together, at most."""
    in_flight: int
    """Requests that the server saw at once, at most."""
    verified: int


@dataclass(frozen=True, slots=True)
class MemoryResult:
    short: Held | Failure
    long: Held | Failure

    @property
    def growth(self) -> float | None:
        if isinstance(self.short, Failure) or isinstance(self.long, Failure):
            return None
        return self.long.peak / self.short.peak


@dataclass(frozen=True, slots=True)
class Traffic:
    """What comes in while memory is looked at."""

    in_flight: int
    """Requests at once."""
    pace: float
    """Seconds that an image takes to arrive, on average."""
    spread: float
    """Share by which it takes less or more; with 0 all arrive in step."""


def memory(rows: int, lists: Path, settings: Settings, traffic: Traffic) -> MemoryResult:
    """Peak memory with a list of ``rows``, and with a shorter one."""
    short, long = (
        _held(longlist.obtain(count, lists, settings.say), settings, traffic)
        for count in (max(3, rows // SHORTER), rows)
    )
    return MemoryResult(short, long)


def _held(image_list: LongList, settings: Settings, traffic: Traffic) -> Held | Failure:
    images, in_flight = min(image_list.rows, KNOWN // 4), traffic.in_flight
    need = longruns.MANIFEST_ROW * image_list.rows + images * image_list.image.size
    with workplace(0, need, settings.work, settings.disk) as place, place.output() as out:
        settings.say(f"memory with {image_list.rows:,} rows")
        options = Options(
            latency=0,
            image=str(image_list.image_file),
            pieces=_PIECES,
            pause=traffic.pace / _PIECES,
            spread=traffic.spread,
        )
        with slow_web(options) as web:
            sets = (
                "hosts.default.rate=unlimited",
                f"hosts.default.concurrency={in_flight}",
                "hosts.default.adapt=false",
                f"fetch.concurrency={in_flight}",
                f"fetch.memory={in_flight}MiB",
                "fetch.spool_above=1MiB",
            )
            run = watch(
                longruns.command(image_list, out, web, settings, *sets),
                out,
                longruns.surroundings(place, settings),
                lambda lines: (
                    longruns.has_read(lines) and web.journal.answered >= _ROUNDS * in_flight
                ),
                memory=True,
            )
            if isinstance(run, Failure):
                return run
            journal = web.end()
        states = longruns.status(settings.programs["fetcher"], out)["states"]
        others = {name: n for name, n in states.items() if n and name not in _EXPECTED}
        if others:
            return Failure(f"the manifest says {others}; are there more than {KNOWN:,} images?")
        return Held(image_list.rows, run.usage.peak, journal.most_in_flight, states["verified"])

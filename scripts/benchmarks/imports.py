"""A list as long as Open Images: import, first request, manifest and memory.

    import    ``fetcher mirror LIST.tar.gz``, from its start until it says that all lists are read,
              while the only server there is takes every request and answers none; beside it
              ``sqlite3``'s ``.import`` of the same members, unpacked, alone and with the unique
              index by id that a manifest has, too
    resume    the same command over the finished manifest, of which the first 30 % of the rows are
              settled, until the server has its first request
    memory    as many requests in flight as asked for, each of an image of 2 MB that arrives within
              some seconds, while a list is imported and until each slot was used twice; with the
              long list and with one of a hundredth of its rows

A manifest is compared with the bytes that it keeps of its list: those of all cells of all rows,
without the commas, quotes and line ends between them.
"""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from fetcher.manifest import ManifestThread, RunInfo
from fetcher.model import Asset, LeaseRequest, Outcome, State
from scripts.benchmarks import longlist
from scripts.benchmarks.longlist import DOMAIN, KNOWN, LongList
from scripts.benchmarks.measure import Failure, Surroundings, Usage, environment, measure
from scripts.benchmarks.race import Standing, race
from scripts.benchmarks.settings import Settings
from scripts.benchmarks.slow import SlowWeb, slow_web
from scripts.benchmarks.slowweb import Options
from scripts.benchmarks.watching import Line, watch
from scripts.benchmarks.workplace import Workplace, workplace

FETCHER: Final = "fetcher"
SQLITE: Final = "sqlite3 .import"
INDEXED: Final = "sqlite3 .import, and a unique index"
SETTLED: Final = 0.3
"""Share of the rows that are settled when a run is resumed."""
SHORTER: Final = 100
"""How many times shorter the short list is."""
_EXPECTED: Final = ("verified", "pending")
_READ: Final = "all lists are read"
_MANIFEST_ROW: Final = 700
"""Bytes that a row may take in a manifest and its log, generously."""
_AT_ONCE: Final = 5_000
_PIECES: Final = 40
_ROUNDS: Final = 2
"""How often each slot is used at least."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """Of a manifest, in bytes."""

    imported: int
    settled: int
    """When ``SETTLED`` of its rows are."""


@dataclass(frozen=True, slots=True)
class ImportResult:
    rows: int
    list_bytes: int
    """Of the members, unpacked."""
    kept_bytes: int
    """Of these, what is in cells."""
    in_memory: bool
    standings: tuple[Standing, ...]
    fresh: tuple[float, ...]
    """Seconds from the start to the first request."""
    resumed: tuple[float, ...]
    manifest: Sizes | None
    failure: str | None = None
    """Why there is no more."""


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


def imports(rows: int, lists: Path, settings: Settings) -> ImportResult:
    """Import, resumption and size, with a list of ``rows``, which is kept in ``lists``."""
    image_list = longlist.obtain(rows, lists, settings.say)
    with workplace(0, _MANIFEST_ROW * rows, settings.work, settings.disk) as place:
        one = _Importing(image_list, place, settings)
        standings = race(
            tuple(one.attempts()),
            lambda name, _: one.attempts()[name](),
            rounds=settings.rounds,
            warm_up=settings.warm_up,
            say=settings.say,
        )
        resumed, sizes, failure = one.resumptions()
    return ImportResult(
        rows,
        image_list.bytes,
        image_list.cells,
        place.in_memory,
        standings,
        tuple(one.fresh),
        resumed,
        sizes,
        failure,
    )


def memory(rows: int, lists: Path, settings: Settings, traffic: Traffic) -> MemoryResult:
    """Peak memory with a list of ``rows``, and with a shorter one."""
    short, long = (
        _held(longlist.obtain(count, lists, settings.say), settings, traffic)
        for count in (max(3, rows // SHORTER), rows)
    )
    return MemoryResult(short, long)


class _Importing:
    def __init__(self, image_list: LongList, place: Workplace, settings: Settings) -> None:
        self._list = image_list
        self._place = place
        self._settings = settings
        self._surroundings = _surroundings(place, settings)
        self.fresh: list[float] = []

    def attempts(self) -> dict[str, Callable[[], Usage | Failure]]:
        """Who takes part, and how."""
        attempts: dict[str, Callable[[], Usage | Failure]] = {FETCHER: self._import}
        if "sqlite3" in self._settings.programs:
            attempts[SQLITE] = lambda: self._sqlite(indexed=False)
            attempts[INDEXED] = lambda: self._sqlite(indexed=True)
        return attempts

    def _import(self) -> Usage | Failure:
        with self._place.output() as out:
            return self._imported(out)

    def _imported(self, out: Path) -> Usage | Failure:
        with slow_web(Options(latency=0, mute=True)) as web:
            command = _mirror(self._list, out, web, self._settings)
            run = watch(command, out, self._surroundings, lambda lines: _has(lines, _READ))
            if isinstance(run, Failure):
                return run
            first = run.since(web.end().first)
        wall = run.said(_READ)
        status = _status(self._settings.programs["fetcher"], out)
        wrong = _not_imported(status, self._list.rows)
        if wall is None or wrong is not None:
            return Failure(wrong or f"it never said {_READ!r}")
        if first is None:
            return Failure("no request was sent")
        self.fresh.append(first)
        return Usage(wall, run.usage.cpu, run.usage.peak)

    def _sqlite(self, *, indexed: bool) -> Usage | Failure:
        with self._place.output() as out:
            script = self._place.inside / "import.sql"
            database = out / "rows.sqlite"
            script.write_text("\n".join(_dot_commands(self._list.members, indexed=indexed)))
            program = str(self._settings.programs["sqlite3"])
            command = (program, "-batch", "-bail", "-init", str(script), str(database))
            usage = measure(command, out, self._surroundings)
            if isinstance(usage, Failure):
                return usage
            with closing(sqlite3.connect(database)) as connection:
                (found,) = connection.execute("SELECT count(*) FROM images").fetchone()
            return usage if found == self._list.rows else Failure(f"{found:,} rows")

    def resumptions(self) -> tuple[tuple[float, ...], Sizes | None, str | None]:
        """Times to the first request over a manifest that is partly settled, and its sizes."""
        with self._place.output() as out:
            usage = self._imported(out)
            self.fresh = self.fresh[: self._settings.rounds]
            if isinstance(usage, Failure):
                return (), None, usage.reason
            manifest = out / "manifest.sqlite"
            imported = _size(manifest)
            count = int(SETTLED * self._list.rows)
            self._settings.say(f"settling {count:,} rows")
            asyncio.run(_settle(manifest, count))
            sizes = Sizes(imported, _size(manifest))
            resumed: list[float] = []
            for number in range(1, self._settings.rounds + 1):
                _forget(manifest, self._list.archive)
                seconds = self._resumed(out)
                if isinstance(seconds, Failure):
                    return tuple(resumed), sizes, seconds.reason
                self._settings.say(f"round {number}: resumed, first request: {seconds:.2f} s")
                resumed.append(seconds)
            return tuple(resumed), sizes, None

    def _resumed(self, out: Path) -> float | Failure:
        with slow_web(Options(latency=0, mute=True)) as web:
            command = _mirror(self._list, out, web, self._settings)
            run = watch(command, out, self._surroundings, lambda _: web.journal.first is not None)
            if isinstance(run, Failure):
                return run
            seconds = run.since(web.end().first)
        return Failure("no request was sent") if seconds is None else seconds


def _held(image_list: LongList, settings: Settings, traffic: Traffic) -> Held | Failure:
    images, in_flight = min(image_list.rows, KNOWN // 4), traffic.in_flight
    need = _MANIFEST_ROW * image_list.rows + images * image_list.image.size
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
                _mirror(image_list, out, web, settings, *sets),
                out,
                _surroundings(place, settings),
                lambda lines: _has(lines, _READ) and web.journal.answered >= _ROUNDS * in_flight,
                memory=True,
            )
            if isinstance(run, Failure):
                return run
            journal = web.end()
        states = _status(settings.programs["fetcher"], out)["states"]
        others = {name: n for name, n in states.items() if n and name not in _EXPECTED}
        if others:
            return Failure(f"the manifest says {others}; are there more than {KNOWN:,} images?")
        return Held(image_list.rows, run.usage.peak, journal.most_in_flight, states["verified"])


def _mirror(
    image_list: LongList, out: Path, web: SlowWeb, settings: Settings, *sets: str
) -> tuple[str, ...]:
    where = json.dumps({f"*.{DOMAIN}:80": web.place})
    options = (f"network.connect_to={where}", "run.drain=0", *sets, *settings.options)
    program = str(settings.programs["fetcher"])
    command = (program, "mirror", str(image_list.archive), "--to", str(out))
    return (*command, *(argument for option in options for argument in ("--set", option)))


def _surroundings(place: Workplace, settings: Settings) -> Surroundings:
    return Surroundings(environment(place.inside), place.inside / "command.log", settings.limit)


def _has(lines: Sequence[Line], text: str) -> bool:
    return any(text in line.text for line in lines)


def _dot_commands(members: Sequence[Path], *, indexed: bool) -> Iterator[str]:
    """The first member's header names the columns; the others' are skipped."""
    yield ".mode csv"
    for number, path in enumerate(members):
        yield f'.import {"--skip 1 " if number else ""}"{path}" images'
    if indexed:
        yield "CREATE UNIQUE INDEX by_id ON images (ImageID);"


def _status(program: Path, out: Path) -> dict[str, Any]:
    """What ``fetcher status --json`` says."""
    command = (program, "status", out, "--json")
    answer = subprocess.run(command, stdout=subprocess.PIPE, check=True)  # noqa: S603  our own
    status: dict[str, Any] = json.loads(answer.stdout)
    return status


def _not_imported(status: Mapping[str, Any], rows: int) -> str | None:
    """What is wrong with what the manifest says of its rows."""
    if status["rows"] == {"read": rows, "accepted": rows, "duplicate": 0, "rejected": 0}:
        return None
    return f"the manifest says {status['rows']}"


def _size(manifest: Path) -> int:
    """With its log, if there is one."""
    return sum(path.stat().st_size for path in manifest.parent.glob(f"{manifest.name}*"))


async def _settle(manifest: Path, count: int) -> None:
    """Settle the next ``count`` assets as a mirror that stored them does."""
    async with ManifestThread(manifest, command="bench", group_of=lambda _: DOMAIN) as thread:
        await thread.begin_run(RunInfo("bench", "0"))
        left = count
        while left > 0:
            limit = min(left, _AT_ONCE)
            lease = await thread.lease(LeaseRequest(limit, default_room=limit))
            if not lease.assets:
                break
            await thread.settle([_verified(asset) for asset in lease.assets])
            left -= len(lease.assets)
        await thread.end_run(3)


def _verified(asset: Asset) -> Outcome:
    image_id = asset.image_id
    return Outcome(
        asset_id=asset.asset_id,
        state=State.VERIFIED,
        attempt=1,
        started_at=time.time(),
        elapsed=0.2,
        http_status=200,
        path=f"images/{asset.subset}/{image_id[:3]}/{image_id}.jpg",
        received=asset.expected.size or 0,
    )


def _forget(*paths: Path) -> None:
    """As after a restart of the machine: nothing of these files is in the disk's cache."""
    for path in paths:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(descriptor)

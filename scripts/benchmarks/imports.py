"""A list as long as Open Images: import, first request, and manifest.

    import    ``fetcher mirror LIST.tar.gz``, from its start until it says that all lists are read,
              while the only server there is takes every request and answers none; beside it
              ``sqlite3``'s ``.import`` of the same members, unpacked, alone and with the unique
              index by id that a manifest has, too
    resume    the same command over the finished manifest, of which the first 30 % of the rows are
              settled, until the server has its first request

A manifest is compared with the bytes that it keeps of its list: those of all cells of all rows,
without the commas, quotes and line ends between them.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from fetcher.manifest import ManifestThread, RunInfo
from fetcher.model import Asset, LeaseRequest, Outcome, State
from scripts.benchmarks import longlist, longruns
from scripts.benchmarks.longlist import DOMAIN, LongList
from scripts.benchmarks.measure import Failure, Usage, measure
from scripts.benchmarks.race import Standing, race
from scripts.benchmarks.settings import Settings
from scripts.benchmarks.slow import slow_web
from scripts.benchmarks.slowweb import Options
from scripts.benchmarks.watching import watch
from scripts.benchmarks.workplace import Workplace, workplace

FETCHER: Final = "fetcher"
SQLITE: Final = "sqlite3 .import"
INDEXED: Final = "sqlite3 .import, and a unique index"
SETTLED: Final = 0.3
"""Share of the rows that are settled when a run is resumed."""
_AT_ONCE: Final = 5_000


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


def imports(rows: int, lists: Path, settings: Settings) -> ImportResult:
    """Import, resumption and size, with a list of ``rows``, which is kept in ``lists``."""
    image_list = longlist.obtain(rows, lists, settings.say)
    with workplace(0, longruns.MANIFEST_ROW * rows, settings.work, settings.disk) as place:
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


class _Importing:
    def __init__(self, image_list: LongList, place: Workplace, settings: Settings) -> None:
        self._list = image_list
        self._place = place
        self._settings = settings
        self._surroundings = longruns.surroundings(place, settings)
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
            command = longruns.command(self._list, out, web, self._settings)
            run = watch(command, out, self._surroundings, longruns.has_read)
            if isinstance(run, Failure):
                return run
            first = run.since(web.end().first)
        wall = run.said(longruns.READ)
        status = longruns.status(self._settings.programs["fetcher"], out)
        wrong = _not_imported(status, self._list.rows)
        if wall is None or wrong is not None:
            return Failure(wrong or f"it never said {longruns.READ!r}")
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
            command = longruns.command(self._list, out, web, self._settings)
            run = watch(command, out, self._surroundings, lambda _: web.journal.first is not None)
            if isinstance(run, Failure):
                return run
            seconds = run.since(web.end().first)
        return Failure("no request was sent") if seconds is None else seconds


def _dot_commands(members: Sequence[Path], *, indexed: bool) -> Iterator[str]:
    """The first member's header names the columns; the others' are skipped."""
    yield ".mode csv"
    for number, path in enumerate(members):
        yield f'.import {"--skip 1 " if number else ""}"{path}" images'
    if indexed:
        yield "CREATE UNIQUE INDEX by_id ON images (ImageID);"


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

"""``kill -9`` at every step between an image's first byte and its committed row, and at every other
step that changes what lies in DIR. The same command goes on after each, and the laws hold.

What lies in DIR is judged by ``scripts.proofs.laws``, which shares no code with fetcher, before and
after; what was asked for, by the little web's own count.
"""

from __future__ import annotations

import signal
from collections import Counter
from pathlib import Path
from typing import Final

import pytest

from fetcher.demo.steps import Answer, Close, Picture, status
from fetcher.errors import Exit
from fetcher.killpoints import Point
from scripts.proofs import laws, mirrors
from scripts.proofs.laws import Snapshot
from scripts.proofs.mirrors import HOST, Row
from tests.e2e.conftest import Bench, fetcher, finish
from tests.e2e.test_stopping import read_until

IN_FLIGHT: Final = 4
LARGE: Final = 300_000
PLAIN: Final = 12
CONFIG: Final = {
    "fetch": {"concurrency": IN_FLIGHT, "spool_above": 60_000},
    "store": {"durability": "file"},
}
ENDS: Final = {
    "large": "verified",
    "cut": "verified",
    "busy": "verified",
    "gone": "gone",
    "other": "mismatched",
    **{f"{n:016x}": "verified" for n in range(PLAIN)},
}
REQUESTS: Final = len(ENDS) + 2
"""Without a kill: one for each image, and another for the one that was cut and the busy one."""

LATER: Final[dict[Point, tuple[int, ...]]] = {
    Point.BYTES_TAKEN: (9,),
    Point.HASHED: (5,),
    Point.RENAMED: (5,),
    Point.SETTLED: (3,),
}
"""Passes besides the first."""
AFTER: Final[dict[Point, Point]] = {
    Point.FOUND: Point.LANDED,
    Point.CONFIRMED: Point.LANDED,
    Point.TAIL_CUT: Point.LANDED,
}
"""Where an earlier run has to have been killed for a point to be passed."""

OF_SHARDS: Final = (
    Point.SHARD_MADE,
    Point.SHARD_WRITTEN,
    Point.SHARD_COMMITTED,
    Point.TAIL_CUT,
)
"""Passed where images go into shards, and nowhere else."""
WITH_SHARDS: Final = (
    *((point, 1) for point in OF_SHARDS),
    (Point.SHARD_WRITTEN, 3),
    (Point.SHARD_COMMITTED, 3),
    (Point.HASHED, 5),
    (Point.PART_SPOOLED, 1),
    (Point.FILES_SYNCED, 1),
    (Point.FILES_SYNCED, 4),
    (Point.DIRECTORIES_SYNCED, 1),
    (Point.LANDED, 1),
    (Point.LANDED, 4),
    (Point.DELIVERED, 2),
    (Point.ASSETS_WRITTEN, 2),
    (Point.SETTLED, 1),
    (Point.SETTLED, 3),
    (Point.SWEPT, 1),
    (Point.RUN_ENDED, 1),
)

IN_WORKERS: Final = (
    Point.BYTES_TAKEN,
    Point.TEMPORARY_OPENED,
    Point.FILES_SYNCED,
    Point.RENAMED,
    Point.LANDED,
)

CASES: Final = [
    (point, n) for point in Point if point not in OF_SHARDS for n in (1, *LATER.get(point, ()))
]


def prepare(
    bench: Bench, *, processes: int = 1, layout: str = "files", durability: str = "batch"
) -> tuple[Path, Path]:
    """A list and a configuration; images of every way to end."""
    large, cut, busy = Picture(LARGE, "large"), Picture(LARGE, "cut"), Picture(900, "busy")
    bench.web.serve("/large", Answer(large))
    bench.web.serve("/cut", Answer(cut, end=Close(2 * LARGE // 3)), Answer(cut))
    bench.web.serve("/busy", status(503), Answer(busy))
    bench.web.serve("/gone", status(404))
    bench.web.serve("/other", Answer(Picture(800, "other")))
    listed = Picture(800, "listed")
    special = [
        Row.of(name, f"http://{HOST}/{name}", shown.data())
        for name, shown in (("large", large), ("cut", cut), ("busy", busy), ("other", listed))
    ]
    plain = mirrors.gallery(PLAIN)
    rows = [*plain[:4], *special, Row("gone", f"http://{HOST}/gone"), *plain[4:]]
    store = {"layout": layout, "shard_size": 30_000, "durability": durability}
    chosen = {"fetch": {"processes": processes}, "store": store}
    return bench.rows(rows), bench.config(CONFIG, chosen)


def asked(bench: Bench) -> Counter[str]:
    return Counter(request.path for request in bench.web.requests)


def killed(  # noqa: PLR0917  a case, spelt out
    bench: Bench, listed: Path, config: Path, point: Point, n: int = 1, whom: str = ""
) -> Snapshot:
    """Run until it dies at the point; what the manifest says then."""
    process = mirrors.start(*bench.command(listed, config=config), kill_at=f"{point}:{n}{whom}")
    done = finish(process)
    assert done.code == -signal.SIGKILL, f"it never passed {point}: {done}"
    assert laws.breaches(bench.directory) == []
    return laws.snapshot(bench.directory)


def paths_done(now: Snapshot, bench: Bench) -> set[str]:
    """Paths of the web that nobody needs to ask for again: their image is settled, or its file lies
    under its final name.
    """
    stored = {Path(name).stem for name in laws.files(bench.directory / "images")}
    return {
        image.url.removeprefix(f"http://{HOST}")
        for name, image in now.images.items()
        if name in now.settled | stored
    }


@pytest.mark.parametrize(("point", "n"), CASES)
def test_a_kill_costs_at_most_what_was_in_flight(point: Point, n: int, bench: Bench) -> None:
    listed, config = prepare(bench)
    kills = 1
    if point in AFTER:
        killed(bench, listed, config, AFTER[point])
        kills = 2
    now = killed(bench, listed, config, point, n)
    resume(bench, listed, config, now, kills)


@pytest.mark.parametrize(("point", "n"), WITH_SHARDS)
def test_a_kill_leaves_at_most_a_tail_in_shards(point: Point, n: int, bench: Bench) -> None:
    listed, config = prepare(bench, layout="tar")
    kills = 1
    if point in AFTER:
        killed(bench, listed, config, AFTER[point])
        kills = 2
    now = killed(bench, listed, config, point, n)
    resume(bench, listed, config, now, kills)
    assert fetcher("verify", bench.directory, "--quiet").code == 0


@pytest.mark.parametrize("point", [Point.SHARD_MADE, Point.SHARD_WRITTEN, Point.LANDED])
def test_when_workers_fill_shards_and_all_are_killed(point: Point, bench: Bench) -> None:
    listed, config = prepare(bench, processes=2, layout="tar")
    now = killed(bench, listed, config, point, 2, whom=":group")
    resume(bench, listed, config, now, kills=1)


@pytest.mark.parametrize("durability", ["batch", "none"])
@pytest.mark.parametrize("point", IN_WORKERS)
def test_when_workers_do_it_and_all_are_killed(point: Point, durability: str, bench: Bench) -> None:
    """The machine stops while one of several processes is at the point. Where nothing waits for a
    disk, small images are landed on the worker's loop.
    """
    listed, config = prepare(bench, processes=2, durability=durability)
    now = killed(bench, listed, config, point, 3, whom=":group")
    resume(bench, listed, config, now, kills=1)


@pytest.mark.parametrize(
    ("layout", "point"), [("files", Point.RENAMED), ("tar", Point.SHARD_WRITTEN)]
)
def test_workers_that_are_killed_again_and_again(layout: str, point: Point, bench: Bench) -> None:
    """Each that takes the place of another dies at the same step; the run pauses, and can be told
    to end.
    """
    listed, config = prepare(bench, processes=2, layout=layout)
    process = mirrors.start(*bench.command(listed, config=config), kill_at=point)
    read_until(process, "paused for 1s: worker-lost")
    process.send_signal(signal.SIGTERM)
    done = finish(process)
    assert done.code == Exit.STOPPED, done
    assert laws.breaches(bench.directory, finished=True) == []
    now = laws.snapshot(bench.directory)
    resume(bench, listed, config, now, kills=bench.web.count())


def resume(bench: Bench, listed: Path, config: Path, now: Snapshot, kills: int) -> None:
    """The same command again comes to its end, and asks for nothing that was there."""
    before, done = asked(bench), paths_done(now, bench)

    resumed = bench.mirror(listed, config=config)

    assert resumed.code == 1, resumed
    after = laws.snapshot(bench.directory)
    assert {name: image.state for name, image in after.images.items()} == ENDS
    assert (after.accepted, after.duplicate, after.rejected) == (len(ENDS), 0, 0)
    # Law 5.
    assert {path: asked(bench)[path] for path in done} == {path: before[path] for path in done}
    assert bench.web.count() <= REQUESTS + kills * IN_FLIGHT
    # What was settled is as it was.
    assert {name: after.images[name] for name in now.settled} == {
        name: now.images[name] for name in now.settled
    }


def test_without_a_kill(bench: Bench) -> None:
    """The numbers that the others are compared with."""
    listed, config = prepare(bench)
    assert bench.mirror(listed, config=config).code == 1
    assert {name: image.state for name, image in bench.images().items()} == ENDS
    assert bench.web.count() == REQUESTS

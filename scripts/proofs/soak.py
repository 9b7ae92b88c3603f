"""A mirror under mixed faults for as long as one likes: every law holds, and nothing grows.

It has three parts:

    restless   for a fifth of the time, runs follow one another: each is told to stop (SIGTERM) or
               killed with all its processes, what has failed is put back to pending, and the next
               goes on
    watched    for the rest, one run lives through everything else: hosts that behave as
               ``mischief`` has them, webs that go down and come back, workers that are killed.
               Memory and descriptors of its processes are sampled
    settled    all harm has an end, what has failed is put back, and the last run goes to the end
               of the list: each image must be in the very state that its host's behaviour makes

Nothing grows, if over the last two thirds of the watched run, of the process that decides and of a
worker that is never killed, both the memory's and the descriptors' slopes are within bounds. A
slope is Theil and Sen's, the median over pairs of samples, which peaks that pass do not move.
"""

from __future__ import annotations

import json
import os
import random
import signal
import statistics
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from subprocess import Popen, TimeoutExpired
from typing import Any, Final

from fetcher.demo.process import WebProcess
from fetcher.demo.steps import Answer, Bytes, status
from scripts.proofs import family, laws, mirrors
from scripts.proofs.mischief import (
    HOST,
    PRIVATE,
    ROBOTS,
    SPOOLED,
    STALLED,
    TOTAL,
    Planted,
    listed,
    planted,
)
from scripts.proofs.rate import worst_window

RATE: Final = 10
"""Requests per second to each web."""
BURST: Final = 5
WEBS: Final = 4
CONCURRENCY: Final = 32
ATTEMPTS: Final = 5
MEMORY_SLOPE: Final = 64 * 1024
"""Bytes per minute: at the soak's rate some 30 for each request."""
DESCRIPTOR_SLOPE: Final = 0.2
"""Descriptors per minute: one in some 10,000 requests."""
LATE: Final = 1.0
"""Seconds by which a machine that has other things to do may push requests together on their way
to a web (law 4 is exact where nothing comes in between: ``scripts/prove rate``)."""
_RESTLESS: Final = 0.2
_WARM_UP: Final = 1 / 3
_LIFE: Final = (2.0, 25.0)
"""Seconds that a run lives in the restless part."""
_SAMPLE: Final = 2.0
_OUTAGE: Final = (3.0, 9.0)
_PATIENCE: Final = 300.0
_POLL: Final = 0.05
_CONFIG: Final[dict[str, Any]] = {
    "fetch": {
        "processes": 2,
        "concurrency": CONCURRENCY,
        "spool_above": SPOOLED,
        "timeout": {"connect": "2s", "stall": STALLED, "total": TOTAL},
    },
    "hosts": {"default": {"rate": RATE, "burst": BURST, "concurrency": 8}},
    "retry": {"attempts": ATTEMPTS, "first_delay": "2s", "max_delay": "20s"},
    "consent": {"robots": True},
}
_SETTLING: Final = (
    *("--set", "hosts.default.rate=unlimited", "--set", "hosts.default.concurrency=16"),
    *("--set", "retry.first_delay=50ms", "--set", "retry.max_delay=200ms"),
    *("--set", "retry.max_retry_after=50ms"),
)


@dataclass(frozen=True, slots=True)
class Sample:
    """What the processes of the watched run have at a moment."""

    at: float
    """Seconds since it was started."""
    parent: family.Held
    worker: family.Held
    """One that is never killed."""
    others: tuple[family.Held, ...]

    @property
    def memory(self) -> int:
        """Bytes of all of them."""
        return sum(held.memory for held in (self.parent, self.worker, *self.others))

    @property
    def descriptors(self) -> int:
        return sum(held.descriptors for held in (self.parent, self.worker, *self.others))


@dataclass(frozen=True, slots=True)
class Flatness:
    """How what one process has went on after the warm-up."""

    name: str
    memory: float
    """Bytes per minute."""
    descriptors: float
    """Per minute."""
    least: int
    """Bytes."""
    most: int
    """Bytes."""
    most_descriptors: int

    @property
    def holds(self) -> bool:
        return self.memory <= MEMORY_SLOPE and self.descriptors <= DESCRIPTOR_SLOPE


@dataclass(slots=True)
class Report:
    """What was done, and what came of it."""

    images: int
    done: Counter[str] = field(default_factory=Counter)
    """Harm that was done, by kind, and what there was besides."""
    requests: int = 0
    states: Counter[str] = field(default_factory=Counter)
    worst_window: float = 0.0
    """Requests beyond the budget in the worst window that a web saw."""
    samples: list[Sample] = field(default_factory=list)
    breaches: list[str] = field(default_factory=list)

    def flatness(self) -> list[Flatness]:
        """Empty without enough samples to tell."""
        last = self.samples[int(len(self.samples) * _WARM_UP) :]
        if len(last) < 3:  # noqa: PLR2004  a line through two points proves nothing
            return []
        return [
            _flatness("the process that decides", last, lambda sample: sample.parent),
            _flatness("a worker", last, lambda sample: sample.worker),
        ]

    @property
    def flat(self) -> bool:
        return bool(found := self.flatness()) and all(one.holds for one in found)


def slope(points: Sequence[tuple[float, float]]) -> float:
    """By Theil and Sen: the median slope over all pairs of points, none at the same time."""
    return statistics.median(
        (late[1] - early[1]) / (late[0] - early[0]) for early, late in combinations(points, 2)
    )


def csv(report: Report) -> Iterator[str]:
    """The samples as lines: seconds, then bytes and descriptors of each process."""
    names = [f"{who}_{what}" for who in ("parent", "worker") for what in ("pss", "rss", "fds")]
    yield ",".join(("seconds", *names, "all_pss", "all_fds"))
    for sample in report.samples:
        one, other = sample.parent, sample.worker
        cells = [one.memory, one.resident, one.descriptors]
        cells += [other.memory, other.resident, other.descriptors]
        yield ",".join(map(str, (round(sample.at, 1), *cells, sample.memory, sample.descriptors)))


def prove(place: Path, *, seconds: float, seed: int = 1, rate: int = RATE) -> Report:
    """Mirror into ``place`` for ``seconds`` under harm, then to the end without."""
    # Each image takes a request at least, so this list is longer than the time.
    images = list(planted(int(seconds * rate * WEBS) + 200, WEBS, seed))
    with ExitStack() as running:
        webs = [_Web(place / f"web-{n}", f"127.0.0.{n + 2}") for n in range(WEBS)]
        for n, web in enumerate(webs):
            web.begin([image for image in images if image.web == n])
            running.callback(web.end)
        soak = _Soak(place, webs, images, random.Random(seed), rate)  # noqa: S311  for harm
        soak.be_restless(seconds * _RESTLESS)
        soak.watch(seconds * (1 - _RESTLESS))
        soak.settle()
        return soak.report


def _flatness(
    name: str, samples: Sequence[Sample], of: Callable[[Sample], family.Held]
) -> Flatness:
    held = [(sample.at / 60, of(sample)) for sample in samples]
    memory = [one.memory for _, one in held]
    return Flatness(
        name,
        slope([(at, one.memory) for at, one in held]),
        slope([(at, one.descriptors) for at, one in held]),
        min(memory),
        max(memory),
        max(one.descriptors for _, one in held),
    )


class _Web:
    """A web that can go down, and come back where it was, its scripts begun anew."""

    def __init__(self, directory: Path, address: str) -> None:
        directory.mkdir()
        # An address of its own: no connection of anybody's takes its port while it is down.
        # What its scripts are not known of yet is trouble that passes.
        self.process = WebProcess(directory, address=address, unscripted=503)
        self._images: list[Planted] = []

    def begin(self, images: list[Planted]) -> None:
        self._images = images
        self.up()

    def up(self) -> None:
        web = self.process.__enter__()
        web.serve("/robots.txt", status(503), Answer(Bytes(ROBOTS.encode(), "text/plain")))
        for image in self._images:
            if image.steps:
                web.serve(image.path, *image.steps)

    def end(self) -> None:
        self.process.stop()


class _Soak:
    """One mirror, and the harm that is done to it."""

    def __init__(
        self,
        place: Path,
        webs: Sequence[_Web],
        images: list[Planted],
        chance: random.Random,
        rate: int,
    ) -> None:
        self._webs = webs
        self._images = {image.row.image_id: image for image in images}
        self._chance = chance
        self._rate = rate
        self._directory = place / "mirror"
        rows, self._duplicate, self._rejected = listed(images)
        led = {
            f"{HOST.format(n)}:80": f"{web.process.address}:{web.process.port}"
            for n, web in enumerate(webs)
        }
        hosts = {"default": {**_CONFIG["hosts"]["default"], "rate": rate}}
        config = mirrors.write_config(
            place / "config.yaml", _CONFIG, {"network": {"connect_to": led}, "hosts": hosts}
        )
        self._command: tuple[str | Path, ...] = (
            *("mirror", mirrors.write_list(place / "images.csv", rows)),
            *("--to", self._directory, "--config", config),
        )
        self._told = (place / "told.txt").open("a+", encoding="utf-8")
        self._settled: dict[str, int] = {}
        """Requests for what is settled, by path, when that was seen first."""
        self._paced_until = 0.0
        self.report = Report(len(images))

    # The parts.

    def be_restless(self, seconds: float) -> None:
        over = time.monotonic() + seconds
        while (left := over - time.monotonic()) > 0:
            with self._started() as process:
                life = min(left, self._chance.uniform(*_LIFE))
                with suppress(TimeoutExpired):
                    process.wait(life)
                    self._breach(f"a run ended by itself with {process.returncode}")
                if self._chance.random() < 0.5:  # noqa: PLR2004  heads or tails
                    self._stop(process)
                else:
                    self._kill(process)
            self._look()
            self._reopen()

    def watch(self, seconds: float) -> None:
        with self._started() as process:
            begun = time.monotonic()
            harm = self._harm(process, lambda: time.monotonic() - begun, seconds)
            while (at := time.monotonic() - begun) < seconds:
                if process.poll() is not None:
                    self._breach(f"the watched run ended with {process.returncode}")
                    break
                self._sample(process, at)
                next(harm)
                time.sleep(max(0.0, min(_SAMPLE, seconds - at)))
            harm.close()
            self._stop(process)
        self._look()

    def settle(self) -> None:
        self._paced_until = time.monotonic()
        # Twice: what was pending may have spent its attempts on the harm that was done to it.
        for _ in range(2):
            self._reopen()
            with self._started(*_SETTLING) as process:
                process.wait(_PATIENCE + self.report.images / 50)
        if process.returncode != 1:  # some are gone, denied, mismatched and failed
            self._breach(f"the last run ended with {process.returncode}")
        self._look(finished=True)
        self._judge()
        self._told.seek(0)
        told = self._told.read()
        self.report.breaches += ["a traceback"] * told.count("Traceback")
        self._told.close()

    # Runs.

    def _started(self, *options: str) -> Popen[str]:
        self.report.done["runs"] += 1
        return mirrors.start(*self._command, *options, told=self._told)

    def _stop(self, process: Popen[str]) -> None:
        with suppress(ProcessLookupError):
            process.terminate()
        if process.wait(_PATIENCE) != 3:  # noqa: PLR2004  stopped before the end
            self._breach(f"a run that was told to stop ended with {process.returncode}")
        self.report.done["SIGTERM"] += 1

    def _kill(self, process: Popen[str]) -> None:
        members = family.below(process.pid)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(_PATIENCE)
        over = time.monotonic() + _PATIENCE
        while any(family.runs(pid) for pid in members) and time.monotonic() < over:
            time.sleep(_POLL)
        self.report.done["SIGKILL"] += 1

    def _reopen(self) -> None:
        """Put back what has failed: it may be asked for again."""
        with mirrors.start("retry", self._directory, "--state", "failed") as process:
            _, errors = process.communicate(timeout=_PATIENCE)
        if process.returncode != 0:
            self._breach(f"retry ended with {process.returncode}: {errors}")
        for image in laws.snapshot(self._directory).images.values():
            if image.state == "pending":
                self._settled.pop(image.image_id, None)
        self.report.done["retry"] += 1

    # Harm to a run that goes on.

    def _harm(
        self, process: Popen[str], clock: Callable[[], float], seconds: float
    ) -> Generator[None, None, None]:
        """Each step may do some, and returns at once."""
        down: _Web | None = None
        back = 0.0
        outage, kill, look = seconds * 0.05, seconds * 0.04, seconds * 0.06
        every = max(5.0, min(60.0, seconds / 12))
        try:
            while True:
                now = clock()
                if down is not None and now >= back:
                    down.up()
                    down = None
                if down is None and now >= outage:
                    down, back = self._chance.choice(self._webs), now + self._lasting(every)
                    down.end()
                    outage = now + every * self._chance.uniform(1.0, 2.0)
                    self.report.done["outages"] += 1
                if now >= kill and self._kill_a_worker(process):
                    kill = now + every * self._chance.uniform(0.5, 1.5)
                if now >= look:
                    self._ask_status()
                    look = now + every
                yield
        finally:
            if down is not None:
                down.up()

    def _lasting(self, every: float) -> float:
        return min(every / 2, self._chance.uniform(*_OUTAGE))

    def _workers(self, process: Popen[str]) -> list[int]:
        return [pid for pid in family.children(process.pid) if not family.is_tracker(pid)]

    def _kill_a_worker(self, process: Popen[str]) -> bool:
        """Any but the first; whether there was one."""
        workers = self._workers(process)[1:]
        if workers:
            with suppress(ProcessLookupError):
                os.kill(self._chance.choice(workers), signal.SIGKILL)
            self.report.done["workers killed"] += 1
        return bool(workers)

    def _ask_status(self) -> None:
        """As somebody who looks on does; law 1, while it runs."""
        with mirrors.start("status", self._directory, "--json") as process:
            said, errors = process.communicate(timeout=_PATIENCE)
        if process.returncode != 0:
            self._breach(f"status ended with {process.returncode}: {errors}")
            return
        told = json.loads(said)
        rows = told["rows"]
        if sum(told["states"].values()) != rows["accepted"]:
            self._breach(f"law 1: status says {told}")
        self.report.done["status"] += 1

    def _sample(self, process: Popen[str], at: float) -> None:
        workers = self._workers(process)
        if not workers:  # it has just begun
            return
        first, *others = (family.held(pid) for pid in workers)
        parent = family.held(process.pid)
        if parent is not None and first is not None:
            known = tuple(held for held in others if held is not None)
            self.report.samples.append(Sample(at, parent, first, known))

    # What is looked at.

    def _look(self, *, finished: bool = False) -> None:
        """Laws 1, 2, 3 and 5, when no run is on."""
        self.report.breaches += laws.breaches(self._directory, finished=finished)
        asked = self._asked()
        for image_id, before in self._settled.items():
            if asked[self._images[image_id].path] != before:
                self._breach(f"law 5: {image_id} was settled, and asked for again")
        for image in laws.snapshot(self._directory).images.values():
            if image.state != "pending":
                path = self._images[image.image_id].path
                self._settled.setdefault(image.image_id, asked[path])

    def _asked(self) -> Counter[str]:
        return Counter(request.path for web in self._webs for request in web.process.requests())

    def _judge(self) -> None:
        """Every image by its kind, the rows, what must not be asked, and law 4."""
        now = laws.snapshot(self._directory)
        counted = (now.accepted, now.duplicate, now.rejected)
        if counted != (len(self._images), self._duplicate, self._rejected):
            self._breach(f"law 1: {counted} rows accepted, duplicate and rejected")
        for image_id, planted_ in self._images.items():
            image = now.images.get(image_id)
            found = (image.state, image.code) if image is not None else None
            if found != (planted_.kind.state, planted_.kind.code):
                self._breach(f"{planted_.kind.name}: {image_id} ended as {found}")
            elif image is not None:
                self.report.states[image.state] += 1
        for web in self._webs:
            requests = web.process.requests()
            self.report.requests += len(requests)
            if any(request.path.startswith(PRIVATE) for request in requests):
                self._breach("what robots.txt does not allow was asked for")
            times = [request.at for request in requests if request.at < self._paced_until]
            worst = worst_window(times, self._rate, BURST)
            self.report.worst_window = max(self.report.worst_window, worst)
        if self.report.worst_window > self._rate * LATE:
            self._breach(f"law 4: {self.report.worst_window:.1f} requests beyond the budget")

    def _breach(self, text: str) -> None:
        self.report.breaches.append(text)

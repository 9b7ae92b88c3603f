"""``kill -9`` at random moments of one mirror, resumed each time: laws 1, 2, 3 and 5.

What a moment is random in is the work done, not the time: each kill waits until the webs have had a
random number of requests. Some of these are reached already when a run starts, and then the kill
falls into its first second: into opening the manifest, reading the list, or looking for files.

The images lie on several webs, each a process of its own and a host group of its own. What is
killed may be chosen: the process that was started, one of those that it has started, or all of them
at once. Whoever outlives its fellows has to end by itself before the manifest is looked at.
"""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from subprocess import Popen
from typing import Final

from fetcher.demo.process import WebProcess
from fetcher.demo.steps import Answer, Close, Picture, status
from scripts.proofs import laws, mirrors
from scripts.proofs.family import below, runs
from scripts.proofs.mirrors import Row

PATIENCE: Final = 120.0
CONCURRENCY: Final = 16
ATTEMPTS: Final = 5
SIZE: Final = 2_000
_LARGE: Final = 300_000
_POLL: Final = 0.001
_LINES: Final = 65_536
_FIRST_SECOND: Final = 0.8
_AFTERLIFE: Final = 0.5
"""Seconds that a run has without one of its workers, at most."""
_HOST: Final = "h{}.test"


@dataclass(frozen=True, slots=True)
class Report:
    images: int
    kills: int
    unfinished: int
    """Kills after which there was more to do; the others hit a run with nothing to fetch."""
    requests: int
    """That arrived at the web in all runs."""
    scripted: int
    """Requests that would be there without any kill, beyond one for each image."""
    breaches: tuple[str, ...]

    @property
    def allowed(self) -> int:
        """Law 5: a kill costs at most the attempts in flight."""
        return self.images + self.scripted + self.kills * CONCURRENCY


class Target(StrEnum):
    """Whom a kill is for."""

    GROUP = "group"
    """All processes of the run, at once: as when the machine stops."""
    PARENT = "parent"
    """The one that was started."""
    WORKER = "worker"
    """One of those that it has started, and a moment later all others; in between the run may go
    on, or end in good order."""
    ANY = "any"
    """Each kill is for one of the above."""


def prove(
    place: Path,
    *,
    images: int,
    kills: int,
    seed: int,
    webs: int = 1,
    target: Target = Target.GROUP,
    options: Sequence[str] = (),
) -> Report:
    """Mirror ``images`` from ``webs`` webs into ``place``, killed ``kills`` times.

    ``options`` are more arguments of ``fetcher mirror``.
    """
    chance = random.Random(seed)  # noqa: S311  moments, not secrets
    with ExitStack() as running:
        served = [running.enter_context(WebProcess(_made(place / f"web-{n}"))) for n in range(webs)]
        rows, scripted = _script(served, images)
        led = {f"{_HOST.format(n)}:80": f"{w.address}:{w.port}" for n, w in enumerate(served)}
        config = mirrors.write_config(
            place / "config.yaml",
            {
                "network": {"connect_to": led},
                "fetch": {"concurrency": CONCURRENCY, "spool_above": 50_000},
                "retry": {"attempts": ATTEMPTS},
            },
        )
        image_list = mirrors.write_list(place / "images.csv", rows)
        trial = _Trial(place, served, image_list, config, options)
        for moment in sorted(chance.randrange(images) for _ in range(kills)):
            trial.kill_at(moment, chance.random() * _FIRST_SECOND, _drawn(target, chance), chance)
        trial.finish(len(rows))
        return Report(
            images,
            kills,
            trial.unfinished,
            trial.asked().total(),
            scripted,
            tuple(trial.breaches),
        )


def _made(directory: Path) -> Path:
    directory.mkdir()
    return directory


def _drawn(target: Target, chance: random.Random) -> Target:
    if target is not Target.ANY:
        return target
    return chance.choice([Target.GROUP, Target.PARENT, Target.WORKER])


def _script(webs: Sequence[WebProcess], images: int) -> tuple[list[Row], int]:
    """Rows, most of pictures that need no script; and how many requests the others cost more."""
    rows = []
    for n, row in enumerate(mirrors.gallery(images, size=SIZE)):
        host = _HOST.format(n % len(webs))
        rows.append(replace(row, url=row.url.replace(mirrors.HOST, host)))
    for n in range(0, images, 50):
        shown = Picture(_LARGE, f"large {n}")
        path = f"/large/{n}"
        first = status(503) if n % 100 else Answer(shown, end=Close(_LARGE // 2))
        webs[n % len(webs)].serve(path, first, Answer(shown))
        url = f"http://{_HOST.format(n % len(webs))}{path}"
        rows[n] = Row.of(rows[n].image_id, url, shown.data())
    return rows, len(range(0, images, 50))


class _Journals:
    """How many requests have arrived; what was read once is not read again."""

    def __init__(self, webs: Sequence[WebProcess]) -> None:
        self._read = dict.fromkeys((web.journal for web in webs), 0)
        self._counted = 0

    def arrived(self) -> int:
        for path, read in self._read.items():
            with path.open("rb") as journal:
                journal.seek(read)
                while news := journal.read(_LINES):
                    self._read[path] += len(news)
                    self._counted += news.count(b"\n")
        return self._counted


class _Trial:
    """One mirror, its runs, and what was found after each."""

    def __init__(
        self,
        place: Path,
        webs: Sequence[WebProcess],
        image_list: Path,
        config: Path,
        options: Sequence[str],
    ) -> None:
        self._webs = webs
        self._directory = place / "mirror"
        self._command: tuple[str | Path, ...] = (
            *("mirror", image_list, "--to", self._directory, "--config", config, "--quiet"),
            *options,
        )
        self._settled: dict[str, int] = {}
        """Requests for each settled image's path, when it was first seen to be settled."""
        self._arrived = _Journals(webs).arrived
        self.breaches: list[str] = []
        self.unfinished = 0

    def kill_at(self, moment: int, otherwise: float, target: Target, chance: random.Random) -> None:
        """Run until ``moment`` requests have arrived, or for ``otherwise`` seconds; then look."""
        late = self._arrived() >= moment
        with mirrors.start(*self._command) as process:
            deadline = time.monotonic() + (otherwise if late else PATIENCE)
            while self._goes_on(process, moment, late=late) and time.monotonic() < deadline:
                time.sleep(_POLL)
            family = below(process.pid)
            self.unfinished += process.poll() is None
            _kill(process, family, target, chance)
            process.communicate(timeout=PATIENCE)
        _wait_for(family)
        self._look(finished=False)

    def finish(self, rows: int) -> None:
        with mirrors.start(*self._command) as process:
            _, errors = process.communicate(timeout=PATIENCE)
        if process.returncode != 0:
            self.breaches.append(f"the last run ended with {process.returncode}: {errors}")
        self._look(finished=True)
        now = laws.snapshot(self._directory)
        if (now.accepted, now.duplicate, now.rejected) != (rows, 0, 0):
            self.breaches.append(f"law 1: {now.accepted} of {rows} rows accepted in the end")

    def asked(self) -> Counter[str]:
        return Counter(request.path for web in self._webs for request in web.requests())

    def _goes_on(self, process: Popen[str], moment: int, *, late: bool) -> bool:
        return process.poll() is None and (late or self._arrived() < moment)

    def _look(self, *, finished: bool) -> None:
        self.breaches += laws.breaches(self._directory, finished=finished)
        asked = self.asked()
        for path, before in self._settled.items():
            if asked[path] != before:
                self.breaches.append(f"law 5: {path} was settled, and asked for again")
        for image in laws.snapshot(self._directory).images.values():
            if image.state != "pending":
                path = image.url.partition(".test")[2]
                self._settled.setdefault(path, asked[path])


def _kill(
    process: Popen[str], family: Sequence[int], target: Target, chance: random.Random
) -> None:
    if target is Target.PARENT:
        process.kill()
        return
    if target is Target.WORKER and family:
        with suppress(ProcessLookupError):
            os.kill(chance.choice(family), signal.SIGKILL)
        time.sleep(chance.random() * _AFTERLIFE)
    with suppress(ProcessLookupError):  # it is the first of a group of its own
        os.killpg(process.pid, signal.SIGKILL)


def _wait_for(family: Sequence[int]) -> None:
    """Whoever outlived the kill ends by itself. Raises ``TimeoutError`` if not."""
    deadline = time.monotonic() + PATIENCE
    while any(runs(pid) for pid in family):
        if time.monotonic() > deadline:
            raise TimeoutError(f"of {family}, one goes on without its parent")
        time.sleep(_POLL)

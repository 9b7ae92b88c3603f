"""``kill -9`` at random moments of one mirror, resumed each time: laws 1, 2, 3 and 5.

What a moment is random in is the work done, not the time: each kill waits until the web has had a
random number of requests. Some of these are reached already when a run starts, and then the kill
falls into its first second: into opening the manifest, reading the list, or looking for files.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from subprocess import Popen
from typing import Final

from fetcher.demo.process import WebProcess
from fetcher.demo.steps import Answer, Close, Picture, status
from scripts.proofs import laws, mirrors
from scripts.proofs.mirrors import Row

PATIENCE: Final = 60.0
CONCURRENCY: Final = 16
ATTEMPTS: Final = 5
SIZE: Final = 2_000
_LARGE: Final = 300_000
_POLL: Final = 0.001
_LINES: Final = 65_536
_FIRST_SECOND: Final = 0.8


@dataclass(frozen=True, slots=True)
class Report:
    images: int
    kills: int
    requests: int
    """That arrived at the web in all runs."""
    scripted: int
    """Requests that would be there without any kill, beyond one for each image."""
    breaches: tuple[str, ...]

    @property
    def allowed(self) -> int:
        """Law 5: a kill costs at most the attempts in flight."""
        return self.images + self.scripted + self.kills * CONCURRENCY


def prove(place: Path, *, images: int, kills: int, seed: int) -> Report:
    """Mirror ``images`` into ``place``, killed ``kills`` times."""
    chance = random.Random(seed)  # noqa: S311  moments, not secrets
    with WebProcess(place) as web:
        rows, scripted = _script(web, images)
        config = mirrors.write_config(
            place / "config.yaml",
            {
                "network": {"connect_to": {"*.staticflickr.com:80": f"{web.address}:{web.port}"}},
                "fetch": {"concurrency": CONCURRENCY, "spool_above": 50_000},
                "retry": {"attempts": ATTEMPTS},
            },
        )
        trial = _Trial(place, web, mirrors.write_list(place / "images.csv", rows), config)
        for target in sorted(chance.randrange(images) for _ in range(kills)):
            trial.kill_at(target, chance.random() * _FIRST_SECOND)
        trial.finish(len(rows))
        return Report(images, kills, trial.asked().total(), scripted, tuple(trial.breaches))


def _script(web: WebProcess, images: int) -> tuple[list[Row], int]:
    """Rows, most of pictures that need no script; and how many requests the others cost more."""
    rows = mirrors.gallery(images, size=SIZE)
    for n in range(0, images, 50):
        shown = Picture(_LARGE, f"large {n}")
        path = f"/large/{n}"
        first = status(503) if n % 100 else Answer(shown, end=Close(_LARGE // 2))
        web.serve(path, first, Answer(shown))
        rows[n] = Row.of(rows[n].image_id, f"http://{mirrors.HOST}{path}", shown.data())
    return rows, len(range(0, images, 50))


class _Trial:
    """One mirror, its runs, and what was found after each."""

    def __init__(self, place: Path, web: WebProcess, image_list: Path, config: Path) -> None:
        self._web = web
        self._directory = place / "mirror"
        self._command = ("mirror", image_list, "--to", self._directory, "--config", config)
        self._settled: dict[str, int] = {}
        """Requests for each settled image's path, when it was first seen to be settled."""
        self.breaches: list[str] = []
        self._counted = self._read = 0
        """Requests so far, and the bytes of the journal that tell of them."""

    def kill_at(self, target: int, otherwise: float) -> None:
        """Run until ``target`` requests have arrived, or for ``otherwise`` seconds; then look."""
        late = self._arrived() >= target
        with mirrors.start(*self._command, "--quiet") as process:
            deadline = time.monotonic() + (otherwise if late else PATIENCE)
            while self._goes_on(process, target, late=late) and time.monotonic() < deadline:
                time.sleep(_POLL)
            process.kill()
            process.communicate()
        self._look(finished=False)

    def finish(self, rows: int) -> None:
        with mirrors.start(*self._command, "--quiet") as process:
            _, errors = process.communicate(timeout=PATIENCE)
        if process.returncode != 0:
            self.breaches.append(f"the last run ended with {process.returncode}: {errors}")
        self._look(finished=True)
        now = laws.snapshot(self._directory)
        if (now.accepted, now.duplicate, now.rejected) != (rows, 0, 0):
            self.breaches.append(f"law 1: {now.accepted} of {rows} rows accepted in the end")

    def asked(self) -> Counter[str]:
        return Counter(request.path for request in self._web.requests())

    def _goes_on(self, process: Popen[str], target: int, *, late: bool) -> bool:
        return process.poll() is None and (late or self._arrived() < target)

    def _arrived(self) -> int:
        with self._web.journal.open("rb") as journal:
            journal.seek(self._read)
            while news := journal.read(_LINES):
                self._read += len(news)
                self._counted += news.count(b"\n")
        return self._counted

    def _look(self, *, finished: bool) -> None:
        self.breaches += laws.breaches(self._directory, finished=finished)
        asked = self.asked()
        for path, before in self._settled.items():
            if asked[path] != before:
                self.breaches.append(f"law 5: {path} was settled, and asked for again")
        for image in laws.snapshot(self._directory).images.values():
            if image.state != "pending":
                path = image.url.removeprefix(f"http://{mirrors.HOST}")
                self._settled.setdefault(path, asked[path])

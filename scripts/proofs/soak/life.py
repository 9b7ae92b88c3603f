"""The life of one mirror in three parts, as the package's text has it."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from subprocess import Popen, TimeoutExpired
from typing import Final

from scripts.proofs import family, mirrors
from scripts.proofs.mischief import HOST, Planted, listed, planted
from scripts.proofs.soak.harm import Harm
from scripts.proofs.soak.judging import Judge
from scripts.proofs.soak.report import Report
from scripts.proofs.soak.sampling import EVERY, sample
from scripts.proofs.soak.settings import CONFIG, PATIENCE, RATE, SETTLING, WEBS
from scripts.proofs.soak.webs import SoakedWeb

_RESTLESS: Final = 0.2
"""Of the time."""
_LISTED_AT_FIRST: Final = 0.3
"""Of the images; the list has grown when the watched run begins."""
_LIFE: Final = (2.0, 25.0)
"""Seconds that a run lives in the restless part."""
_POLL: Final = 0.05
_STOPPED: Final = 3
"""Exit code of a run that was told to stop."""
_LOSSES: Final = 1
"""Exit code of a run to the end: some are gone, denied, mismatched and failed."""


def prove(place: Path, *, seconds: float, seed: int = 1, rate: int = RATE) -> Report:
    """Mirror into ``place`` for ``seconds`` under harm, then to the end without."""
    # Each image takes a request at least, so this list is longer than the time.
    images = list(planted(int(seconds * rate * WEBS) + 200, WEBS, seed))
    webs = [
        SoakedWeb(
            place / f"web-{n}", f"127.0.0.{n + 2}", [image for image in images if image.web == n]
        )
        for n in range(WEBS)
    ]
    with ExitStack() as running:
        for web in webs:
            running.callback(web.down)
            web.up()
        life = _Life(place, webs, images, random.Random(seed), rate)  # noqa: S311  for harm
        life.be_restless(seconds * _RESTLESS)
        life.watch(seconds * (1 - _RESTLESS))
        life.settle()
        return life.report


class _Life:
    """One mirror, and what is done to it."""

    def __init__(
        self,
        place: Path,
        webs: Sequence[SoakedWeb],
        images: list[Planted],
        chance: random.Random,
        rate: int,
    ) -> None:
        self._webs = webs
        self._images = images
        self._chance = chance
        self._rate = rate
        self._directory = place / "mirror"
        self._list = place / "images.csv"
        led = {
            f"{HOST.format(n)}:80": f"{web.process.address}:{web.process.port}"
            for n, web in enumerate(webs)
        }
        changed = {"network": {"connect_to": led}, "hosts": {"default": {"rate": rate}}}
        config = mirrors.write_config(place / "config.yaml", CONFIG, changed)
        self._command = ("mirror", self._list, "--to", self._directory, "--config", config)
        self._told = (place / "told.txt").open("a+", encoding="utf-8")
        self._paced_until = 0.0
        self.report = Report(len(images))
        self._judge = Judge(self._directory, webs, images, self.report)

    # The parts.

    def be_restless(self, seconds: float) -> None:
        self._write_list(self._images[: int(len(self._images) * _LISTED_AT_FIRST)])
        over = time.monotonic() + seconds
        while (left := over - time.monotonic()) > 0:
            with self._started() as process:
                self._until_begun(process)
                life = min(left, self._chance.uniform(*_LIFE))
                with suppress(TimeoutExpired):
                    process.wait(life)
                    self.report.breach(f"a run ended by itself with {process.returncode}")
                if self._chance.random() < 0.5:  # noqa: PLR2004  heads or tails
                    self._stop(process)
                else:
                    self._kill(process)
            self._judge.look()
            self._reopen()

    def watch(self, seconds: float) -> None:
        self._write_list(self._images)
        before = self._judge.settled
        with self._started() as process:
            self._until_begun(process)
            begun = time.monotonic()
            doing = Harm(process, self._webs, self._directory, self._chance, self.report)
            harm = doing.steps(lambda: time.monotonic() - begun, seconds)
            # However little time there is on a busy machine: some harm is done.
            while (at := time.monotonic() - begun) < seconds or not self.report.done["outages"]:
                if process.poll() is not None:
                    self.report.breach(f"the watched run ended with {process.returncode}")
                    break
                if (found := sample(process.pid, at)) is not None:
                    self.report.samples.append(found)
                next(harm)
                time.sleep(max(_POLL, min(EVERY, seconds - at)))
            harm.close()
            self._stop(process)
        self._judge.look()
        self.report.pace = (self._judge.settled - before) / (seconds / 60)

    def settle(self) -> None:
        self._paced_until = time.monotonic()
        # Twice: what was pending may have spent its attempts on the harm that was done to it.
        for _ in range(2):
            self._reopen()
            with self._started(*SETTLING) as process:
                process.wait(PATIENCE + self.report.images / 50)
        if process.returncode != _LOSSES:
            self.report.breach(f"the last run ended with {process.returncode}")
        self._judge.look(finished=True)
        _, duplicate, rejected = listed(self._images)
        rows = (len(self._images), duplicate, rejected)
        self._judge.judge(rows, rate=self._rate, paced_until=self._paced_until)
        self._told.seek(0)
        told = self._told.read()
        self.report.breaches += ["a traceback"] * told.count("Traceback")
        self._told.close()

    def _write_list(self, images: list[Planted]) -> None:
        rows, _, _ = listed(images)
        mirrors.write_list(self._list, rows)

    # Runs.

    @contextmanager
    def _started(self, *options: str) -> Iterator[Popen[str]]:
        """It is seen to its end; by force if what is done here goes wrong meanwhile."""
        self.report.done["runs"] += 1
        with mirrors.start(*self._command, *options, told=self._told) as process:
            try:
                yield process
            except BaseException:
                process.kill()
                raise

    def _until_begun(self, process: Popen[str]) -> None:
        """Until it can be told to stop; by then there is a manifest."""
        over = time.monotonic() + PATIENCE
        while process.poll() is None and not (
            family.catches(process.pid, signal.SIGTERM) and self._has_tables()
        ):
            if time.monotonic() > over:
                self.report.breach("a run did not begin")
                return
            time.sleep(_POLL)

    def _has_tables(self) -> bool:
        """Whether the manifest is more than an empty file: signals are heard before that."""
        for name, least in (("manifest.sqlite-wal", 1), ("manifest.sqlite", 4097)):
            with suppress(FileNotFoundError):
                if (self._directory / name).stat().st_size >= least:
                    return True
        return False

    def _stop(self, process: Popen[str]) -> None:
        with suppress(ProcessLookupError):
            process.terminate()
        if process.wait(PATIENCE) != _STOPPED:
            self.report.breach(f"a run that was told to stop ended with {process.returncode}")
        self.report.done["SIGTERM"] += 1

    def _kill(self, process: Popen[str]) -> None:
        members = family.below(process.pid)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(PATIENCE)
        over = time.monotonic() + PATIENCE
        while any(family.runs(pid) for pid in members) and time.monotonic() < over:
            time.sleep(_POLL)
        self.report.done["SIGKILL"] += 1

    def _reopen(self) -> None:
        """Put back what has failed."""
        with mirrors.start("retry", self._directory, "--state", "failed") as process:
            _, errors = process.communicate(timeout=PATIENCE)
        if process.returncode != 0:
            self.report.breach(f"retry ended with {process.returncode}: {errors}")
        self._judge.reopened()
        self.report.done["retry"] += 1

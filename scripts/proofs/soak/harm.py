"""Harm that is done to a run while it goes on: webs go down, workers are killed; and somebody who
looks on meanwhile.
"""

from __future__ import annotations

import json
import os
import random
import signal
from collections.abc import Callable, Generator, Sequence
from contextlib import suppress
from pathlib import Path
from subprocess import Popen
from typing import Final

from scripts.proofs import family, mirrors
from scripts.proofs.soak.report import Report
from scripts.proofs.soak.settings import PATIENCE
from scripts.proofs.soak.webs import SoakedWeb

_OUTAGE: Final = (3.0, 9.0)
"""Seconds that a web is down."""


class Harm:
    """To ``process``, which mirrors ``webs`` into ``directory``."""

    def __init__(
        self,
        process: Popen[str],
        webs: Sequence[SoakedWeb],
        directory: Path,
        chance: random.Random,
        report: Report,
    ) -> None:
        self._process = process
        self._webs = webs
        self._directory = directory
        self._chance = chance
        self._report = report

    def steps(self, clock: Callable[[], float], seconds: float) -> Generator[None, None, None]:
        """Each step may do some, and returns at once; what is down comes back when it is closed."""
        down: SoakedWeb | None = None
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
                    down.down()
                    outage = now + every * self._chance.uniform(1.0, 2.0)
                    self._report.done["outages"] += 1
                if now >= kill and self._kill_a_worker():
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

    def _kill_a_worker(self) -> bool:
        """Any but the first; whether there was one."""
        others = family.workers(self._process.pid)[1:]
        if others:
            with suppress(ProcessLookupError):
                os.kill(self._chance.choice(others), signal.SIGKILL)
            self._report.done["workers killed"] += 1
        return bool(others)

    def _ask_status(self) -> None:
        """As somebody who looks on does; law 1, while it runs."""
        with mirrors.start("status", self._directory, "--json") as process:
            said, errors = process.communicate(timeout=PATIENCE)
        if process.returncode != 0:
            self._report.breach(f"status ended with {process.returncode}: {errors}")
            return
        told = json.loads(said)
        if sum(told["states"].values()) != told["rows"]["accepted"]:
            self._report.breach(f"law 1: status says {told}")
        self._report.done["status"] += 1

"""Proof: reports and exports of long manifests take no more memory than those of short ones.

Time and peak memory are those of the command as a process of its own, interpreter included. A
manifest of 9 million rows takes nine times as long as one of a million, but for what is sorted.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from scripts.proofs import manifests

COMMANDS: Final = (
    "report -o {out}/report.html",
    "report --since 3 --as json -o {out}/since.json",
    "report --attribution {out}/credits.csv",
    "report --attribution {out}/credits.html",
    "export --as csv --state verified --to {out}/list.csv",
    "export --as tsv --state verified --to {out}/list.tsv",
    "export --as img2dataset --state verified --to {out}/list.parquet",
    "export --as md5sums --to {out}/sums",
)
SLACK: Final = 1.25
"""Caches fill, and the allocator does not give back at once."""


@dataclass(frozen=True, slots=True)
class Taken:
    command: str
    seconds: float
    peak: int
    """Bytes of memory at the highest."""
    peak_before: int
    """The same on the shorter manifest."""

    @property
    def holds(self) -> bool:
        return self.peak <= self.peak_before * SLACK


def prove(place: Path, *, images: int) -> list[Taken]:
    short, long = place / "short", place / "long"
    for folder, count in ((short, images // 10), (long, images)):
        folder.mkdir()
        manifests.make(folder / "manifest.sqlite", count, settled=0.98, again=3)
    found = []
    for command in COMMANDS:
        _, before = _run(short, place, command)
        seconds, peak = _run(long, place, command)
        name = command.partition(" -o")[0].partition(" --to")[0].replace("{out}/", "")
        found.append(Taken(name, seconds, peak, before))
    return found


def _run(directory: Path, out: Path, command: str) -> tuple[float, int]:
    """Seconds, and the peak of memory in bytes."""
    name, *options = command.format(out=out).split()
    started = time.monotonic()
    process = subprocess.Popen(  # noqa: S603  ourselves
        [sys.executable, "-m", "fetcher", name, directory, *options],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise RuntimeError(f"fetcher {command} ended with {process.returncode}")
    return time.monotonic() - started, usage.ru_maxrss * 1024

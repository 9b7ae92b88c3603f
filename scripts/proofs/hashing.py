"""How fast ``verify`` reads, against ``md5sum`` over the same files by two processes at once.

In turns, in one run, on the same machine and from the same cache: so what counts is the ratio of
each round. ``md5sum`` only hashes; ``verify`` also starts up, reads its manifest, compares, and
goes through the folders for what does not belong there. Images in shards are compared with the same
bytes as files of their own, as ``md5sum`` cannot look into shards.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import IO, Final, NamedTuple

from scripts.proofs import stored

LEAST: Final = 0.9
"""Of the throughput of ``md5sum``."""


class Spent(NamedTuple):
    """Seconds, by the clock and of processors."""

    wall: float
    cpu: float


@dataclass(frozen=True, slots=True)
class Report:
    bytes: int
    md5sum: tuple[Spent, ...]
    """By round."""
    verify: tuple[Spent, ...]

    @property
    def ratio(self) -> float:
        """Throughput of ``verify`` by that of ``md5sum``: the median of the rounds."""
        return median(a.wall / b.wall for a, b in zip(self.md5sum, self.verify, strict=True))

    @property
    def cpu_ratio(self) -> float:
        """The same by the time that processors spent, which says more on a busy machine."""
        return median(a.cpu / b.cpu for a, b in zip(self.md5sum, self.verify, strict=True))


def prove(place: Path, *, files: int, size: int, rounds: int, shards: bool = False) -> Report:
    directory, _, made = stored.build(place, files, size=size)
    names = place / "names"
    names.write_bytes(b"\0".join(str(directory / image.path).encode() for image in made))
    read = sum((directory / image.path).stat().st_size for image in made)
    if shards:
        beside = place / "beside"
        beside.mkdir()
        directory, _, _ = stored.build(beside, files, size=size, shards=True)
    md5sum, verify = [], []
    for _ in range(rounds):
        with names.open("rb") as stdin:
            # Arguments are shared out so that both processes have work to the end.
            md5sum.append(_spent(["xargs", "-0", "-P2", "-n", "100", "md5sum"], stdin=stdin))
        command = [sys.executable, "-m", "fetcher", "verify", str(directory), "--workers", "2"]
        verify.append(_spent([*command, "--quiet"]))
    return Report(read, tuple(md5sum), tuple(verify))


def _spent(command: Sequence[str], stdin: IO[bytes] | None = None) -> Spent:
    begun, before = time.monotonic(), os.times()
    subprocess.run(  # noqa: S603  the two programs that are compared
        command,
        stdin=stdin,
        stdout=subprocess.DEVNULL,
        check=True,
    )
    now = os.times()
    cpu = now.children_user + now.children_system - before.children_user - before.children_system
    return Spent(time.monotonic() - begun, cpu)

"""A run that is watched while it lasts, and told to stop: what it says, when, and what it holds."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import IO, Final, NamedTuple

from scripts.benchmarks.held import MemoryWatch
from scripts.benchmarks.measure import Failure, Surroundings, Usage
from scripts.proofs import family

_POLL: Final = 0.01
_STOPPED: Final = 3
"""Exit code of a run that was told to stop."""


class Line(NamedTuple):
    at: float
    """On the monotonic clock."""
    text: str


@dataclass(frozen=True, slots=True)
class Observed:
    began: float
    """On the monotonic clock."""
    usage: Usage
    lines: tuple[Line, ...]
    """What it wrote to its standard error."""

    def since(self, moment: float | None) -> float | None:
        """Seconds from its start to ``moment``."""
        return None if moment is None else moment - self.began

    def said(self, text: str) -> float | None:
        """Seconds from its start to the first line that has ``text`` in it."""
        return self.since(next((line.at for line in self.lines if text in line.text), None))


def watch(
    command: Sequence[str],
    cwd: Path,
    surroundings: Surroundings,
    enough: Callable[[Sequence[Line]], bool],
    *,
    memory: bool = False,
) -> Observed | Failure:
    """Run ``command`` until ``enough`` is true of what it has said, then tell it to stop.

    It may also come to its end by itself. Without ``memory`` the peak is 0.
    """
    began = time.monotonic()
    process = subprocess.Popen(  # noqa: S603  our own command line
        command,
        cwd=cwd,
        env=surroundings.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        process_group=0,
    )
    lines: list[Line] = []
    assert process.stderr is not None  # noqa: S101  a pipe, as asked for
    reader = Thread(target=_read, args=(process.stderr, lines), name="lines", daemon=True)
    reader.start()
    watched = MemoryWatch(lambda: (process.pid, *family.below(process.pid)))
    try:
        with watched if memory else nullcontext():
            ended = _until(process, lambda: enough(lines), began + surroundings.limit)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        reader.join()
        process.stderr.close()
    if ended is None:
        return Failure(f"not done within {surroundings.limit:g} s\n{_tail(lines)}")
    if process.returncode not in (0, _STOPPED):
        return Failure(f"exit code {process.returncode}\n{_tail(lines)}")
    wall = time.monotonic() - began
    return Observed(began, Usage(wall, ended, watched.peak), tuple(lines))


def _until(
    process: subprocess.Popen[str], enough: Callable[[], bool], deadline: float
) -> float | None:
    """Wait for its end, which is asked for at the right time; its CPU seconds, if it came."""
    asked = False
    while time.monotonic() < deadline:
        pid, status, usage = os.wait4(process.pid, os.WNOHANG)
        if pid:
            process.returncode = os.waitstatus_to_exitcode(status)
            return usage.ru_utime + usage.ru_stime
        if not asked and enough():
            asked = True
            with suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGTERM)
        time.sleep(_POLL)
    return None


def _read(stream: IO[str], lines: list[Line]) -> None:
    for line in stream:
        lines.append(Line(time.monotonic(), line.rstrip("\n")))  # noqa: PERF401  each at its time


def _tail(lines: Sequence[Line]) -> str:
    return "\n".join(line.text for line in lines[-8:])

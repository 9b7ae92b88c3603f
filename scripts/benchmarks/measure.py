"""One command, measured: wall time and CPU, or peak memory, within a time limit.

Nothing that it starts outlives the call: the command has a process group of its own, and that is
killed at the end, however the end came about.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from scripts.benchmarks.held import MemoryWatch
from scripts.proofs import family

_LAUNCHER: Final = Path(__file__).with_name("launcher.py")
_LOG_TAIL: Final = 8  # lines


@dataclass(frozen=True, slots=True)
class Usage:
    """What a command cost."""

    wall: float
    """Seconds, from its start to its end."""
    cpu: float
    """Seconds in user and system mode, with its descendants."""
    peak: int = 0
    """Bytes that all of its processes held at once, at most; 0 if nobody looked."""
    manifest: float | None = None
    """Of ``cpu``, what the manifest's thread took, if the command says so (``timed``)."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A command that did not do what it was to do, and why."""

    reason: str


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What every command runs in."""

    environment: Mapping[str, str]
    log: Path
    """What the command prints; overwritten by the next."""
    limit: float
    """Seconds after which it is killed."""


def environment(home: Path) -> dict[str, str]:
    """For the commands: the user's PATH, but neither proxies nor configuration files of theirs."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "LC_ALL") if name in os.environ}
    # albumentations, a part of img2dataset, would ask the Internet for a newer version.
    return {**kept, "HOME": str(home), "TMPDIR": str(home), "NO_ALBUMENTATIONS_UPDATE": "1"}


def measure(
    command: Sequence[str], cwd: Path, surroundings: Surroundings, *, memory: bool = False
) -> Usage | Failure:
    """With ``memory``, time and CPU are those of a run that was disturbed."""
    with surroundings.log.open("wb") as log:
        process = subprocess.Popen(  # noqa: S603  our own command line
            [sys.executable, "-I", "-S", _LAUNCHER, *command],
            cwd=cwd,
            env=surroundings.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            start_new_session=True,
        )
        watch = MemoryWatch(lambda: family.below(process.pid))
        try:
            with watch if memory else nullcontext():
                answer, _ = process.communicate(timeout=surroundings.limit)
        except subprocess.TimeoutExpired:
            return Failure(f"not done within {surroundings.limit:g} s")
        finally:
            _end(process)
    if process.returncode != 0:
        return Failure(f"did not start\n{_tail(surroundings.log)}")
    code, wall, cpu = answer.split()
    if code != "0":
        return Failure(f"exit code {code}\n{_tail(surroundings.log)}")
    return Usage(float(wall), float(cpu), watch.peak)


def _end(process: subprocess.Popen[str]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    if process.stdout is not None:
        process.stdout.close()


def _tail(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").strip().splitlines()[-_LOG_TAIL:])

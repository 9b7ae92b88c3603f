"""Fuzzing one target for a while: guided by coverage where atheris is installed, else by chance.

A finding ends it: it is minimised, and kept. There is one process at a time, and no input is tried
for ever: a guided one has seconds, one by chance is as short as its target says.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import Final

from scripts.fuzzing import corpus, mutation
from scripts.fuzzing.laws import Target
from scripts.fuzzing.registry import TARGETS
from scripts.fuzzing.shrinking import failure, shrink

_EXECUTED: Final = re.compile(r"stat::number_of_executed_units:\s*(\d+)")
_FOUND: Final = ("crash-*", "timeout-*", "oom-*")
_LOOK_AT_THE_CLOCK: Final = 64
"""Inputs by chance between two looks."""


@dataclass(frozen=True, slots=True)
class Report:
    target: str
    inputs: int
    seconds: float
    found: Path | None
    """The minimised input, if one breaks the law."""
    broke: str = ""

    @property
    def holds(self) -> bool:
        return self.found is None


def is_guided() -> bool:
    return find_spec("atheris") is not None


def fuzz(target: Target, *, seconds: float, seed: int = 1, keep_in: Path = corpus.PLACE) -> Report:
    """Try ``target`` for ``seconds``; a finding goes to ``keep_in``."""
    started = time.monotonic()
    tried, data = _guided(target, seconds) if is_guided() else _by_chance(target, seconds, seed)
    spent = time.monotonic() - started
    if data is None:
        return Report(target.name, tried, spent, None)
    data = shrink(target.run, data)
    broke = failure(target.run, data) or "too slow, or too large"
    return Report(target.name, tried, spent, corpus.keep(target.name, data, keep_in), broke)


def try_some(target: Target, *, count: int, seed: int) -> bytes | None:
    """The first of ``count`` inputs by chance that breaks the law, if any does."""
    inputs = islice(mutation.inputs(target, seed=seed), count)
    return next((data for data in inputs if failure(target.run, data) is not None), None)


def named(names: Sequence[str]) -> list[Target]:
    """The targets of these names; all, if one of them is ``all``. Raises ``KeyError``."""
    return list(TARGETS.values()) if "all" in names else [TARGETS[name] for name in names]


def _by_chance(target: Target, seconds: float, seed: int) -> tuple[int, bytes | None]:
    inputs = mutation.inputs(target, seed=seed)
    until = time.monotonic() + seconds
    tried = 0
    while time.monotonic() < until:
        for data in islice(inputs, _LOOK_AT_THE_CLOCK):
            tried += 1
            if failure(target.run, data) is not None:
                return tried, data
    return tried, None


def _guided(target: Target, seconds: float) -> tuple[int, bytes | None]:
    with tempfile.TemporaryDirectory(prefix="fetcher-fuzz-") as place:
        known = Path(place, "corpus")
        known.mkdir()
        for n, data in enumerate((*target.seeds, *corpus.kept(target.name).values())):
            (known / f"seed-{n:03}").write_bytes(data)
        command = (sys.executable, "-P", "-m", "scripts.fuzzing.guided", target.name, place)
        done = subprocess.run(  # noqa: S603  ourselves
            (*command, str(max(1, round(seconds)))), capture_output=True, check=False
        )
        said = done.stderr.decode(errors="replace")
        found = next((path for kind in _FOUND for path in Path(place).glob(kind)), None)
        if found is not None:
            return _executed(said), found.read_bytes()
        if done.returncode != 0:
            raise RuntimeError(f"the fuzzer ended with {done.returncode}: {said[-2_000:]}")
        return _executed(said), None


def _executed(said: str) -> int:
    match = _EXECUTED.search(said)
    return int(match[1]) if match else 0

"""What the soak calls flat, and a soak of some seconds."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.proofs import family, mischief, soak
from scripts.proofs.family import Held
from scripts.proofs.soak import Report, flatness
from scripts.proofs.soak.sampling import Sample

MINUTES = 20
MIB = 2**20
PACE = 2_000.0
ALL = flatness.OPEN_IMAGES / PACE
"""Minutes that all of Open Images would take."""


def report(
    memory_a_minute: float = 0, descriptors_a_minute: float = 0, *, peaks: int = 0
) -> Report:
    """Of a run that grew by as much, with noise, after a warm-up that says nothing."""
    chance = random.Random(1)
    samples = []
    for n in range(MINUTES * 6):
        at = n / 6
        warm = 30 * MIB if at > MINUTES / 4 else int(at * 6 * MIB)
        peak = chance.choice([0, 0, 0, peaks]) + chance.randrange(200_000)
        memory = int(warm + memory_a_minute * at + peak)
        descriptors = int(30 + descriptors_a_minute * at) + chance.randrange(3)
        # What it has in common with others is another matter.
        held = Held(chance.randrange(99 * MIB), chance.randrange(99 * MIB), memory, descriptors)
        still = Held(20 * MIB, 25 * MIB, 15 * MIB, 20)
        samples.append(Sample(at * 60, held, still, ()))
    return Report(1, samples=samples, pace=PACE)


@pytest.mark.parametrize(
    ("found", "flat"),
    [
        (report(), True),
        (report(peaks=20 * MIB), True),
        (report(-500_000, -1), True),
        (report(0.8 * flatness.MEMORY / ALL), True),
        (report(1.2 * flatness.MEMORY / ALL), False),
        (report(descriptors_a_minute=2 * flatness.DESCRIPTORS / ALL), False),
        (Report(1), False),
    ],
    ids=[
        *("noise", "peaks", "shrinking", "what is allowed", "a leak", "a leak of descriptors"),
        "nothing known",
    ],
)
def test_flat(found: Report, flat: bool) -> None:  # noqa: FBT001  a case
    assert found.flat is flat


def test_a_slope_is_of_the_most_of_the_points() -> None:
    line = [(float(x), 3.0 * x) for x in range(20)]
    assert flatness.slope(line) == pytest.approx(3)
    line[4] = (4.0, 1e9)
    assert flatness.slope(line) == pytest.approx(3)


def test_the_samples_are_a_table() -> None:
    head, *lines = soak.csv(report().samples)
    assert len(lines) == MINUTES * 6
    assert {line.count(",") for line in lines} == {head.count(",")}


def test_what_is_told_has_what_is_judged() -> None:
    told = "\n".join(soak.lines(report(flatness.MEMORY / ALL)))
    assert "the process that decides: " in told
    assert (
        "a worker: 15.0 MiB of its own after 5 minutes, 15.0 MiB in the end (with its share of the "
        "common 20.0 MiB and 20.0 MiB), +0.0 KiB a minute: 0.0 MiB over all of Open Images; "
        "20 descriptors at first, 20 in the end"
    ) in told


def test_what_a_process_holds_is_seen() -> None:
    program = (
        "import signal, sys; f = open(sys.executable, 'rb'); "
        "signal.signal(signal.SIGTERM, signal.default_int_handler); "
        "print(flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(  # noqa: S603  this interpreter
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdout.readline()
        assert process.pid in family.children(os.getpid())
        held = family.held(process.pid)
        assert held is not None
        assert 0 < held.memory <= held.resident
        assert 0 < held.own <= held.resident
        assert held.descriptors == 4
        assert family.runs(process.pid)
        assert family.catches(process.pid, signal.SIGTERM)
        assert not family.catches(process.pid, signal.SIGHUP)
        process.stdin.close()
        process.wait()
        assert not family.runs(process.pid)
        assert family.held(process.pid) is None
        assert not family.catches(process.pid, signal.SIGTERM)


def test_the_mixture_has_every_kind_and_every_end() -> None:
    images = list(mischief.planted(20_000, 4, 1))
    assert {image.kind for image in images} == {*mischief.KINDS, mischief.HONEST}
    assert len({image.row.image_id for image in images}) == len(images)
    assert {image.kind.state for image in images} == {
        *("verified", "unverified", "mismatched", "gone", "denied", "failed", "invalid")
    }
    rows, duplicate, rejected = mischief.listed(images)
    assert len(rows) == len(images) + duplicate + rejected


def test_some_seconds(tmp_path: Path) -> None:
    """Too short to tell whether anything grows; all else is as in a longer one."""
    found = soak.prove(tmp_path, seconds=4, rate=15)
    assert found.breaches == []
    assert found.states.total() == found.images
    assert min(found.done[what] for what in ("runs", "SIGTERM", "retry", "outages")) > 0

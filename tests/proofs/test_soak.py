"""What the soak calls flat, and a soak of some seconds."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.proofs import family, mischief, soak
from scripts.proofs.family import Held
from scripts.proofs.soak import Report, Sample

MINUTES = 20
MIB = 2**20


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
        held = Held(memory, memory, int(30 + descriptors_a_minute * at) + chance.randrange(3))
        still = Held(20 * MIB, 25 * MIB, 20)
        samples.append(Sample(at * 60, held, still, ()))
    return Report(1, samples=samples)


@pytest.mark.parametrize(
    ("found", "flat"),
    [
        (report(), True),
        (report(peaks=20 * MIB), True),
        (report(-500_000, -1), True),
        (report(2 * soak.MEMORY_SLOPE), False),
        (report(descriptors_a_minute=2 * soak.DESCRIPTOR_SLOPE), False),
        (Report(1), False),
    ],
    ids=["noise", "peaks", "shrinking", "a leak", "a leak of descriptors", "nothing known"],
)
def test_flat(found: Report, flat: bool) -> None:  # noqa: FBT001  a case
    assert found.flat is flat


def test_a_slope_is_of_the_most_of_the_points() -> None:
    line = [(float(x), 3.0 * x) for x in range(20)]
    assert soak.slope(line) == pytest.approx(3)
    line[4] = (4.0, 1e9)
    assert soak.slope(line) == pytest.approx(3)


def test_the_samples_are_a_table() -> None:
    head, *lines = soak.csv(report())
    assert len(lines) == MINUTES * 6
    assert {line.count(",") for line in lines} == {head.count(",")}


def test_what_a_process_holds_is_seen() -> None:
    program = "import sys; f = open(sys.executable, 'rb'); print(flush=True); sys.stdin.read()"
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
        assert held.descriptors == 4
        assert family.runs(process.pid)
        process.stdin.close()
        process.wait()
        assert not family.runs(process.pid)
        assert family.held(process.pid) is None


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

"""Write, sync, rename, sync of the directory, row: that order, from a trace of system calls.

What is judged, and against which disk, is in ``scripts.proofs.powercut``.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from fetcher.demo.steps import Answer, Close, Picture
from fetcher.store.system import file_system_type
from scripts.proofs import mirrors, powercut, trace
from scripts.proofs.mirrors import HOST, Row
from tests.e2e.conftest import Bench, finish
from tests.e2e.littleweb import PATIENCE

WHY_NOT: Final = trace.why_not()
TMPFS: Final = 0x01021994
PLAIN: Final = 24
LARGE: Final = 200_000

pytestmark = pytest.mark.skipif(WHY_NOT is not None, reason=f"no trace: {WHY_NOT}")


@pytest.fixture
def listed(bench: Bench) -> Path:
    """Images in memory, spooled ones, and one whose rest comes with a second answer."""
    descriptor = os.open(bench.place, os.O_RDONLY)
    try:
        if file_system_type(descriptor) == TMPFS:
            pytest.skip("the tests' directory is in memory (tmpfs): nothing reaches a disk")
    finally:
        os.close(descriptor)
    rows = mirrors.gallery(PLAIN)
    for name in ("large", "cut"):
        shown = Picture(LARGE, name)
        bench.web.serve(f"/{name}", Answer(shown))
        rows.insert(10, Row.of(name, f"http://{HOST}/{name}", shown.data()))
    cut = Picture(LARGE, "cut")
    bench.web.serve("/cut", Answer(cut, end=Close(LARGE // 2)), Answer(cut))
    bench.web.serve("/other", Answer(Picture(700, "other")))
    rows.append(Row.of("other", f"http://{HOST}/other", Picture(700, "listed").data()))
    return bench.rows(rows)


def config(bench: Bench, durability: str) -> Path:
    fetch = {"concurrency": 16, "spool_above": 50_000}
    return bench.config({"store": {"durability": durability}, "fetch": fetch})


def traced(bench: Bench, listed: Path, durability: str) -> powercut.Report:
    """Mirror to the end; what the trace of it tells."""
    before = powercut.standing(bench.directory) if bench.directory.exists() else None
    output = bench.place / "trace"
    arguments = map(str, bench.command(listed, config=config(bench, durability)))
    done = subprocess.run(  # noqa: S603  ourselves
        [*trace.command(output), sys.executable, "-m", "fetcher", *arguments],
        check=False,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert done.returncode == 1, done
    with output.open() as lines:
        report = powercut.judge(trace.read(lines), bench.directory, before)
    # What was played back is what happened: nothing wrote to DIR that the trace does not have.
    files = {name: data for name, data in powercut.standing(bench.directory).items() if data}
    assert report.files == files
    assert report.images == PLAIN + 3
    assert report.moments > PLAIN
    return report


@pytest.mark.parametrize("durability", ["batch", "file"])
def test_no_power_cut_leaves_a_row_without_its_file(
    durability: str, bench: Bench, listed: Path
) -> None:
    assert traced(bench, listed, durability).breaches == ()


@pytest.mark.parametrize("point", ["renamed", "landed"])
def test_what_a_killed_run_left_is_made_durable_before_its_row(
    point: str, bench: Bench, listed: Path
) -> None:
    """With ``none``, nothing that the first run stored was ever synced."""
    first = bench.command(listed, config=config(bench, "none"))
    assert finish(mirrors.start(*first, kill_at=point)).code == -signal.SIGKILL
    assert traced(bench, listed, "file").breaches == ()


def test_without_syncs_it_would_be_seen(bench: Bench, listed: Path) -> None:
    """That the judge can say no to a real trace: ``none`` promises nothing for a power cut."""
    found = traced(bench, listed, "none").breaches
    assert sum(breach.startswith("law 2") for breach in found) >= PLAIN
    assert sum(breach.startswith("law 3") for breach in found) >= PLAIN

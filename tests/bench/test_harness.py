"""The benchmark's harness, on a corpus so small that its numbers mean nothing: none is asserted."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from scripts.benchmarks import tools
from scripts.benchmarks.contenders import ALL, FETCHER

pytestmark = pytest.mark.skipif(
    tools.NGINX.find(os.environ) is None, reason="nginx, which serves the images, is not here"
)

COMMAND = (sys.executable, "-P", "-m", "scripts.benchmarks")
LIMIT = 120
SLOW = {tools.IMG2DATASET.name}  # imports for five seconds
QUICK = [one for one in ALL if one.tool.name not in SLOW and one.tool.find(os.environ)]


@pytest.fixture
def work(tmp_path: Path) -> Iterator[Path]:
    """In memory where that can be, as flushing a disk may take its time."""
    memory = Path("/dev/shm")  # noqa: S108  a directory of random name is made inside
    if not memory.is_dir() or shutil.disk_usage(memory).free < 3 * 1024**3:
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir=memory) as directory:
        yield Path(directory)


def bench(work: Path, *arguments: str) -> tuple[int, dict[str, Any]]:
    report = work.parent / f"{work.name}.json"
    command = (*COMMAND, *arguments, "--work", str(work), "--json", str(report))
    try:
        run = subprocess.run(  # noqa: S603  our own command line
            command, timeout=LIMIT, check=False, capture_output=True, text=True
        )
        assert report.stat().st_size, run.stderr
        return run.returncode, json.loads(report.read_text())
    finally:
        report.unlink(missing_ok=True)


def test_everybody_delivers_everything_in_every_round(work: Path) -> None:
    only = [argument for one in QUICK for argument in ("--only", one.name)]
    code, report = bench(work, "--corpus", "12x3000", "--rounds", "2", "--warm-up", "0", *only)
    (result,) = report["speed"]
    assert {one["name"]: one["failure"] for one in result["standings"]} == {
        one.name: None for one in QUICK
    }
    assert all(len(one[what]) == 2 for one in result["standings"] for what in ("wall", "cpu"))
    assert result["standings"][0]["ratio"] == {"median": 1, "min": 1, "max": 1}
    assert (code, result["images"], result["bytes"]) == (0, 12, 36_000)
    assert list(work.iterdir()) == []


def test_memory_compares_a_short_list_with_a_long_one(work: Path) -> None:
    code, report = bench(work, "memory", "--rows", "5", "10", "--rounds", "1")
    (result,) = report["memory"]
    assert [(one["name"], one["failure"]) for one in result["standings"]] == [
        ("5 rows", None),
        ("10 rows", None),
    ]
    assert all(one["peak"][0] > 0 for one in result["standings"])
    assert (code, result["rows"]) == (0, [5, 10])


def test_who_fails_is_out_and_the_exit_code_says_so(work: Path) -> None:
    code, report = bench(
        work,
        *("--corpus", "3x3000", "--rounds", "2", "--only", FETCHER.name, "--set", "no.such.key=1"),
    )
    (standing,) = report["speed"][0]["standings"]
    assert code == 1
    assert "no.such" in standing["failure"]
    assert standing["wall"] == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_leaves_nothing_behind(work: Path, number: signal.Signals) -> None:
    command = (*COMMAND, "--corpus", "3x3000", "--rounds", "100000", "--work", str(work))
    with subprocess.Popen(  # noqa: S603  our own command line
        (*command, "--only", "obvious aiohttp"),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        try:
            for line in process.stderr:
                if line.startswith("round 1 of 100000: obvious aiohttp"):
                    break
            (pid_file,) = work.glob("*/nginx/nginx.pid")
            nginx = pid_file.read_text().strip()
            process.send_signal(number)
            process.stderr.read()
            assert process.wait(LIMIT) == 130
        finally:
            process.kill()
    assert not Path("/proc", nginx).exists()
    assert list(work.iterdir()) == []

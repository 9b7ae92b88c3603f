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
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from scripts.benchmarks import tools
from scripts.benchmarks.contenders import ALL, FETCHER, Contender

pytestmark = pytest.mark.skipif(
    tools.NGINX.find(os.environ) is None, reason="nginx, which serves the images, is not here"
)

COMMAND = (sys.executable, "-P", "-m", "scripts.benchmarks")
LIMIT = 120
SLOW = {tools.IMG2DATASET.name}  # imports for five seconds
QUICK = [one for one in ALL if one.tool.name not in SLOW and one.tool.find(os.environ)]


@contextmanager
def memory_or(place: Path) -> Iterator[Path]:
    """In memory where that can be, as flushing a disk may take its time."""
    memory = Path("/dev/shm")  # noqa: S108  a directory of random name is made inside
    if not memory.is_dir() or shutil.disk_usage(memory).free < 3 * 1024**3:
        yield place
        return
    with tempfile.TemporaryDirectory(dir=memory) as directory:
        yield Path(directory)


@pytest.fixture
def work(tmp_path: Path) -> Iterator[Path]:
    with memory_or(tmp_path) as place:
        yield place


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


@pytest.fixture(scope="module")
def everybody(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The report of one small race of all that are here."""
    only = [argument for one in QUICK for argument in ("--only", one.name)]
    with memory_or(tmp_path_factory.mktemp("work")) as work:
        code, report = bench(work, "--corpus", "12x3000", "--rounds", "1", *only)
        assert list(work.iterdir()) == []
    (result,) = report["speed"]
    assert (code, result["images"], result["bytes"]) == (0, 12, 36_000), result
    return dict(result)


@pytest.mark.parametrize("contender", ALL, ids=lambda one: one.name)
def test_each_contender_delivers_everything(
    everybody: dict[str, Any], contender: Contender
) -> None:
    if contender.tool.name in SLOW:
        pytest.skip(f"{contender.name} takes longer than a test may")
    if contender.tool.find(os.environ) is None:
        pytest.skip(f"{contender.tool.name} is not here")
    (standing,) = (one for one in everybody["standings"] if one["name"] == contender.name)
    assert standing["failure"] is None
    assert [len(standing[what]) for what in ("wall", "cpu", "peak")] == [1, 1, 1]
    assert standing["ratio"]["median"] > 0


def test_fetcher_is_compared_with_itself_the_floor_and_its_manifest(
    everybody: dict[str, Any],
) -> None:
    assert everybody["standings"][0]["ratio"] == {"median": 1, "min": 1, "max": 1}
    assert everybody["cpu_against_floor"]["median"] > 0
    assert 0 < everybody["manifest_share_of_cpu"]["median"] < 1


def test_an_import_is_measured_from_a_fresh_start_and_resumed(work: Path, tmp_path: Path) -> None:
    code, report = bench(work, "import", "--rows", "300", "--in", str(tmp_path))
    (result,) = report["import"]
    standings = {one["name"]: one["failure"] for one in result["standings"]}
    sqlite = tools.SQLITE3.find(os.environ)
    others = ["sqlite3 .import", "sqlite3 .import, and a unique index"] if sqlite else []
    assert standings == dict.fromkeys(["fetcher", *others])
    assert (code, result["failure"], result["rows"]) == (0, None, 300)
    assert [len(result["first_request"][how]) for how in ("fresh", "resumed")] == [1, 1]
    assert min(result["manifest"].values()) > result["kept_bytes"] > 0.9 * result["list_bytes"]
    assert list(work.iterdir()) == []


def test_memory_is_that_of_a_short_list_and_a_long_one(work: Path, tmp_path: Path) -> None:
    options = (
        "--rows",
        "1000",
        "--in",
        str(tmp_path),
        "--in-flight",
        "3",
        "--pace",
        "0.1",
        "--spread",
        "0",
    )
    code, report = bench(work, "memory", *options)
    (result,) = report["memory"]
    for which, rows in (("short", 10), ("long", 1_000)):
        assert result[which]["rows"] == rows
        assert result[which]["in_flight"] == 3
        assert result[which]["verified"] > 0
        assert result[which]["peak"] > 2**20
    assert (code, result["ratio"] > 0) == (0, True)


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


def test_many_hosts_that_take_their_time_are_asked_all_at_once(work: Path) -> None:
    code, report = bench(
        work,
        *("hosts", "--hosts", "40", "--latency", "0.3", "--corpus", "120x300"),
        *("--rounds", "1", "--warm-up", "0"),
    )
    (result,) = report["hosts"]
    standings = {one["name"]: one for one in result["standings"]}
    assert {name: one["failure"] for name, one in standings.items()} == {
        "fetcher": None,
        "floor: received": None,
    }
    assert all(0 < one["overall_share"]["median"] < 1 for one in standings.values())
    assert all(0 < one["most_in_flight"] <= 40 for one in standings.values())
    assert (code, result["images"]) == (0, 120)
    assert result["limit"] == pytest.approx(40 / 0.3)

"""Faults of our own side: they cost no attempt, settle nothing, and the same command goes on."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from fetcher.demo.steps import Answer, Picture
from scripts.proofs import laws, mirrors
from scripts.proofs.mirrors import Row
from tests.e2e.conftest import Bench, finish
from tests.e2e.test_stopping import read_until

LARGE: Final = Picture(3_000_000, "large")


def limited(limit: str, *arguments: str | Path) -> subprocess.Popen[str]:
    """``fetcher`` under a limit of the shell's."""
    command = [sys.executable, "-m", "fetcher", *map(str, arguments)]
    shell = ["sh", "-c", f'ulimit {limit}; exec "$@"', "sh"]
    return subprocess.Popen(  # noqa: S603  ourselves
        [*shell, *command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


@pytest.mark.parametrize("spool_above", ["10MiB", "100kB"], ids=["in memory", "spooled"])
def test_a_disk_that_takes_no_more(spool_above: str, bench: Bench) -> None:
    """Files may not grow beyond some size: as with a full disk, a write ends with an error."""
    bench.web.serve("/large", Answer(LARGE))
    rows = mirrors.gallery(20)
    large = Row.of("large", f"http://{mirrors.HOST}/large", LARGE.data())
    listed = bench.rows([*rows[:10], large, *rows[10:]])
    config = bench.config({"fetch": {"spool_above": spool_above, "concurrency": 4}})
    done = finish(limited("-f 2048", *bench.command(listed, config=config)))
    assert done.code == 4, done
    assert "disk-error" in done.err
    assert "run the same command again" in done.err
    assert laws.breaches(bench.directory, finished=True) == []
    image = bench.images()["large"]
    assert (image.state, image.code, image.attempts) == ("pending", None, 0)
    before = laws.snapshot(bench.directory).settled
    assert bench.mirror(listed, config=config).code == 0
    for row in rows:
        if row.image_id in before:
            assert bench.web.count(row.url.removeprefix(f"http://{mirrors.HOST}")) == 1


def test_no_route_pauses_the_run(bench: Bench) -> None:
    """A broadcast address is one that the kernel itself has no route to: nothing is sent."""
    listed = bench.rows([Row.of("a", "http://a.test/pic/a/600.jpg", Picture(600, "a").data())])
    nowhere = bench.config({"network": {"connect_to": {"a.test:80": "255.255.255.255:9"}}})
    process = bench.start(listed, config=nowhere)
    read_until(process, "paused for 1s: no-route")
    read_until(process, "paused for 2s: no-route")
    process.send_signal(signal.SIGTERM)
    assert finish(process).code == 3
    (image,) = bench.images().values()
    assert (image.state, image.code, image.attempts) == ("pending", None, 0)
    assert bench.mirror(listed).code == 0


def test_too_few_open_files_are_told_at_once(bench: Bench) -> None:
    command = bench.command(bench.rows(mirrors.gallery(1)))
    done = finish(limited("-n 150", *command, "--set", "fetch.concurrency=64"))
    assert done.code == 2
    assert "fetch.concurrency 64 takes 192 open files; this process may have 150." in done.err
    assert not bench.directory.exists()
    assert finish(limited("-n 150", *command, "--set", "fetch.concurrency=40")).code == 0

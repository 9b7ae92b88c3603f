"""Standard output that takes nothing, that nobody reads, or that is not there."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Final

import pytest

from scripts.proofs import laws, mirrors
from tests.e2e.conftest import Bench, fetcher

COMMANDS: Final = (
    "status DIR",
    "status DIR --json",
    "verify DIR",
    "report DIR -o -",
    "report DIR --as csv",
    "export DIR --as csv --state verified",
    "config show",
    "plan LIST --to DIR",
    "mirror LIST --to DIR --config CONFIG --set fetch.processes=1",
    "mirror LIST --to DIR --config CONFIG --set fetch.processes=2 --json",
    "audit LIST --to DIR --config CONFIG",
)


def run(words: list[str], redirection: str, *, keep: int = 2) -> tuple[int, str]:
    """The exit code of a command whose streams the shell redirects, and what it says besides."""
    shell = ["bash", "-c", f'exec "$@" {redirection}', "bash"]
    done = subprocess.run(  # noqa: S603  ourselves
        [*shell, sys.executable, "-m", "fetcher", *words],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        pass_fds=(keep,),
    )
    return done.returncode, done.stdout + done.stderr


@pytest.fixture
def mirrored(bench: Bench) -> Bench:
    assert bench.mirror(bench.rows(mirrors.gallery(8))).code == 0
    return bench


def words(bench: Bench, command: str) -> list[str]:
    names = {
        "DIR": str(bench.directory),
        "LIST": str(bench.place / "images.csv"),
        "CONFIG": str(bench.config()),
    }
    return [names.get(word, word) for word in command.split()]


@pytest.mark.parametrize("command", COMMANDS)
def test_a_result_on_a_full_disk(command: str, mirrored: Bench) -> None:
    code, said = run(words(mirrored, command), ">/dev/full")
    assert code == 4
    assert "The result cannot be written: No space left on device." in said
    assert "Traceback" not in said
    assert laws.breaches(mirrored.directory, finished=True) == []


@pytest.mark.parametrize("command", COMMANDS)
def test_a_result_that_nobody_reads(command: str, mirrored: Bench) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        code, said = run(words(mirrored, command), f">&{writing}", keep=writing)
    finally:
        os.close(writing)
    assert code == 3
    assert "Traceback" not in said
    assert "Broken" not in said


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
@pytest.mark.parametrize("command", COMMANDS)
def test_streams_that_are_closed(command: str, closed: str, mirrored: Bench) -> None:
    """Nothing else of ours may get their numbers, and be written to in their place."""
    code, said = run(words(mirrored, command), closed)
    assert code == 0
    assert "Traceback" not in said
    assert "Assertion" not in said


@pytest.mark.parametrize("processes", [1, 2])
def test_a_mirror_without_streams(processes: int, bench: Bench) -> None:
    listed = bench.rows(mirrors.gallery(40))
    config = bench.config({"fetch": {"processes": processes}})
    command = list(map(str, bench.command(listed, config=config)))
    assert run(command, "<&- >&- 2>&-") == (0, "")
    assert laws.breaches(bench.directory, finished=True) == []
    assert fetcher("verify", bench.directory).code == 0

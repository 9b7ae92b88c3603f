"""Two runs that want one DIR, and a manifest or a DIR that is taken away under a run.

Images behind a gate hold a run where it is until the test lets it go on.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest

from fetcher.demo.steps import Answer, Picture
from scripts.proofs import laws, mirrors
from scripts.proofs.mirrors import Row
from tests.e2e.conftest import Bench, fetcher, finish

FREE: Final = 20
HELD: Final = 5
LINES: Final = mirrors.gallery(FREE)
SHORT: Final = ("--max-runtime", "2s", "--set", "run.drain=0")
"""For a run that must not begin: it would wait for what is behind the gate."""


@pytest.fixture
def listed(bench: Bench) -> Path:
    """A list of images that are there at once, and then of some behind a gate."""
    held = []
    for n in range(HELD):
        shown = Picture(600, f"held {n}")
        bench.web.serve(f"/held/{n}", Answer(shown, gate="held"))
        held.append(Row.of(f"held-{n}", f"http://{mirrors.HOST}/held/{n}", shown.data()))
    return bench.rows([*LINES, *held])


@pytest.fixture
def running(bench: Bench, listed: Path) -> Iterator[subprocess.Popen[str]]:
    """A mirror that has all of the gated images in flight, and nothing else to do."""
    process = bench.start(listed, config=bench.config({"fetch": {"concurrency": HELD}}))
    bench.web.arrived(FREE + HELD)
    yield process
    bench.web.open("held")
    finish(process)


def test_another_manifest_is_no_way_into_a_dir_that_is_in_use(
    bench: Bench, listed: Path, running: subprocess.Popen[str]
) -> None:
    elsewhere = bench.place / "elsewhere.sqlite"
    done = fetcher(*bench.command(listed), *SHORT, "--manifest", elsewhere)
    assert done.code == 2
    assert f"Process {running.pid}" in done.err
    assert f"works in {bench.directory}" in done.err
    assert not elsewhere.exists()
    bench.web.open("held")
    assert finish(running).code == 0
    assert laws.breaches(bench.directory, finished=True) == []
    assert bench.web.count() == FREE + HELD
    assert {entry.name for entry in bench.directory.iterdir()} == {"images", "manifest.sqlite"}


def test_nor_is_one_whose_files_were_removed(
    bench: Bench, listed: Path, running: subprocess.Popen[str]
) -> None:
    for path in bench.directory.glob("manifest.sqlite*"):
        path.unlink()
    done = fetcher(*bench.command(listed), *SHORT)
    assert done.code == 2
    assert f"Process {running.pid}" in done.err
    assert not (bench.directory / "manifest.sqlite").exists()


def test_a_run_that_cannot_begin_leaves_one_that_is_on_alone(
    bench: Bench, listed: Path, running: subprocess.Popen[str]
) -> None:
    nowhere = bench.place / "mistyped" / "manifest.sqlite"
    done = fetcher(*bench.command(listed), *SHORT, "--manifest", nowhere)
    assert done.code == 2
    bench.web.open("held")
    assert finish(running).code == 0
    assert laws.breaches(bench.directory, finished=True) == []
    assert {entry.name for entry in bench.directory.iterdir()} == {"images", "manifest.sqlite"}


def test_nothing_is_put_aside_while_another_manifest_s_run_is_on(bench: Bench) -> None:
    first = bench.rows(LINES, "first.csv")
    elsewhere = bench.place / "elsewhere.sqlite"
    assert fetcher(*bench.command(first), "--manifest", elsewhere).code == 0
    shown = Picture(600, "held")
    bench.web.serve("/held", Answer(shown, gate="held"))
    held = bench.rows([Row.of("held", f"http://{mirrors.HOST}/held", shown.data())])
    process = bench.start(held)
    bench.web.arrived(FREE + 1)
    verify = ("verify", bench.directory, "--manifest", elsewhere)
    refused = fetcher(*verify, "--repair")
    assert (refused.code, f"Process {process.pid}" in refused.err) == (2, True)
    assert fetcher(*verify).code == 0  # it only reads
    bench.web.open("held")
    assert finish(process).code == 0
    assert (bench.directory / "images/train/hel/held.jpg").read_bytes() == shown.data()


# Taken away under a run.


def moved(path: Path) -> None:
    path.rename(path.with_name("moved.sqlite"))


def replaced(path: Path) -> None:
    """By what an editor, or a copy of the same, does."""
    copy = path.with_name("copy")
    shutil.copyfile(path, copy)
    copy.replace(path)


@pytest.mark.parametrize("taken", [Path.unlink, moved, replaced])
def test_a_manifest_that_is_not_there_any_more_ends_the_run(
    taken: Callable[[Path], None],
    bench: Bench,
    running: subprocess.Popen[str],
) -> None:
    """What would be written from then on, nobody would find."""
    taken(bench.directory / "manifest.sqlite")
    bench.web.open("held")
    done = finish(running)
    assert done.code == 4
    assert "was moved, removed or replaced" in done.err
    assert "Traceback" not in done.err


def test_a_moved_manifest_is_whole_and_can_be_put_back(
    bench: Bench, listed: Path, running: subprocess.Popen[str]
) -> None:
    manifest, away = bench.directory / "manifest.sqlite", bench.place / "away.sqlite"
    manifest.rename(away)
    bench.web.open("held")
    assert finish(running).code == 4
    status = fetcher("status", bench.directory, "--manifest", away, "--json")
    assert status.json["states"]["verified"] == FREE
    away.rename(manifest)
    assert bench.mirror(listed).code == 0
    assert bench.web.count() == FREE + HELD  # those that were stored and not noted are found


def test_a_dir_that_is_moved_ends_the_run_and_goes_on_where_it_is(
    bench: Bench, listed: Path, running: subprocess.Popen[str]
) -> None:
    elsewhere = bench.place / "elsewhere"
    bench.directory.rename(elsewhere)
    bench.web.open("held")
    assert finish(running).code == 4
    assert not bench.directory.exists()
    elsewhere.rename(bench.directory)
    assert bench.mirror(listed).code == 0
    assert {image.state for image in bench.images().values()} == {"verified"}

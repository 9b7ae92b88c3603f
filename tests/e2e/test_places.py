"""Files are made inside of DIR only, and with sane permissions, whatever lies there already.

Each trap is put where the program will write, by somebody who may write in DIR and wants it to
write elsewhere, or to wait for ever.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest

from fetcher.demo.steps import Answer, Picture
from scripts.proofs import mirrors
from tests.e2e.conftest import Bench, fetcher

LARGE: Final = Picture(400_000, "large")
SPOOLED: Final = {"fetch": {"spool_above": 100_000}}
SECRET: Final = b"somebody else's"

Trap = Callable[[Path, Path], None]
"""Puts at the first path what leads to the second, which is a file outside of DIR."""

TRAPS: Final[dict[str, Trap]] = {
    "link": lambda place, outside: place.symlink_to(outside),
    "dangling link": lambda place, outside: place.symlink_to(outside.with_name("new")),
    "hard link": lambda place, outside: os.link(outside, place),
    "pipe": lambda place, _: os.mkfifo(place),
}


@pytest.fixture
def outside(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "outside" / "file"
    path.parent.mkdir()
    path.write_bytes(SECRET)
    yield path
    assert path.read_bytes() == SECRET
    assert [each.name for each in path.parent.iterdir()] == ["file"]


def listed(bench: Bench) -> Path:
    """One image that is spooled."""
    row = mirrors.Row.of("0" * 16, "http://c1.staticflickr.com/large.jpg", LARGE.data())
    bench.web.serve("/large.jpg", Answer(LARGE))
    return bench.rows([row])


# Places of images: something else is replaced, and not written through.


@pytest.mark.parametrize("trap", TRAPS)
@pytest.mark.parametrize(
    "place", [".partial/1.part", ".partial/1", f"images/train/000/{'0' * 16}.jpg"]
)
def test_in_the_place_of_an_image(bench: Bench, outside: Path, trap: str, place: str) -> None:
    path = bench.directory / place
    path.parent.mkdir(parents=True)
    TRAPS[trap](path, outside)
    assert bench.mirror(listed(bench), config=bench.config(SPOOLED)).code == 0
    image = bench.directory / f"images/train/000/{'0' * 16}.jpg"
    assert image.read_bytes() == LARGE.data()
    assert image.lstat().st_nlink == 1


# Places of the manifest: refused with a word, whatever the command.


@pytest.mark.parametrize("suffix", ["", "-wal", "-shm", "-journal", ".lock", "lock of DIR"])
def test_in_the_place_of_the_manifest(bench: Bench, outside: Path, suffix: str) -> None:
    rows = listed(bench)
    bench.mirror(rows)
    place = bench.directory / f"manifest.sqlite{suffix}"
    if suffix == "lock of DIR":
        place, suffix = bench.directory / ".partial.lock", ".lock"
    aside = place.with_name("aside")
    for name, trap in TRAPS.items():
        if name == "hard link" and suffix != ".lock":
            continue  # of the database it is a backup's, and SQLite itself looks at the others
        if suffix == "":
            place.rename(aside)
        trap(place, outside)
        commands: list[tuple[str | Path, ...]] = [bench.command(rows)]
        if suffix != ".lock":
            commands.append(("status", bench.directory))
        for command in commands:
            done = fetcher(*command)
            assert (done.code, done.out) == (2, ""), (name, done)
            assert str(place) in done.err
        place.unlink()
        if suffix == "":
            aside.rename(place)
    assert bench.mirror(rows).code == 0


# Permissions.


@pytest.mark.parametrize(("mask", "file", "folder"), [(0, 0o644, 0o755), (0o077, 0o600, 0o700)])
def test_permissions(bench: Bench, mask: int, file: int, folder: int) -> None:
    before = os.umask(mask)
    try:
        bench.mirror(listed(bench), config=bench.config(SPOOLED))
    finally:
        os.umask(before)
    modes = {path: path.lstat().st_mode for path in bench.directory.rglob("*")}
    assert {stat.S_IMODE(mode) for mode in modes.values() if stat.S_ISREG(mode)} == {file}
    assert {stat.S_IMODE(mode) for mode in modes.values() if stat.S_ISDIR(mode)} == {folder}
    assert stat.S_IMODE(bench.directory.stat().st_mode) == folder

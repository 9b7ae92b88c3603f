"""A manifest that somebody else has worked on: nothing outside of DIR is read, moved or written."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from fetcher.errors import Exit
from scripts.proofs import stored
from tests.e2e.conftest import Bench, Done, fetcher

IMAGES = 20
OURS = "tests' own, of no mirror"


def harm(directory: Path, sql: str) -> None:
    with closing(sqlite3.connect(directory / "manifest.sqlite")) as connection, connection:
        assert connection.execute(sql).rowcount > 0


def tree(place: Path) -> dict[str, bytes]:
    return {
        str(path): path.read_bytes()
        for path in place.rglob("*")
        if path.is_file() and not path.name.startswith("manifest.sqlite")
    }


def assert_told(done: Done) -> None:
    assert done.code == Exit.OUR_FAULT, done
    assert "is damaged (" in done.err
    assert "Traceback" not in done.err


@pytest.fixture
def mirror(bench: Bench) -> Path:
    directory, _, _ = stored.build(bench.place, IMAGES)
    (bench.place / "out.jpg").write_text(OURS)
    (bench.place / "abc").mkdir()
    (bench.place / "abc" / "abcdef.jpg").write_text(OURS)
    return directory


STORED = [
    "UPDATE assets SET path = 'images/../../out.jpg' WHERE asset_id = 3",
    "UPDATE assets SET path = './../../../../../out.jpg' WHERE asset_id = 3",
    "UPDATE assets SET path = '.jpg', image_id = '../../../out' WHERE asset_id = 3",
    "UPDATE assets SET path = '!.jpg', image_id = '../../../out' WHERE asset_id = 3",
    "UPDATE subsets SET name = '../..' WHERE id = (SELECT max(id) FROM subsets)",
]
"""What is recorded of an image with a file."""


@pytest.mark.parametrize("sql", STORED)
@pytest.mark.parametrize(
    "command", ["verify", "verify --repair", "export --as csv --state verified"]
)
def test_a_place_outside_of_the_directory_is_damage(
    bench: Bench, mirror: Path, command: str, sql: str
) -> None:
    harm(mirror, sql)
    before = tree(bench.place)
    name, *options = command.split()
    assert_told(fetcher(name, mirror, *options))
    assert tree(bench.place) == before


def test_no_file_is_put_where_another_subset_would_have_it(bench: Bench, mirror: Path) -> None:
    harm(mirror, "UPDATE assets SET path = NULL, state = 0, code = 0 WHERE asset_id = 3")
    harm(mirror, "INSERT INTO subsets (id, name) VALUES (99, '../../..')")
    harm(mirror, "UPDATE assets SET image_id = 'abcdef', subset_id = 99 WHERE asset_id = 3")
    stray = mirror / "images" / "abcdef.jpg"
    stray.write_text(OURS)
    before = tree(bench.place)
    assert_told(fetcher("verify", mirror, "--repair"))
    assert tree(bench.place) == before


def test_triage_looks_at_nothing_outside(mirror: Path) -> None:
    harm(mirror, "UPDATE assets SET path = 'mismatched/../../out.jpg' WHERE state = 4")
    assert_told(fetcher("triage", mirror))


PENDING = [
    "image_id = '../../../out'",
    "image_id = ''",
    "image_id = 'a' || char(10) || 'b'",
    "subset_id = 99",
    "expected_size = -1",
    "expected_size = 1 << 60",
    "expected_md5 = 'none'",
    "attempts = -1",
    "attempts_ever = -7",
]
"""What a list cannot have said of an image that is to be asked for."""


@pytest.mark.parametrize("change", PENDING)
def test_nothing_is_asked_for_that_no_list_can_have_said(
    bench: Bench, mirror: Path, change: str
) -> None:
    (mirror / "manifest.sqlite").unlink()
    listed = bench.place / "images.csv"
    assert bench.mirror(listed, options="--limit 1").code == Exit.STOPPED
    harm(mirror, "INSERT INTO subsets (id, name) VALUES (99, '../..')")
    harm(mirror, f"UPDATE assets SET {change} WHERE asset_id = (SELECT max(asset_id) FROM assets)")  # noqa: S608  the table above
    before, asked = tree(bench.place), len(bench.web.requests)
    done = fetcher(*bench.command(listed))
    assert_told(done)
    assert len(bench.web.requests) - asked < IMAGES
    assert before.items() <= tree(bench.place).items()


@pytest.mark.parametrize("change", ["state = 42", "state = -1"])
def test_images_that_are_counted_and_not_found_are_damage(
    bench: Bench, mirror: Path, change: str
) -> None:
    """Without the look at the end, each run would say that it was stopped."""
    (mirror / "manifest.sqlite").unlink()
    listed = bench.place / "images.csv"
    bench.mirror(listed, options="--limit 1")
    harm(mirror, f"UPDATE assets SET {change} WHERE asset_id = (SELECT max(asset_id) FROM assets)")  # noqa: S608  the table above
    assert_told(fetcher(*bench.command(listed)))
    assert_told(fetcher(*bench.command(listed)))

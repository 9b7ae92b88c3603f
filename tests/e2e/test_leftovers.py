"""What an earlier run left behind, and could not write down, is used or removed."""

from __future__ import annotations

import shutil
import signal
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final

import pytest

from fetcher.demo.steps import Answer, Close, Picture, Stall, status, throttled
from scripts.proofs import laws, mirrors
from scripts.proofs.mirrors import Row
from tests.e2e.conftest import Bench, finish
from tests.e2e.test_stopping import read_until

ROWS: Final = mirrors.gallery(40)
LARGE: Final = Picture(400_000, "large")
SPOOLED: Final = {"fetch": {"spool_above": 100_000}}


def forget(directory: Path, count: int) -> None:
    """Take back how the last ``count`` assets were settled, as if the run was killed before."""
    with closing(sqlite3.connect(directory / "manifest.sqlite")) as connection, connection:
        connection.execute(
            "UPDATE assets SET state = 0, code = 0, path = NULL, http_status = NULL, attempts = 0 "
            "WHERE asset_id > (SELECT max(asset_id) FROM assets) - ?",
            (count,),
        )
        connection.execute("DELETE FROM tallies")
        connection.execute(
            "INSERT INTO tallies SELECT subset_id, state, code, count(*), sum(expected_size), "
            "sum(iif(state = 1, expected_size, 0)) FROM assets GROUP BY subset_id, state, code"
        )


def part(bench: Bench, image_id: str) -> Path:
    """Where a run leaves the beginning of an image's body."""
    with laws.opened(bench.directory) as connection:
        query = "SELECT asset_id FROM assets WHERE image_id = ?"
        (number,) = connection.execute(query, (image_id,)).fetchone()
    return bench.directory / ".partial" / f"{number}.part"


def test_a_file_without_its_row_is_adopted_without_a_request(bench: Bench) -> None:
    listed = bench.rows(ROWS)
    bench.mirror(listed)
    before = bench.images()
    forget(bench.directory, 15)
    assert bench.mirror(listed).code == 0
    assert bench.web.count() == len(ROWS)
    now = bench.images()
    assert {name: image.path for name, image in now.items()} == {
        name: image.path for name, image in before.items()
    }
    assert sum(image.attempts for image in now.values()) == len(ROWS) - 15


def test_a_lost_manifest_is_made_again_without_a_request(bench: Bench) -> None:
    """More of them than are leased at once."""
    rows = mirrors.gallery(2_500, size=600)
    listed = bench.rows(rows)
    config = bench.config({"store": {"durability": "none"}})
    bench.mirror(listed, config=config)
    (bench.directory / "manifest.sqlite").unlink()
    assert bench.mirror(listed, config=config).code == 0
    assert bench.web.count() == len(rows)
    assert bench.status()["states"]["verified"] == len(rows)


@pytest.mark.parametrize("damage", [b"", b"torn", bytes(int(ROWS[-1].size))])
def test_a_file_that_is_not_the_image_is_fetched_anew(damage: bytes, bench: Bench) -> None:
    listed = bench.rows(ROWS)
    bench.mirror(listed)
    last = bench.images()[ROWS[-1].image_id]
    assert last.path is not None
    (bench.directory / last.path).write_bytes(damage)
    forget(bench.directory, 1)
    assert bench.mirror(listed).code == 0
    assert bench.web.count() == len(ROWS) + 1
    assert laws.md5(bench.directory / last.path) == last.expected_md5


def test_a_link_in_an_images_place_is_not_followed(bench: Bench) -> None:
    listed = bench.rows(ROWS)
    bench.mirror(listed)
    last = bench.images()[ROWS[-1].image_id]
    assert last.path is not None
    path, outside = bench.directory / last.path, bench.place / "outside"
    shutil.move(path, outside)
    path.symlink_to(outside)
    forget(bench.directory, 1)
    assert bench.mirror(listed).code == 0
    assert bench.web.count() == len(ROWS) + 1
    assert not path.is_symlink()
    assert laws.md5(outside) == last.expected_md5


def start_large(bench: Bench, *steps: object) -> Path:
    """Have a first run settle nothing of one large image."""
    bench.web.serve("/large", status(503), *steps)  # type: ignore[arg-type]
    listed = bench.rows([Row.of("large", f"http://{mirrors.HOST}/large", LARGE.data())])
    once = bench.config(SPOOLED, {"retry": {"attempts": 1}})
    assert bench.mirror(listed, config=once, options="--limit 1").code == 1
    forget(bench.directory, 1)
    return listed


def test_the_beginning_of_a_body_is_used(bench: Bench) -> None:
    listed = start_large(bench, Answer(LARGE))
    beginning = part(bench, "large")
    beginning.parent.mkdir()
    beginning.write_bytes(LARGE.data()[:150_000])
    assert bench.mirror(listed, config=bench.config(SPOOLED)).code == 0
    assert bench.web.requests_to("/large")[1].headers["range"] == "bytes=150000-"


@pytest.mark.parametrize(
    "beginning",
    [b"", b"of another image", b"\0" * 500_000],
    ids=["nothing", "something else", "more than all"],
)
def test_a_wrong_beginning_costs_a_request_and_no_more(beginning: bytes, bench: Bench) -> None:
    listed = start_large(bench, Answer(LARGE))
    left = part(bench, "large")
    left.parent.mkdir()
    left.write_bytes(beginning)
    assert bench.mirror(listed, config=bench.config(SPOOLED)).code == 0
    assert bench.web.count("/large") <= 3


def test_files_of_no_asset_are_removed(bench: Bench) -> None:
    listed = bench.rows(ROWS)
    bench.mirror(listed)
    (bench.directory / ".partial").mkdir()
    for name in ("1", "1.part", "999999", "999999.part", "what is this"):
        (bench.directory / ".partial" / name).write_bytes(b"left over")
    assert bench.mirror(listed).code == 0
    assert set(laws.files(bench.directory)) == {
        "manifest.sqlite",
        *(str(image.path) for image in bench.images().values()),
    }


@pytest.mark.parametrize("signals", [1, 2])
def test_a_stopped_run_leaves_nothing_of_what_it_was_receiving(signals: int, bench: Bench) -> None:
    """Cut bodies that wait for their retry, one whose rest is awaited, one that is under way."""
    rows = []
    for name, *steps in (
        ("waiting", Answer(LARGE, end=Close(200_000)), throttled(3_600)),
        ("asked", Answer(LARGE, end=Close(200_000)), Answer(LARGE, gate="never")),
        ("coming", Answer(LARGE, end=Stall(200_000))),
    ):
        bench.web.serve(f"/{name}", *steps, host=f"{name}.test")
        rows.append(Row.of(name, f"http://{name}.test/{name}", LARGE.data()))
    drain = {"run": {"drain": "100ms" if signals == 1 else "10m"}}
    process = bench.start(bench.rows(rows), config=bench.config(SPOOLED, drain))
    bench.web.arrived(2, "/asked")
    bench.web.arrived(1, "/coming")
    read_until(process, "is left alone")
    process.send_signal(signal.SIGINT)
    if signals == 2:
        read_until(process, "stopping")
        process.send_signal(signal.SIGINT)
    assert finish(process).code == 3
    assert laws.breaches(bench.directory, finished=True) == []

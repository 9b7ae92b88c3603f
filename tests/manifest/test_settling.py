"""What settling writes: the view ``images``, which is a contract, and the history of attempts."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fetcher.manifest import packing
from fetcher.manifest.migrations import MIGRATIONS
from fetcher.manifest.runs import RunInfo
from fetcher.model import Expectation, State
from tests.conformance.manifest_suite import MD5, outcome, row
from tests.manifest.opened import (
    NOON,
    check_laws,
    database,
    images,
    import_all,
    last_run_ended_cleanly,
    lease,
    query,
)

COLUMNS = [
    "image_id",
    "subset",
    "url",
    "expected_size",
    "expected_md5",
    "state",
    "code",
    "http_status",
    "final_url",
    "actual_size",
    "actual_md5",
    "attempts",
    "path",
    "updated_at",
]
OTHER_MD5 = "1B2M2Y8AsgTpgAmY7PhCfg=="
PATH = "images/train/000/0000000000000001.jpg"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "manifest.sqlite"


def settled(at: Path, expected: Expectation | None = None, **values: Any) -> dict[str, Any]:
    """The view's row of an asset that was settled so."""
    rows = [row(1) if expected is None else row(1, expected=expected)]
    with database(at) as manifest:
        import_all(manifest, rows)
        lease(manifest)
        manifest.settle([outcome(1, **values)])
        check_laws(manifest._connection, manifest.tally())
    return images(at)[0]


def test_the_view_has_the_columns_of_the_contract(path: Path) -> None:
    assert list(settled(path, state=State.GONE)) == COLUMNS


def test_a_pending_asset_shows_nothing_of_bytes(path: Path) -> None:
    with database(path) as manifest:
        import_all(manifest, [row(1)])
    assert images(path) == [
        {
            **dict.fromkeys(COLUMNS),
            "image_id": "0000000000000001",
            "subset": "train",
            "url": "https://a.one.test/0000000000000001.jpg",
            "expected_size": 1001,
            "expected_md5": MD5,
            "state": "pending",
            "attempts": 0,
            "updated_at": "2023-11-14T22:13:20Z",
        }
    ]


def test_a_verified_image_shows_what_was_expected_as_what_came(path: Path) -> None:
    image = settled(
        path,
        state=State.VERIFIED,
        http_status=200,
        actual_size=1001,
        actual_md5=MD5,
        path=PATH,
        elapsed=61.0,
    )
    assert (
        image
        | {
            "state": "verified",
            "http_status": 200,
            "final_url": image["url"],
            "actual_size": 1001,
            "actual_md5": MD5,
            "attempts": 1,
            "path": PATH,
            "updated_at": "2023-11-14T22:14:21Z",
        }
        == image
    )
    (kept,) = query(path, "SELECT final_url, actual_size, actual_md5, path FROM assets")
    assert list(kept.values()) == [None, None, None, ".jpg"]  # none of it is written twice


@pytest.mark.parametrize(
    ("expected", "size", "md5"),
    [
        (Expectation(1001, None), 1001, OTHER_MD5),
        (Expectation(None, MD5), 77, MD5),
        (Expectation(None, None), 77, OTHER_MD5),
    ],
)
@pytest.mark.parametrize("state", [State.VERIFIED, State.UNVERIFIED])
def test_what_the_list_does_not_say_is_kept(
    path: Path, state: State, expected: Expectation, size: int, md5: str
) -> None:
    image = settled(path, expected, state=state, actual_size=size, actual_md5=md5, path=PATH)
    assert (image["actual_size"], image["actual_md5"]) == (size, md5)


def test_a_mismatch_of_the_right_size_shows_its_size(path: Path) -> None:
    image = settled(
        path,
        state=State.MISMATCHED,
        code="md5-mismatch",
        actual_size=1001,
        actual_md5=OTHER_MD5,
        path="mismatched/train/000/0000000000000001.jpg",
    )
    assert (image["actual_size"], image["actual_md5"]) == (1001, OTHER_MD5)
    assert image["path"] == "mismatched/train/000/0000000000000001.jpg"


@pytest.mark.parametrize("odd", ["images/elsewhere.jpg", "other/elsewhere.jpg"])
def test_a_path_of_another_shape_is_shown_as_it_is(path: Path, odd: str) -> None:
    image = settled(path, state=State.VERIFIED, actual_size=1001, path=odd)
    assert image["path"] == odd
    (tally,) = query(path, "SELECT sum(stored_bytes) AS n FROM tallies")
    assert tally["n"] == (1001 if odd.startswith("images/") else 0)


def test_a_loss_shows_no_bytes(path: Path) -> None:
    image = settled(
        path, state=State.GONE, code="placeholder", http_status=302, final_url="https://x.test/p"
    )
    assert [image[name] for name in ("actual_size", "actual_md5", "path")] == [None] * 3
    assert (image["final_url"], image["code"]) == ("https://x.test/p", "placeholder")


def test_what_was_found_on_disk_came_from_nowhere_known(path: Path) -> None:
    image = settled(path, state=State.VERIFIED, attempt=0, actual_size=1001, path=PATH)
    assert (image["final_url"], image["http_status"], image["attempts"]) == (None, None, 0)
    assert query(path, "SELECT * FROM attempts") == []


def test_history_goes_over_all_runs(path: Path) -> None:
    with database(path) as manifest:
        import_all(manifest, [row(1)])
        lease(manifest)
        failed = outcome(1, State.PENDING, 1, code="http-5xx", http_status=503, detail="busy")
        manifest.settle([failed])
    with database(path) as manifest:
        lease(manifest)
        manifest.settle(
            [outcome(1, State.PENDING, 2, code="truncated", received=77), outcome(1, State.GONE, 3)]
        )
    names = [
        "asset_id",
        "n",
        "run_id",
        "attempt",
        "started_ms",
        "elapsed_ms",
        "code",
        "http_status",
        "received",
        "detail",
    ]
    (codes,) = [{c["name"]: c["id"] for c in query(path, "SELECT * FROM codes")}]
    started = 1_700_000_000_000
    assert query(path, "SELECT * FROM attempts") == [
        dict(zip(names, values, strict=True))
        for values in [
            (1, 1, 1, 1, started, 500, codes["http-5xx"], 503, 0, "busy"),
            (1, 2, 2, 2, started, 500, codes["truncated"], None, 77, None),
            (1, 3, 2, 3, started, 500, 0, None, 0, None),
        ]
    ]


def test_runs_are_written_down(path: Path) -> None:
    with database(path) as manifest:
        assert last_run_ended_cleanly(manifest)
        manifest.end_run(3, "SIGTERM")
        assert manifest.begin_run(RunInfo("fetcher mirror x", "1.2.3", '{"a": 1}')) == 2
        assert last_run_ended_cleanly(manifest)
    first, second = query(path, "SELECT * FROM runs")
    assert first == {
        "id": 1,
        "started_at": NOON,
        "ended_at": NOON,
        "command": "test",
        "version": "0",
        "pid": os.getpid(),
        "exit_code": 3,
        "reason": "SIGTERM",
        "config": "{}",
        "audit_id": None,
    }
    assert (second["command"], second["config"]) == ("fetcher mirror x", '{"a": 1}')


def test_a_run_that_did_not_end_was_not_clean(path: Path) -> None:
    with database(path) as manifest:
        manifest.begin_run(RunInfo("killed", "0"))
        manifest.begin_run(RunInfo("after", "0"))
        assert not last_run_ended_cleanly(manifest)


def test_how_many_runs_died_before_this_one(path: Path) -> None:
    with database(path) as manifest:  # which begins one, and does not end it
        assert manifest.runs_without_end() == 0
        counts = []
        for ends in (False, False, True, False, False):
            manifest.begin_run(RunInfo("another", "0"))
            counts.append(manifest.runs_without_end())
            if ends:
                manifest.end_run(3)
        assert counts == [1, 2, 3, 0, 1]


@given(
    subset=st.sampled_from(["", "train", "a/b", "ü"]),
    image_id=st.text(st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1),
    folder=st.sampled_from(["images", "mismatched", "elsewhere"]),
    extension=st.sampled_from(["jpg", "tar.gz", "", "x"]),
    shape=st.sampled_from(["{f}/{s}{p}/{i}.{e}", "{f}/{i}.{e}", "{f}/x{s}{p}/{i}.{e}", "{f}/{i}"]),
)
def test_any_path_comes_back(
    subset: str, image_id: str, folder: str, extension: str, shape: str
) -> None:
    path = shape.format(
        f=folder,
        s=f"{subset}/" if subset else "",
        p=image_id[:3],
        i=image_id,
        e=extension,
    )
    packed = packing.pack(path, subset, image_id)
    assert _unpacked(packed, subset, image_id) == path
    assert packing.stored(packed) == path.startswith("images/")


def _unpacked(packed: str, subset: str, image_id: str, shard: str = "s") -> str:
    """As the view does it."""
    with closing(sqlite3.connect(":memory:")) as connection:
        for statement in chain(*MIGRATIONS):
            connection.execute(statement)
        connection.execute("INSERT INTO subsets VALUES (1, ?)", (subset,))
        connection.execute("INSERT INTO shards (id, name) VALUES (1, ?)", (shard,))
        connection.execute(
            "INSERT INTO assets (image_id, subset_id, host_id, url, state, code, updated_at, path) "
            "VALUES (?, 1, 1, '', 0, 0, 0, ?)",
            (image_id, packed),
        )
        (path,) = connection.execute("SELECT path FROM images").fetchone()
        return str(path)


@pytest.mark.parametrize("path", ["", ".jpg", "!x", "/etc/passwd", "./a", "../a"])
def test_what_is_no_path_relative_to_dir_is_a_bug(path: str) -> None:
    with pytest.raises(ValueError, match="relative to DIR"):
        packing.pack(path, "", "a")


def test_settling_needs_a_run(path: Path) -> None:
    with database(path) as manifest:
        manifest._run_id, run_id = None, manifest._run_id
        with pytest.raises(ValueError, match="no run"):
            manifest.settle([])
        manifest._run_id = run_id

"""`fetcher plan` says what the mirror then does, sends nothing, and leaves nothing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from scripts.proofs import mirrors
from scripts.proofs.mirrors import Row
from tests.e2e.conftest import Bench, fetcher

ROWS = [
    *mirrors.gallery(20, size=5_000),
    *mirrors.gallery(2, size=5_000),  # again
    Row("0000000000000000", "http://other.test/x.jpg", "9"),  # another URL
    Row("bad", "http://other.test/x.jpg", "many"),
    Row("ftp", "ftp://other.test/x.jpg"),
    Row("elsewhere", "http://other.test/y.jpg", subset="test"),
]


def test_it_says_what_a_mirror_then_does(bench: Bench) -> None:
    listed = bench.rows(ROWS)
    before = {path: path.stat().st_mtime_ns for path in bench.place.rglob("*")}
    done = fetcher("plan", listed, "--to", bench.directory, "--json", "--rate", "2")
    assert done.code == 0, done
    assert {path: path.stat().st_mtime_ns for path in bench.place.rglob("*")} == before
    assert bench.web.count() == 0
    plan = done.json
    assert plan["rows"] == {"read": 26, "accepted": 22, "duplicate": 2, "rejected": 2}
    assert plan["rejected"] == {"bad-size": 1, "conflicting-id": 1}
    assert [example["line"] for example in plan["examples"]] == [25, 24]
    assert plan["invalid"] == {"bad-scheme": 1}
    assert plan["subsets"]["test"] == {"images": 1, "bytes": None, "unsized": 1}
    assert plan["groups"]["staticflickr.com"]["seconds"] == pytest.approx(20 / 2 * 1.01)
    assert plan["seconds"] == plan["groups"]["staticflickr.com"]["seconds"]
    assert plan["disk"]["files"] == 21
    assert plan["disk"]["missing"] == 0
    assert plan["disk"]["free"] > 0

    bench.web.picture("/y.jpg", 700)
    bench.mirror(listed)
    status = bench.status()
    assert status["rows"] == plan["rows"]
    assert status["bytes"]["expected"] == plan["bytes"]["expected"]
    assert status["states"]["invalid"] == 1
    assert bench.web.count() == plan["disk"]["files"]
    again = fetcher("plan", listed, "--to", bench.directory, "--json").json
    assert again["disk"]["stored"] == status["bytes"]["stored"]


def test_people_see_what_is_wrong_and_how_long_it_takes(bench: Bench) -> None:
    done = fetcher("plan", bench.rows(ROWS), "--rate", "2")
    for words in (
        "rows read 26 = accepted 22 + duplicate 2 + rejected 2",
        "rejected 1: conflicting-id",
        "another URL and size and MD5 than in",
        "never asked for 1: bad-scheme",
        "1 with neither size nor MD5",
        "median",
        "staticflickr.com",
        "at least 10s",
        "--to DIR",
    ):
        assert words in done.out, done.out
    assert "\x1b" not in done.out


def test_of_a_list_without_sizes_nothing_is_made_up(bench: Bench) -> None:
    listed = bench.rows([replace(row, size="") for row in mirrors.gallery(20)])
    limits = ("--set", "hosts.default.rate=unlimited", "--set", "hosts.default.bandwidth=1MiB")
    done = fetcher("plan", listed, "--to", bench.directory, "--json", *limits)
    plan = done.json
    assert plan["bytes"] == {"expected": None, "unsized": 20}
    assert {entry["bytes"] for entry in plan["subsets"].values()} == {None}
    assert {entry["bytes"] for entry in plan["hosts"].values()} == {None}
    (group,) = plan["groups"].values()
    assert (group["bytes"], group["seconds"], plan["seconds"]) == (None, None, None)
    disk = plan["disk"]
    assert (disk["bytes"], disk["images"], disk["missing"]) == (None, None, None)
    assert (disk["files"], disk["guessed_sizes"]) == (20, 0)

    done = fetcher("plan", listed, "--to", bench.directory, *limits)
    assert "disk: unknown for 20 files (images unknown, as no size is listed, " in done.out
    assert done.out.count("unknown") == 5  # with the subset, and two of the host group
    assert " 0 B" not in done.out
    # A limit of requests is one whatever the sizes are.
    done = fetcher("plan", listed, "--rate", "2")
    assert "at least 10s" in done.out


def test_subsets_and_ids(bench: Bench) -> None:
    listed = bench.rows(ROWS)
    done = fetcher("plan", listed, "--subset", "test", "--json")
    assert done.json["rows"]["read"] == 1
    ids = bench.place / "ids.txt"
    ids.write_text("elsewhere\nnowhere\n")
    assert fetcher("plan", listed, "--ids", ids, "--json").json["unmet_ids"] == 1
    done = fetcher("plan", listed, "--subset", "nothing")
    assert (done.code, done.out) == (2, "")
    assert "No row of the lists was selected" in done.err


def test_a_disk_that_is_too_small(bench: Bench) -> None:
    listed = bench.rows([Row("a", "http://a.test/a.jpg", str(2**52), "")])
    done = fetcher("plan", listed, "--to", bench.directory)
    assert "It does not fit" in done.out
    assert "larger than fetch.max_bytes" in done.out


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["nowhere.csv"], "nowhere.csv"),
        (["{list}", "--to", "/nowhere/at/all"], "/nowhere/at/all"),
        (["{list}", "--rate", "fast"], "hosts.default.rate"),
        (["{list}", "--to", "{place}", "--manifest", "/nowhere.sqlite"], "There is no manifest"),
    ],
)
def test_what_cannot_be_planned(options: list[str], words: str, bench: Bench) -> None:
    listed = bench.rows(ROWS)
    done = fetcher("plan", *(option.format(list=listed, place=bench.place) for option in options))
    assert done.code == 2
    assert done.out == ""
    assert words in done.err
    assert "Traceback" not in done.err


def test_a_damaged_list_names_its_last_good_row(bench: Bench) -> None:
    path = bench.place / "cut.csv"
    path.write_bytes(bench.rows(ROWS).read_bytes() + b"x,\xff\n")
    done = fetcher("plan", path)
    assert done.code == 2
    assert "id elsewhere" in done.err
    assert list(Path(bench.place).glob("fetcher-plan-*")) == []

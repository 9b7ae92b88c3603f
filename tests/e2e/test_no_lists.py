"""Lists that are none, or only in part: what is good is taken, and nothing else is changed."""

from __future__ import annotations

import gzip
import re
import sqlite3
import tarfile
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from scripts.proofs import mirrors
from scripts.proofs.mirrors import Row
from tests.e2e.conftest import Bench, Done, fetcher, refused

ROWS: Final = mirrors.gallery(10, size=600)
STAMPED: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ  \S")


def no_list(bench: Bench, path: Path, *words: str) -> None:
    refused(fetcher(*bench.command(path)), *words)
    assert not bench.directory.exists()
    bench.mirror(bench.rows(ROWS))
    before = bench.images()
    refused(fetcher(*bench.command(path)), *words)
    assert bench.images() == before


def test_a_missing_list(bench: Bench) -> None:
    no_list(bench, bench.place / "nowhere.csv", "nowhere.csv", "No such file")


def test_a_directory_as_a_list(bench: Bench) -> None:
    no_list(bench, bench.place, str(bench.place), "is a folder", "files in it")


@pytest.mark.parametrize("name", ["-", "/dev/stdin", "/dev/null"])
def test_a_pipe_as_a_list(name: str, bench: Bench) -> None:
    no_list(bench, Path(name), "standard input", "Write it to a file")


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (b"", "is empty"),
        (b"ImageID,Title\na,b\n", "no column of its header holds URLs"),
        (b"ImageID,OriginalURL\na,http://\xff\n", "iconv"),
        (b"\xff\xfeI\0m\0a\0", "UTF-16"),
        (b"\x89PNG\r\n\x1a\n" + bytes(100), ""),
        (b"PK\x03\x04" + bytes(100), ""),
        (bytes(5_000), ""),
    ],
    ids=["empty", "without URLs", "Latin-1", "UTF-16", "PNG", "zip", "zeros"],
)
def test_a_file_that_is_no_list(content: bytes, word: str, bench: Bench) -> None:
    path = bench.place / "list.csv"
    path.write_bytes(content)
    no_list(bench, path, "list.csv", word)


@pytest.mark.parametrize("options", ["--subset validatoin", "--subset validatoin --quiet"])
def test_a_selection_of_nothing_is_no_success(options: str, bench: Bench) -> None:
    done = fetcher(*bench.command(bench.rows(ROWS)), *options.split())
    refused(done, "No row of the lists was selected", "--subset")


def test_what_a_selection_of_nothing_leaves(bench: Bench) -> None:
    """As the table of exit codes says: DIR, and a manifest of no image."""
    listed = bench.rows(ROWS)
    done = fetcher(*bench.command(listed), "--subset", "validatoin")
    refused(done, "Nothing was fetched; the manifest has taken note of the run")
    assert [path.name for path in bench.directory.iterdir()] == ["manifest.sqlite"]
    assert (bench.status()["total"], bench.web.count()) == (0, 0)
    assert bench.mirror(listed).code == 0
    before = bench.images()
    refused(fetcher(*bench.command(listed), "--subset", "validatoin"), "Nothing was fetched")
    assert bench.images() == before


BAD: Final = [Row(f"bad{n}", f"http://a.test/{n}.jpg", "many") for n in range(3)]


@pytest.mark.parametrize("options", ["", "--subset train"])
@pytest.mark.parametrize("command", ["mirror", "audit"])
def test_rows_of_which_none_can_be_used_are_no_success(
    command: str, options: str, bench: Bench
) -> None:
    """As of a list whose columns are not where its header has them: exit code 0 would say that all
    is there. One that can be used makes it a list with rejected rows.
    """
    rows = [replace(row, subset="train") for row in BAD]
    given = bench.command(bench.rows(rows))[1:]  # with the configuration that leads to the web
    done = fetcher(command, *given, *options.split())
    refused(done, "No row of the lists can be used: 3 rows read, all rejected", "fetcher plan")
    assert bench.status()["rows"] == {"read": 3, "accepted": 0, "duplicate": 0, "rejected": 3}
    with closing(sqlite3.connect(bench.directory / "manifest.sqlite")) as connection:
        ((code, reason),) = connection.execute("SELECT exit_code, reason FROM runs")
    assert (code, reason.split(":")[0]) == (2, "No row of the lists can be used")
    assert bench.mirror(bench.rows([*ROWS, *BAD])).code == 0


def test_a_plan_of_rows_that_cannot_be_used_says_why(bench: Bench) -> None:
    """What is read of them is a result, and so are the reasons; of nothing there are no tables."""
    for options in ([], ["--json"]):
        done = fetcher("plan", bench.rows(BAD), *options)
        assert (done.code, "No row of the lists can be used" in done.err) == (2, True)
        assert "bad-size" in done.out
    assert done.json["rows"]["rejected"] == 3
    assert "hosts:" not in fetcher("plan", bench.rows(BAD)).out
    none = fetcher("plan", bench.rows([]))
    assert none == Done(0, "rows read 0 = accepted 0 + duplicate 0 + rejected 0\n", "")


def test_a_header_alone_is_a_list_and_nothing_to_audit(bench: Bench) -> None:
    """Nor does it bind DIR to itself: there is no image of it."""
    alone = bench.rows([], name="alone.csv")
    assert bench.mirror(alone).code == 0
    done = fetcher("audit", *bench.command(alone)[1:])
    refused(done, "nothing to audit", "no rows")
    assert "--subset" not in done.err
    assert "other lists" not in fetcher("audit", *bench.command(bench.rows(BAD))[1:]).err


def test_one_row_that_cannot_be_used_is_one(bench: Bench) -> None:
    listed = bench.rows([*ROWS, Row("bad", "http://a.test/x.jpg", "many")])
    assert "1 row cannot be used;" in bench.mirror(listed).err


def test_one_bad_list_among_good_ones(bench: Bench) -> None:
    listed = bench.rows(ROWS)
    refused(fetcher(*bench.command(listed, bench.place / "nowhere.csv")), "nowhere.csv")
    assert not bench.directory.exists()
    assert bench.web.count() == 0


@pytest.mark.parametrize("packing", ["gz", "tar.gz"])
def test_a_truncated_archive_names_the_last_good_row(packing: str, bench: Bench) -> None:
    rows = mirrors.gallery(2_000, size=600)
    listed = bench.rows(rows)
    whole = bench.place / f"whole.{packing}"
    if packing == "gz":
        whole.write_bytes(gzip.compress(listed.read_bytes()))
    else:
        with tarfile.open(whole, "w:gz") as archive:
            archive.add(listed, "2017_11/train/images.csv")
    cut = bench.place / f"cut.{packing}"
    cut.write_bytes(whole.read_bytes()[:-2_000])
    done = fetcher(*bench.command(cut))
    refused(done, f"cut.{packing}")
    found = re.search(r"The last good row is line (\d+)[^,]*, id ([0-9a-f]{16})", done.err)
    assert found is not None, done.err
    assert rows[int(found[1]) - 2].image_id == found[2]
    assert int(found[1]) > 500
    assert not bench.directory.exists()


def test_damage_beyond_what_is_checked_stops_after_what_is_good(bench: Bench) -> None:
    listed = bench.rows([*ROWS, *(Row(f"{n}", "no url") for n in range(12_000))])
    whole = gzip.compress(listed.read_bytes(), compresslevel=0)
    cut = bench.place / "cut.csv.gz"
    cut.write_bytes(whole[:-20_000])
    config = bench.config({"source": {"check_bytes": 0}})
    for _ in range(2):
        done = bench.mirror(cut, config=config)
        assert done.code == 4
        found = re.search(r"The last good row is line (\d+), id (\d+)", done.err)
        assert found is not None, done.err
        assert bench.status()["total"] == bench.status()["rows"]["read"] == int(found[1]) - 1
    assert bench.mirror(listed).code == 1
    assert (
        bench.status()["states"] | {"verified": 10, "invalid": 12_000} == bench.status()["states"]
    )
    assert bench.web.count() == len(ROWS)

"""``fetcher triage``: from mismatched answers to kinds in the report."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final

import pytest

from fetcher.demo.images import md5_of
from fetcher.demo.steps import Answer, Bytes, Flipped, Picture, html
from scripts.proofs import laws
from scripts.proofs.mirrors import Row
from tests.e2e.conftest import Bench, fetcher

HOST: Final = "farm1.staticflickr.com"
SIZE: Final = 3_000


def row(image_id: str, md5: str | None = None) -> Row:
    url = f"https://{HOST}/{image_id}.jpg"
    listed = md5_of(Picture(SIZE, image_id).data()) if md5 is None else md5
    return Row(image_id, url, str(SIZE), listed, "train", "")


def kinds(bench: Bench) -> dict[str, str]:
    with closing(sqlite3.connect(bench.directory / "manifest.sqlite")) as connection:
        return dict(
            connection.execute("SELECT image_id, kind FROM triage JOIN assets USING (asset_id)")
        )


def tree(directory: Path) -> dict[str, bytes]:
    return {name: (directory / name).read_bytes() for name in laws.files(directory)}


def test_mismatches_are_told_apart_once_and_nothing_is_moved(bench: Bench) -> None:
    original = Picture(SIZE, "good")
    same = md5_of(original.data())
    answers = {
        "good": original,
        "others": original,  # the bytes that the list has for another image
        "page": html().body,
        "cut": Bytes(Picture(SIZE, "cut").data()[: SIZE // 2], "image/jpeg"),
        "padded": Picture(SIZE + 500, "good"),  # the same pixels in another file
        "unlike": Picture(SIZE, "whatever"),
    }
    for name, body in answers.items():
        bench.web.serve(f"/{name}.jpg", Answer(body), host=HOST)
    rows = [row(name) for name in answers if name != "padded"] + [row("padded", same)]
    assert bench.mirror(bench.rows(rows)).code == 1
    before = tree(bench.directory)
    done = fetcher("triage", bench.directory, "--json")
    assert done.code == 0, done
    assert kinds(bench) == {
        "others": "other-listed",
        "page": "html",
        "cut": "truncated",
        "padded": "same-pixels",
        "unlike": "not-comparable",
    }
    told = {kind: n for kind, n in done.json["kinds"].items() if n}
    assert done.json["looked_at"] == sum(told.values()) == 5
    after = tree(bench.directory)
    before.pop("manifest.sqlite")
    after.pop("manifest.sqlite")
    assert after == before
    assert fetcher("triage", bench.directory, "--json").json["looked_at"] == 0
    assert fetcher("triage", bench.directory, "--json", "--again").json["looked_at"] == 5
    report = fetcher("report", bench.directory, "--as", "json").json
    (figure,) = (f for f in report["figures"] if f["name"] == "mismatches")
    assert {line[0]: line[1] for line in figure["rows"]} == told


@pytest.mark.parametrize("mismatched", ["quarantine", "keep"])
def test_in_shards_the_same_is_told(bench: Bench, mismatched: str) -> None:
    """Of what lies in a shard, and compared with what does; the neighbours are not looked at."""
    original = Picture(SIZE, "good")
    same = md5_of(original.data())
    answers = {
        "good": original,
        "page": html().body,
        "cut": Bytes(Picture(SIZE, "cut").data()[: SIZE // 2], "image/jpeg"),
        "padded": Picture(SIZE + 500, "good"),  # the same pixels in another file
        "unlike": Picture(SIZE, "whatever"),
    }
    for name, body in answers.items():
        bench.web.serve(f"/{name}.jpg", Answer(body), host=HOST)
    rows = [row(name) for name in answers if name != "padded"] + [row("padded", same)]
    config = bench.config({"store": {"layout": "tar", "mismatched": mismatched}})
    assert bench.mirror(bench.rows(rows), config=config).code == 1
    before = tree(bench.directory)
    in_shards = [path for path in before if path.startswith("shards/")]
    assert in_shards
    assert fetcher("triage", bench.directory).code == 0
    assert kinds(bench) == {
        "page": "html",
        "cut": "truncated",
        "padded": "same-pixels",
        "unlike": "not-comparable",
    }
    after = tree(bench.directory)
    assert {path: after[path] for path in in_shards} == {path: before[path] for path in in_shards}


def test_other_bytes_are_looked_at_anew(bench: Bench) -> None:
    bench.web.serve("/a.jpg", html(), Answer(Flipped(Picture(SIZE, "a"), 900)), host=HOST)
    rows = bench.rows([row("a")])
    assert bench.mirror(rows).code == 1
    assert fetcher("triage", bench.directory).code == 0
    assert kinds(bench) == {"a": "html"}
    assert fetcher("retry", bench.directory, "--state", "mismatched").code == 0
    assert bench.mirror(rows).code == 1
    assert fetcher("triage", bench.directory, "--json").json["looked_at"] == 1
    assert kinds(bench) != {"a": "html"}


def test_where_there_is_no_manifest_it_says_so(tmp_path: Path) -> None:
    done = fetcher("triage", tmp_path)
    assert done.code == 2
    assert "no manifest" in done.err
    assert list(tmp_path.iterdir()) == []

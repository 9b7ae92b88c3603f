"""Rows of Open Images itself, over HTTPS under the names of its own hosts."""

from __future__ import annotations

import csv
import io
import tarfile
from collections import Counter
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import pytest

from fetcher.demo.images import md5_of
from fetcher.demo.steps import Answer, Picture
from scripts.proofs.mirrors import Row
from tests.e2e.conftest import Bench

SERVED: Final = 220
ROWS: Final = 3_000
MANY: Final = {"hosts": {"default": {"rate": "unlimited", "concurrency": 64}}}


@pytest.fixture(scope="module")
def smallest(sample_list: Path) -> list[Row]:
    rows: list[Row] = []
    with tarfile.open(sample_list) as archive:
        for member in archive:
            file = archive.extractfile(member)
            if file is None:
                continue
            for row in csv.DictReader(io.TextIOWrapper(file, "utf-8", newline="")):
                size, md5 = row["OriginalSize"], row["OriginalMD5"]
                url, subset = row["OriginalURL"], Path(member.name).parent.name
                rows.append(Row(row["ImageID"], url, size, md5, subset, row["Title"]))
    assert len(rows) == ROWS
    return sorted(rows, key=lambda row: int(row.size))[:SERVED]


def serve(bench: Bench, rows: list[Row]) -> dict[str, bytes]:
    """Pictures of the listed sizes; their bytes by image id."""
    for row in rows:
        url = urlsplit(row.url)
        shown = Answer(Picture(int(row.size), row.image_id))
        bench.web.serve(url.path, shown, host=url.hostname)
    return {row.image_id: Picture(int(row.size), row.image_id).data() for row in rows}


def test_the_list_as_packed(bench: Bench, sample_list: Path, smallest: list[Row]) -> None:
    """All rows are accepted; what the web has is of the listed size, and another image."""
    served = serve(bench, smallest)
    done = bench.mirror(sample_list, config=bench.config(MANY))
    assert done.code == 1
    assert bench.status()["rows"] == {
        "read": ROWS, "accepted": ROWS, "duplicate": 0, "rejected": 0,
    }  # fmt: skip
    images = bench.images()
    assert Counter((image.state, image.code) for image in images.values()) == {
        ("mismatched", "md5-mismatch"): SERVED,
        ("gone", "http-404"): ROWS - SERVED,
    }
    for image_id, data in served.items():
        image = images[image_id]
        assert image.path == f"mismatched/{image.subset}/{image_id[:3]}/{image_id}.jpg"
        assert (bench.directory / image.path).read_bytes() == data
        assert image.actual_size == image.expected_size
    assert {request.scheme for request in bench.web.requests} == {"https"}
    assert len({request.host for request in bench.web.requests}) == 16
    assert bench.web.count() == ROWS


def test_with_the_md5_of_what_is_served(bench: Bench, smallest: list[Row]) -> None:
    served = serve(bench, smallest)
    rows = [
        Row(row.image_id, row.url, row.size, md5_of(served[row.image_id]), row.subset, row.title)
        for row in smallest
    ]
    done = bench.mirror(bench.rows(rows), config=bench.config(MANY))
    assert done.code == 0
    for image in bench.images().values():
        assert image.state == "verified"
        assert image.path == f"images/{image.subset}/{image.image_id[:3]}/{image.image_id}.jpg"


def test_resumed_from_the_archive_nothing_is_asked_again(bench: Bench, sample_list: Path) -> None:
    config = bench.config(MANY)
    assert bench.mirror(sample_list, config=config, options="--limit 700").code == 3
    assert bench.web.count() == 700
    assert bench.mirror(sample_list, config=config).code == 1
    assert bench.web.count() == ROWS
    assert bench.status()["rows"]["accepted"] == ROWS

"""The first 1,000 rows of each V3 subset, as the original packaging has them."""

from __future__ import annotations

from collections import Counter

import pytest

from fetcher.errors import SourceError
from fetcher.model import Row, Selection
from fetcher.source import ColumnNames, open_list
from tests.source.samples import SAMPLE, Read, read, real_rows

pytestmark = real_rows


@pytest.fixture(scope="module")
def whole() -> Read:
    return read(SAMPLE / "images.tar.gz")


@pytest.fixture(scope="module")
def by_id(whole: Read) -> dict[str, dict[str, str]]:
    return {
        row.image_id: dict(zip(whole.extra_columns, row.extra, strict=True)) for row in whole.rows
    }


def test_all_are_accepted(whole: Read) -> None:
    assert whole.bad == []
    assert Counter(row.subset for row in whole.rows) == {
        "train": 1000,
        "validation": 1000,
        "test": 1000,
    }
    assert len(set(whole.ids)) == 3000
    assert all(row.expected.size and row.expected.md5 for row in whole.rows)
    assert all(row.url.startswith("https://") for row in whole.rows)


def test_the_folder_is_the_subset() -> None:
    for table in open_list(SAMPLE / "images.tar.gz", ColumnNames(), Selection()).tables():
        (subset,) = {row.subset for row in table.rows() if isinstance(row, Row)}
        assert table.info.member == f"2017_11/{subset}/images.csv"


TITLES_WITH = (
    ("000629b063edd017", "\\"),
    ("00014eee4d8a4f8f", "&quot;"),
    ("000002b97e5471a0", "&#x27;"),
    ("00001bc2c4027449", ","),
)


@pytest.mark.parametrize(("image_id", "part"), TITLES_WITH)
def test_text_is_kept_as_it_is(by_id: dict[str, dict[str, str]], image_id: str, part: str) -> None:
    extra = by_id[image_id]
    assert part in extra["Author"] + extra["Title"]


@pytest.mark.parametrize(
    ("image_id", "low", "high"),
    [("0000c6a19dd90621", 0x3000, 0x9FFF), ("002fae7598f8be2b", 0x600, 0x6FF)],
)
def test_scripts(by_id: dict[str, dict[str, str]], image_id: str, low: int, high: int) -> None:
    text = by_id[image_id]["Author"] + by_id[image_id]["Title"]
    assert any(low <= ord(character) <= high for character in text)


def test_no_thumbnail(by_id: dict[str, dict[str, str]]) -> None:
    assert by_id["0000418f7ade0445"]["Thumbnail300KURL"] == ""


def test_smallest_and_largest(whole: Read) -> None:
    sizes = {row.image_id: row.expected.size or 0 for row in whole.rows}
    assert min(sizes, key=sizes.__getitem__) == "0330e4bfb56e7d83"
    assert max(sizes, key=sizes.__getitem__) == "00dfa4d7e9a154ca"


@pytest.mark.parametrize(
    "archive",
    ["annotations_human", "annotations_human_bbox", "annotations_machine", "classes"],
)
def test_annotations_are_no_image_lists(archive: str) -> None:
    with pytest.raises(SourceError):
        read(SAMPLE / f"{archive}.tar.gz")

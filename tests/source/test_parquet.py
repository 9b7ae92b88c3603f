"""A Parquet list reads as the same list in CSV does, or is refused."""

from __future__ import annotations

import sys
from base64 import b64decode
from pathlib import Path
from typing import Any

import pytest

from fetcher.errors import MissingExtraError, SourceError
from fetcher.model import Expectation, Selection
from fetcher.source import ColumnNames, open_list
from tests.source.samples import IDS, IMAGES, MD5, V4, csv_text, read, write

pyarrow = pytest.importorskip("pyarrow")
parquet_files = pytest.importorskip("pyarrow.parquet")


def parquet(path: Path, columns: dict[str, Any]) -> Path:
    parquet_files.write_table(pyarrow.table(columns), path, row_group_size=2)
    return path


def test_reads_as_the_csv_would(tmp_path: Path) -> None:
    columns = {name: [image[name] for image in IMAGES] for name in V4}
    path = parquet(tmp_path / "a-name-that-says-nothing", columns)
    assert read(path) == read(write(tmp_path / "a.csv", csv_text(V4)))


def test_types(tmp_path: Path) -> None:
    columns = {
        "id": [1, 2, 3],
        "url": pyarrow.array([b"https://a.example/1", b"https://a.example/2", b""]),
        "size": [7.0, float("nan"), None],
        "md5": pyarrow.array([b64decode(MD5), None, MD5.encode()]),
        "score": [0.5, None, 1.0],
        "picture": pyarrow.array([b"\xff", b"", b""]),
        "embedding": [[0.1], [], [0.2]],
    }
    got = read(parquet(tmp_path / "a.parquet", columns))
    assert got.ids == ["1", "2", "3"]
    assert [row.url for row in got.rows] == ["https://a.example/1", "https://a.example/2", ""]
    assert [row.expected for row in got.rows] == [
        Expectation(7, MD5),
        Expectation(),
        Expectation(None, MD5),
    ]
    assert got.extra_columns == ("score",)
    assert [row.extra for row in got.rows] == [("0.5",), ("",), ("1.0",)]


def test_what_python_has_no_value_for(tmp_path: Path) -> None:
    columns = {
        "url": ["https://a.example/1", "https://a.example/2"],
        "day": pyarrow.array([2**31 - 1, None], pyarrow.date32()),
        "title": ["a\0b", ""],
    }
    got = read(parquet(tmp_path / "a.parquet", columns))
    (day, title), nothing = (row.extra for row in got.rows)
    assert (len(day) > 10, title, nothing) == (True, "a\x1ab", ("", ""))


def test_bad_rows_and_selection(tmp_path: Path) -> None:
    columns = {"id": ["a", "../b", "c"], "url": ["u", "u", "u"], "size": [-1, 2, 3]}
    path = parquet(tmp_path / "a.parquet", columns)
    got = read(path)
    assert [(bad.line, bad.reason) for bad in got.bad] == [(2, "bad-size"), (3, "unsafe-id")]
    assert read(path, selection=Selection(ids=frozenset({"c"}))).ids == ["c"]
    (table,) = open_list(path, ColumnNames(), Selection()).tables()
    assert [row.line for row in table.rows(after_line=3)] == [4]


@pytest.mark.parametrize(
    ("columns", "says"),
    [({"id": ["a"]}, "no column of its header holds URLs"), ({"URL": [], "url": []}, "more than")],
)
def test_no_list(tmp_path: Path, columns: dict[str, Any], says: str) -> None:
    with pytest.raises(SourceError, match=says):
        read(parquet(tmp_path / "a.parquet", columns))


def test_cut(tmp_path: Path) -> None:
    columns = {name: [image[name] for image in IMAGES] for name in V4}
    path = parquet(tmp_path / "a.parquet", columns)
    for cut in range(4, path.stat().st_size, 97):
        with pytest.raises(SourceError, match="damaged"):
            read(write(tmp_path / "cut.parquet", path.read_bytes()[:cut]))


def test_damaged_in_the_middle(tmp_path: Path) -> None:
    columns = {"id": list(IDS), "url": ["https://a.example/"] * 3}
    path = parquet(tmp_path / "a.parquet", columns)
    data = path.read_bytes()
    with pytest.raises(SourceError, match="damaged"):
        read(write(path, data[:4] + bytes(60) + data[64:]))


def test_without_pyarrow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = parquet(tmp_path / "a.parquet", {"url": ["u"]})
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingExtraError, match=r"fetcher\[parquet\]"):
        read(path)

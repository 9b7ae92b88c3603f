"""The same tables for machines: nothing is lost, nothing is a formula, everything is documented."""

from __future__ import annotations

import csv
import io
import json
import re
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from fetcher.errors import MissingExtraError
from fetcher.evidence import Table
from fetcher.report import data
from tests.report.about import ABOUT

DOCS = (Path(__file__).parents[2] / "docs" / "report.md").read_text(encoding="utf-8")


def test_json_has_the_tables_as_they_are(tables: list[Table]) -> None:
    out = io.BytesIO()
    data.write_json(out, tables, ABOUT)
    found = json.loads(out.getvalue())
    assert found["schema"] == data.SCHEMA
    assert found["about"]["since"] == ABOUT.since
    assert found["about"]["sentence"].startswith("Of the 3,000 images listed in images.csv, ")
    read = [
        Table(f["name"], f["sql"], tuple(f["columns"]), tuple(map(tuple, f["rows"])))
        for f in found["figures"]
    ]
    assert read == tables


def test_csv_and_parquet_are_the_same_long_table(tables: list[Table]) -> None:
    text, parquet = io.BytesIO(), io.BytesIO()
    data.write_csv(text, tables, ABOUT)
    data.write_parquet(parquet, tables, ABOUT)
    header, *rows = csv.reader(io.StringIO(text.getvalue().decode(), newline=""))
    found = pq.read_table(parquet)
    assert tuple(header) == tuple(found.column_names) == data.COLUMNS
    cells = list(data.cells(tables))
    assert [tuple(row.values()) for row in found.to_pylist()] == cells
    assert found.schema.metadata[b"fetcher.version"] == ABOUT.version.encode()
    assert [
        (row[0], int(row[1]), row[2], float(row[3]) if row[3] else None, row[4]) for row in rows
    ] == [(*cell[:4], cell[4] or "") for cell in cells]


def test_text_in_a_csv_is_never_a_formula(tables: list[Table]) -> None:
    evil = replace(tables[1], rows=(("=1+1", -5, 0.5, 1, 2), ("@SUM(1)", 1, -1e-7, 1, 2)))
    out = io.BytesIO()
    data.write_csv(out, [evil], ABOUT)
    rows = list(csv.DictReader(io.StringIO(out.getvalue().decode(), newline="")))
    assert [row["text"] for row in rows if row["column"] == "state"] == ["'=1+1", "'@SUM(1)"]
    # A negative number is a number.
    assert [row["number"] for row in rows if row["column"] == "images"] == ["-5", "1"]


@given(st.text())
def test_tamed_text_is_the_text_or_has_an_apostrophe_before_it(text: str) -> None:
    assert data.tame(text) in {text, f"'{text}"}
    assert not data.tame(text).startswith(("=", "+", "-", "@", "\t", "\r", "\n"))


def test_without_pyarrow_it_says_what_to_install(
    tables: list[Table], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(MissingExtraError) as caught:
        data.write_parquet(io.BytesIO(), tables, ABOUT)
    assert "fetcher[parquet]" in caught.value.hint


def test_every_figure_and_column_is_documented(tables: list[Table]) -> None:
    rows = [line for line in DOCS.splitlines() if line.startswith("| `")]
    documented = {line.split("|")[1].strip().strip("`"): line for line in rows}
    states = {"pending", "verified", "unverified", "alive", "mismatched", "gone", "denied"}
    for table in tables:
        line = documented[table.name]
        words = set(re.findall(r"`([^`]+)`", line))
        assert set(table.columns) - words - (states | {"failed", "invalid"}) == set(), table.name


def test_nothing_is_documented_that_does_not_exist(tables: list[Table]) -> None:
    section = DOCS.split("## Figures", 1)[1].split("\n## ", 1)[0]
    names = re.findall(r"^\| `([^`]+)`", section, flags=re.MULTILINE)
    assert names == [table.name for table in tables]

"""Rows are written once each, however many there are, and little is filled up in vain."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fetcher.manifest.bulk import Bulk

INTO = Bulk(
    "INSERT INTO t SELECT * FROM (VALUES {rows}) WHERE column1 IS NOT NULL",
    width=2,
)


@given(st.integers(0, 3_000))
def test_every_row_is_written_once_and_in_order(count: int) -> None:
    rows = [(n, f"text {n}") for n in range(count)]
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute("CREATE TABLE t (n, text)")
        INTO.write(connection, rows)
        assert connection.execute("SELECT * FROM t ORDER BY rowid").fetchall() == rows


@pytest.mark.parametrize(
    ("count", "sizes"),
    [
        (1, [16]),
        (17, [16, 16]),
        (24, [32]),
        (40, [32, 16]),
        (64, [64]),
        (96, [128]),
        (100, [128]),
        (95, [64, 32]),
        (2_000, [1024, 1024]),
        (1_100, [1024, 64, 16]),
    ],
)
def test_sizes(count: int, sizes: list[int]) -> None:
    statements = INTO._statements([(n, "") for n in range(count)], ())
    assert [len(values) // 2 for _, values in statements] == sizes


@given(st.integers(1, 10_000))
def test_a_quarter_is_filled_up_at_most(count: int) -> None:
    bound = sum(len(values) for _, values in INTO._statements([(0, "")] * count, ())) // 2
    assert bound - count <= max(15, bound // 4)

"""What goes into passages comes out of them, in pages of a bounded size."""

from __future__ import annotations

import csv
import io
import sqlite3
from collections.abc import Sequence
from contextlib import closing

from hypothesis import example, given
from hypothesis import strategies as st

from fetcher.manifest.migrations.m11_passages import STATEMENTS
from fetcher.manifest.passages import PAGE, WRONG, cells, put
from tests.lines.cutting import _lines

CELLS = st.text(st.characters(exclude_characters='"\r\n\0', exclude_categories=["Cs"]), max_size=30)
ROWS = st.integers(1, 4).flatmap(
    lambda width: st.lists(
        st.lists(CELLS, min_size=width, max_size=width), min_size=1, max_size=400
    )
)


def passages(rows: Sequence[Sequence[str]], delimiter: str) -> list[tuple[int, int, str]]:
    """Of rows that have nothing else."""
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter, lineterminator="\n").writerows(rows)
    written = text.getvalue().encode()
    cuts = _lines.cut(written, b"x" * len(rows[0]), delimiter)
    assert cuts is not None
    found: list[tuple[int, int, str]]
    found = _lines.passages([(written, cuts)], 1, (0,), delimiter, '""', PAGE)
    return found


@given(rows=ROWS, delimiter=st.sampled_from([",", "\t"]), times=st.integers(1, 40))
@example([["雨" * 2_000]], ",", 3)
@example([["x" * 3_000], ["é" * 30]], ",", 20)
def test_there_and_back(rows: list[list[str]], delimiter: str, times: int) -> None:
    rows *= times
    found = passages(rows, delimiter)
    assert [row for *_, text in found for row in cells(text)] == rows
    assert [first for first, *_ in found] == [
        1 + sum(count for _, count, _ in found[:n]) for n in range(len(found))
    ]
    assert all(count == 1 or len(text.encode()) <= PAGE for _, count, text in found)


def test_pages_are_full() -> None:
    found = passages([["é" + "x" * 150]] * 1_000, ",")
    assert all(len(text.encode()) > PAGE - 153 for *_, text in found[:-1])


def test_a_text_of_one_page_is_one_page() -> None:
    """With numbers as large as they get, and none of it on a page of its own."""
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute(STATEMENTS[0])
        before = connection.execute("PRAGMA page_count").fetchone()[0]
        for n in range(50):
            values = (10**9 + n, 1_000, 100, 10**9 + n, 100, 10, 10**6, "x" * PAGE)
            connection.execute("INSERT INTO passages VALUES (?, ?, ?, ?, ?, ?, ?, ?)", values)
        after = connection.execute("PRAGMA page_count").fetchone()[0]
        assert after - before <= 50 + 1  # one that leads to the others


def test_the_cell_that_is_kept_apart() -> None:
    assert put(["a", "b"], 1, "c") == ["a", "c", "b"]
    assert put(["a"], None, None) == ["a"]
    assert put(["a"], 0, "") == ["", "a"]


def test_a_damaged_passage_is_told() -> None:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        connection.execute(STATEMENTS[0])
        insert = "INSERT INTO passages VALUES (?, ?, 1, 2, 1, 0, ?, ?)"
        connection.execute(insert, (1, 2, 7, ",a\nb"))
        connection.execute(insert, (3, 1, "[7]", ","))
        assert connection.execute(WRONG).fetchone() is None
        for n, wrong in enumerate([(1, 7, ",a\nb"), (2, 7, ",a"), (1, "[7", ",a")], 4):
            connection.execute("BEGIN")
            connection.execute(insert, (n, *wrong))
            assert connection.execute(WRONG).fetchone() is not None
            connection.execute("ROLLBACK")

"""Whatever is taken for ordinary is the row that csv and ``RowMaker`` would have made of it."""

from __future__ import annotations

import io
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fetcher import lines as extension
from fetcher.model import BadRow, Row, Selection, SourceInfo
from fetcher.source import ColumnNames, open_list
from fetcher.source.columns import resolve
from fetcher.source.ordinary import Span, ordinary
from fetcher.source.table import RowMaker, Table
from fetcher.source.text import MAX_FIELD, Block, record_reader
from tests.source.samples import MD5, SAMPLE, V1_V5, csv_text, real_rows, write

HEADER = "ImageID,Author,OriginalURL,Subset,OriginalSize,Title,OriginalMD5,Rotation"
PLAIN = ("a1", '"Wanda"', "https://a.example/1.jpg", "train", "7", '"Kites, far"', MD5, "nan")


def titled(title: str) -> tuple[str, ...]:
    return (*PLAIN[:5], title, *PLAIN[6:])


CELLS: tuple[tuple[str, ...], ...] = (
    ("a1", "-_Z", "x" * 64, "x" * 65, "", "a.b", "é", '"a1"', " a1"),
    ('"W"', "W", "", '""', '"a ""b"" c"', 'a"b', '"a"b', ' "a"', "\\", '"a\nb"'),
    (
        "https://a.example/1.jpg",
        "http://127.0.0.1:8080/\\x?y#z~!",
        "http://a/",
        "https://a.example",
        "HTTPS://a.example/",
        "https://u@a.example/",
        "ftp://a.example/1",
        " https://a.example/1",
        "https://a.example/\x7f",
        '"https://a.example/1,2"',
        "",
    ),
    ("train", "", "t" * 65, "a/b", "..", '"train"'),
    ("7", "", "0", "07", "9" * 15, "9" * 16, str(2**53), "7.0", "-1", "many"),
    ('"K"', "K", "", '"a,b"', "\t", '"a\tb"', "雨 🚢", "\u2028", '"\r"', "\x1a"),
    (MD5, "", MD5[:-3] + "x==", MD5[:-2], "104190d1943f3b12402067c9c7a2ccbf"),
    ("nan", "", "0.0", '"90.0"'),
)
ODD = tuple(
    (*PLAIN[:at], cell, *PLAIN[at + 1 :]) for at, column in enumerate(CELLS) for cell in column
)
"""Lines with one cell that is perhaps not ordinary."""
ENDS = st.sampled_from(["\n", "\n", "\n", "\r\n", "\r", "\n\n", ""])
LINES = st.lists(
    st.tuples(
        # Nearly all lines are ordinary, or no two of them would come together.
        st.just(PLAIN)
        | st.sampled_from([*ODD])
        | st.tuples(*map(st.sampled_from, CELLS))
        | st.sampled_from([(), ("a1",), (*PLAIN, "more"), ('"stray',), ("junk ", *PLAIN)]),
        ENDS,
    ),
    max_size=12,
)


cut_here = pytest.mark.skipif(extension.cut is None, reason="the extension is not built here")


def table_of(blocks: Sequence[str], *, looked_at: bool, selection: Selection) -> Table:
    """Of blocks of whole lines; with ``looked_at``, every row goes the long way."""
    records = record_reader(map(Block.of, blocks), ",")
    layout = resolve(next(records), ColumnNames(), "a list")
    assert layout is not None
    maker = RowMaker(layout, selection)
    if looked_at:
        maker.ordinary = None
    return Table(SourceInfo("a list", None, layout.extra_names), records, maker)


def in_blocks(text: str, cuts: Sequence[int]) -> list[str]:
    """Cut behind lines, as ``blocks_of`` cuts."""
    lines = io.StringIO(text, newline="").readlines()
    edges = sorted({0, len(lines), *(cut % (len(lines) + 1) for cut in cuts)})
    return ["".join(lines[start:end]) for start, end in pairwise(edges)]


@pytest.mark.parametrize("cells", ODD, ids=",".join)
def test_one_cell_that_may_be_odd(cells: tuple[str, ...]) -> None:
    text = ",".join(cells) + "\n"
    short, long = (
        table_of([f"{HEADER}\n", text], looked_at=way, selection=Selection())
        for way in (False, True)
    )
    assert list(short.rows()) == list(long.rows())


@settings(max_examples=200)
@given(
    lines=LINES,
    cuts=st.lists(st.integers(0, 30), max_size=6),
    after=st.integers(0, 20),
    selection=st.sampled_from([Selection(), Selection(subsets=frozenset({"train"}))]),
)
@example([(("junk ", *PLAIN), "\n"), (PLAIN, "\n")], [1], 0, Selection())
@example([(('"stray',), "\n"), (PLAIN, "\n"), (PLAIN, "\n")], [1, 2, 3], 0, Selection())
@example([(PLAIN, "\r\n"), (PLAIN, "\n"), (PLAIN, "")], [1], 2, Selection())
@example([(titled('"a\rb"'), "\n"), (PLAIN, "\n")], [1], 0, Selection())
@example([(titled("a\rb"), "\n"), (PLAIN, "\r\n")], [1], 0, Selection())
def test_the_short_way_and_the_long_way_make_the_same_rows(
    lines: list[tuple[tuple[str, ...], str]], cuts: list[int], after: int, selection: Selection
) -> None:
    text = HEADER + "\n" + "".join(",".join(cells) + end for cells, end in lines)
    blocks = in_blocks(text, cuts)
    short = table_of(blocks, looked_at=False, selection=selection)
    long = table_of(blocks, looked_at=True, selection=selection)
    assert list(short.rows(after)) == list(long.rows(after))
    assert short.last_row == long.last_row


@given(text=st.text(st.sampled_from('a0,"\n\r\\ /:.htps='), max_size=60), cut=st.integers(0, 60))
def test_any_text_at_all(text: str, cut: int) -> None:
    blocks = in_blocks("id,url,title\n" + text, [cut])
    tables = [table_of(blocks, looked_at=way, selection=Selection()) for way in (False, True)]
    short, long = ([*table.rows()] for table in tables)
    assert short == long


@cut_here
def test_spans_are_met_again_behind_what_is_odd() -> None:
    plain, odd = ",".join(PLAIN) + "\n", 'a2,"a\nb",no,,?,,,\n'
    blocks = [HEADER + "\n", plain * 5, plain * 2 + odd, plain * 3, odd, plain]
    parts = list(table_of(blocks, looked_at=False, selection=Selection()).parts())
    shown = [part.through - part.line + 1 if isinstance(part, Span) else part for part in parts]
    assert [type(part) for part in shown] == [int, Row, Row, BadRow, int, BadRow, int]
    assert [part for part in shown if isinstance(part, int)] == [5, 3, 1]
    assert [part.line for part in parts] == [2, 7, 8, 9, 11, 14, 16]


def test_a_list_of_another_kind_is_soon_known_for_one() -> None:
    plain, odd = ",".join(PLAIN) + "\n", "a b,,,,,,,\n"
    blocks = [HEADER + "\n", *[odd] * 300, plain]
    table = table_of(blocks, looked_at=False, selection=Selection())
    assert not any(isinstance(part, Span) for part in table.parts())


def test_a_cell_that_csv_refuses_is_refused() -> None:
    lines = [",".join((*PLAIN[:5], "x" * (MAX_FIELD + 1), *PLAIN[6:])), ",".join(PLAIN)]
    table = table_of(
        [f"{HEADER}\n", "\n".join(lines) + "\n"], looked_at=False, selection=Selection()
    )
    assert [type(row) for row in table.rows()] == [BadRow, Row]


@pytest.mark.parametrize("header", ["URL,Title", "ImageID,URL"])
def test_layouts_whose_rows_must_all_be_looked_at(header: str) -> None:
    columns = ColumnNames(id="URL") if header.startswith("ImageID") else ColumnNames()
    layout = resolve(header.split(","), columns, "a list")
    assert layout is not None
    assert ordinary(layout, ",", "", decimal_ids=False) is None


@cut_here
def test_a_tab_parts_cells_as_a_comma_does(tmp_path: Path) -> None:
    lines = ["id\turl\ttitle", 'a1\thttps://a.example/1\t"a, b"', "a2\thttps://a.example/2\tc, d"]
    path = write(tmp_path / "a.tsv", "\n".join([*lines, ""]))
    (table,) = open_list(path, ColumnNames(), Selection()).tables()
    (span,) = table.parts()
    assert isinstance(span, Span)
    assert [row.extra for row in table.rows_of(span)] == [("a, b",), ("c, d",)]


@cut_here
@real_rows
def test_nearly_all_real_rows_are_ordinary() -> None:
    for table in open_list(SAMPLE / "images.tar.gz", ColumnNames(), Selection()).tables():
        parts = list(table.parts())
        assert sum(isinstance(part, Span) for part in parts) > 0
        odd = [part for part in parts if not isinstance(part, Span)]
        assert len(odd) < 300  # the last block of each file may have no more than these


@cut_here
def test_a_licence_in_quotes(tmp_path: Path) -> None:
    """It is kept apart from what else nobody looks at."""
    lines = ["id,url,title,license,author", 'a1,https://a.example/1,"a, b","by, or so",W']
    path = write(tmp_path / "a.csv", "\n".join([*lines, ""]))
    (table,) = open_list(path, ColumnNames(), Selection()).tables()
    (span,) = table.parts()
    assert isinstance(span, Span)
    assert [row.extra for row in table.rows_of(span)] == [("a, b", "by, or so", "W")]


@cut_here
def test_what_a_spreadsheet_writes_is_ordinary(tmp_path: Path) -> None:
    text = csv_text(V1_V5).replace("\n", "\r\n")
    (table,) = open_list(write(tmp_path / "a.csv", text), ColumnNames(), Selection()).tables()
    (span,) = table.parts()
    assert isinstance(span, Span)
    assert (span.line, span.through) == (2, 4)

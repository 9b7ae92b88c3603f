"""Pages that were laid out here are pages to SQLite, and have the rows that they were made of."""

from __future__ import annotations

import sqlite3
from array import array
from collections.abc import Sequence
from contextlib import closing
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fetcher.lines import Part
from tests.lines.cutting import _lines, parts_of, width_of

_pages = pytest.importorskip(
    "fetcher.manifest._pages", reason="the extension is not built here", exc_type=ImportError
)

KINDS = "ilnd"
WIDTH = width_of(KINDS)
MD5 = "mR0ynQmMtzRZwuGDcuPnZA=="
NUMBERS = [
    *(0, 1, 2, 127, 128, 2**15 - 1, 2**15, 2**23, 2**31 - 1, 2**31, 2**47, 2**63 - 1),
    *(-1, -128, -129, -(2**15) - 1, -(2**31), -(2**47) - 1, -(2**63)),
]
TABLE = "CREATE TABLE t (n INTEGER PRIMARY KEY, id TEXT, title TEXT, size INTEGER, md5 TEXT, x INT)"

LINES = st.lists(
    st.tuples(
        st.sampled_from(["a", "b" * 64]),
        st.text("aé雨", max_size=9)
        | st.integers(100, 131).map("a".__mul__)
        | st.integers(400, 520).map("a".__mul__),
        st.sampled_from(["", "1", "127", "128", "65536", "9" * 15]),
        st.sampled_from(["", MD5]),
    ),
    min_size=1,
    max_size=60,
)


def database(page: int, parts: Sequence[Part], codes: Sequence[int]) -> sqlite3.Connection | None:
    """With one table, of these rows."""
    connection = sqlite3.connect(":memory:")
    connection.execute(f"PRAGMA page_size = {page}")
    connection.execute("CREATE TABLE before (x)")
    connection.execute(TABLE)
    connection.commit()
    root = connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = 't'").fetchone()[0]
    image = bytearray(connection.serialize())
    columns = (None, ("t", 0), ("t", 1), ("n", 2), ("?", 3), (bytes(array("I", codes)), NUMBERS))
    laid = _pages.lay(parts, WIDTH, columns, page, len(image) // page + 1)
    if laid is None:
        connection.close()
        return None
    image[(root - 1) * page : root * page], leaves = laid
    image += leaves
    image[28:32] = (len(image) // page).to_bytes(4, "big")
    connection.deserialize(bytes(image))
    return connection


def rows_of(lines: Sequence[tuple[str, ...]], codes: Sequence[int]) -> list[tuple[Any, ...]]:
    return [
        (n, image_id, title, int(size) if size else None, md5 or None, NUMBERS[code])
        for n, ((image_id, title, size, md5), code) in enumerate(
            zip(lines, codes, strict=True), start=1
        )
    ]


@settings(max_examples=200)
@given(
    lines=LINES,
    edges=st.lists(st.integers(0, 60), max_size=3),
    page=st.sampled_from([512, 1024, 32768]),
    seed=st.integers(0, 1000),
)
@example(lines=[("a", "", "", "")], edges=[], page=512, seed=0)
@example(lines=[("a", "b" * 400, "", "")] * 60, edges=[], page=512, seed=0)
def test_what_sqlite_reads(
    lines: list[tuple[str, ...]], edges: list[int], page: int, seed: int
) -> None:
    codes = [(seed + n) % len(NUMBERS) for n in range(len(lines))]
    made = database(page, parts_of(lines, KINDS, edges), codes)
    if made is None:
        assert page == 512  # a title has up to 520
        assert max(len("".join(cells).encode()) for cells in lines) > 512 - 35 - 30
        return
    with closing(made) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("SELECT * FROM t ORDER BY n").fetchall() == rows_of(lines, codes)
        for n in (1, len(lines), len(lines) + 1):  # sought from the root
            found = connection.execute("SELECT n FROM t WHERE n = ?", (n,)).fetchall()
            assert found == [(n,)] * (n <= len(lines))
        # Pages like any others: what is in them can be changed, and taken away.
        connection.execute("UPDATE t SET title = title || title, md5 = NULL WHERE n % 2")
        connection.execute("DELETE FROM t WHERE n % 3 = 0")
        connection.execute("INSERT INTO t (title) VALUES ('behind')")
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


@pytest.mark.parametrize("page", [512, 4096, 8192, 32768])
def test_the_longest_row_that_a_page_can_have(page: int) -> None:
    """SQLite keeps a record of so many bytes whole, and parts a longer one."""
    short = ("a", "", "", "")
    fits = [
        length
        for length in range(page - 60, page)
        if database(page, parts_of([short, ("a", "b" * length, "", ""), short], KINDS), [0] * 3)
    ]
    # Behind its header: the types of six columns, that of the title two or three bytes long.
    header = 1 + 5 + (2 if 13 + 2 * fits[-1] < 1 << 14 else 3)
    assert fits == [*range(page - 60, page - 35 - header - len("a") + 1)]


def test_more_leaves_than_a_root_can_lead_to() -> None:
    lines = [("a", "b" * 400, "", "")] * 80
    most = max(n for n in range(1, 80) if database(512, parts_of(lines[:n], KINDS), [0] * n))
    assert 60 < most < 79
    assert not database(512, parts_of(lines[: most + 1], KINDS), [0] * (most + 1))


PART = parts_of([("a", "", "", "")], KINDS)[0]
CODE = bytes(array("I", [0]))


@pytest.mark.parametrize(
    ("columns", "page", "first"),
    [
        ((("t", WIDTH),), 4096, 2),
        ((("t", -1),), 4096, 2),
        ((("q", 0),), 4096, 2),
        ((["t", 0],), 4096, 2),
        (((CODE, []),), 4096, 2),
        (((CODE + CODE, [1]),), 4096, 2),
        (((CODE[:-1], [1]),), 4096, 2),
        (((CODE, [1 << 63]),), 4096, 2),
        (((CODE, ["1"]),), 4096, 2),
        ((None,) * 17, 4096, 2),
        ((), 256, 2),
        ((), 513, 2),
        ((), 65536, 2),
        ((), 4096, 1),
        ((), 4096, 1 << 40),
    ],
)
def test_what_cannot_be_laid_out(columns: tuple[Any, ...], page: int, first: int) -> None:
    with pytest.raises((IndexError, OverflowError, TypeError, ValueError)):
        _pages.lay([PART], WIDTH, columns, page, first)


def test_lines_are_read_as_long_as_they_are() -> None:
    """And no byte further, whatever the cuts say."""
    text, cuts = PART
    with pytest.raises(ValueError, match="another text"):
        _pages.lay([(text[:1], cuts)], WIDTH, (("t", 0),), 4096, 2)
    assert _lines.cells([PART], WIDTH) == [("a", "", "", "")]

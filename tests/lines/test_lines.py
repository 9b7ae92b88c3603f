"""What is done with lines that were cut is what Python would do with their cells."""

from __future__ import annotations

from array import array
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.lines.cutting import _lines, parts_of, width_of

KINDS = "iuxn"
WIDTH = width_of(KINDS)
ID, URL, ORIGIN, TITLE, SIZE = range(WIDTH)

LINES = st.lists(
    st.tuples(
        st.sampled_from(["a", "b", "c-1"]),
        st.sampled_from(["https://a/1", "https://a/2", "http://b:80/"]),
        st.sampled_from(["", "é", '"x, y"', "a" * 30, "雨" * 9]),
        st.sampled_from(["", "7", "9" * 15]),
    ),
    max_size=30,
)
EDGES = st.lists(st.integers(0, 30), max_size=3)


@given(lines=LINES, edges=EDGES)
def test_cells_are_those_that_were_written(lines: list[tuple[str, ...]], edges: list[int]) -> None:
    found = _lines.cells(parts_of(lines, KINDS, edges), WIDTH)
    assert [(one[ID], one[URL], one[TITLE], one[SIZE]) for one in found] == lines
    assert all(one[URL].startswith(one[ORIGIN] + "/") for one in found)


@given(lines=LINES, edges=EDGES, place=st.sampled_from([-1, ID, ORIGIN, TITLE, SIZE]))
def test_a_tally_has_every_text_once(
    lines: list[tuple[str, ...]], edges: list[int], place: int
) -> None:
    parts = parts_of(lines, KINDS, edges)
    cells = [one[place] if place >= 0 else "" for one in _lines.cells(parts, WIDTH)]
    told, codes = _lines.tally(parts, WIDTH, place, SIZE)
    assert [told[code][0] for code in array("I", codes)] == cells
    assert [first for _, first, _, _ in told] == [cells.index(text) for text, *_ in told]
    assert {text: rows for text, _, rows, _ in told} == Counter(cells)
    for text, _, _, size in told:
        sizes = [int(line[3] or 0) for line, cell in zip(lines, cells, strict=True) if cell == text]
        assert size == sum(sizes)
    assert all(size == 0 for *_, size in _lines.tally(parts, WIDTH, place, -1)[0])


@given(
    lines=LINES,
    edges=EDGES,
    places=st.sampled_from([(), (TITLE,), (ID, TITLE), (TITLE, SIZE, ID)]),
    empty=st.sampled_from(["", '""']),
    most=st.integers(1, 120),
)
def test_passages_have_all_lines_in_their_order(
    lines: list[tuple[str, ...]], edges: list[int], places: tuple[int, ...], empty: str, most: int
) -> None:
    parts = parts_of(lines, KINDS, edges)
    rows = [",".join(one[at] for at in places) or empty for one in _lines.cells(parts, WIDTH)]
    found = _lines.passages(parts, WIDTH, places, ",", empty, most)
    at = 0
    for first, count, text in found:
        assert first == at + 1
        assert count >= 1
        assert text == "," + "\n".join(rows[at : at + count])
        assert len(text.encode()) <= most or count == 1
        at += count
        if at < len(rows):  # as many as fit
            assert len(f"{text}\n{rows[at]}".encode()) > most
    assert at == len(rows)


PART = parts_of([("a", "https://a/", "", "")], KINDS)[0]
ODD: list[Any] = [
    (PART[0], PART[1][:-1]),
    (PART[0][:3], PART[1]),
    (PART[0], b"\xff" * len(PART[1])),
    (PART[0].decode(), PART[1]),
    PART[:1],
    [*PART],
]


@pytest.mark.parametrize("part", ODD)
def test_what_are_no_parts(part: Any) -> None:
    with pytest.raises((TypeError, ValueError)):
        _lines.cells([part], WIDTH)
    with pytest.raises((TypeError, ValueError)):
        _lines.tally([part], WIDTH, ID, SIZE)
    with pytest.raises((TypeError, ValueError)):
        _lines.passages([PART, part], WIDTH, (TITLE,), ",", "", 100)


def test_a_sum_that_has_no_room() -> None:
    most = ("a", "https://a/", "", "9" * 15)
    told, _ = _lines.tally(parts_of([most] * 9_223, KINDS), WIDTH, ID, SIZE)
    assert told == [("a", 0, 9_223, 9_223 * (10**15 - 1))]
    with pytest.raises(OverflowError):
        _lines.tally(parts_of([most] * 9_224, KINDS), WIDTH, ID, SIZE)


@pytest.mark.parametrize("place", [WIDTH, -2, 1 << 40])
def test_what_lines_do_not_have(place: int) -> None:
    with pytest.raises(IndexError):
        _lines.tally([PART], WIDTH, ID, place if place > 0 else WIDTH)
    with pytest.raises(IndexError):
        _lines.passages([PART], WIDTH, (place,), ",", "", 100)
    with pytest.raises(ValueError, match="room"):
        _lines.passages([PART], WIDTH, (TITLE,), ",", "", 0)
    with pytest.raises(ValueError, match="cells"):
        _lines.cells([PART], 0)

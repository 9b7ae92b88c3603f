"""Which lines are ordinary, and where their cells lie."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.lines.cutting import _lines, cells

MD5 = "mR0ynQmMtzRZwuGDcuPnZA=="
URL = "https://a.example/1.jpg"

# What each kind of cell is, once more; as ``fetcher.lines.Cut`` says it.
SAID = {
    "i": r"[A-Za-z0-9_-]{1,64}",
    "s": r"[A-Za-z0-9_-]{0,64}",
    "u": r"https?://[a-z0-9.:-]+/[!#-+\--~]*",
    "n": "[1-9][0-9]{0,14}|",
    "d": "[A-Za-z0-9+/]{21}[AQgw]==|",
    "l": r'"[^"]*"|(?!")[^,]*',
    "x": r'"[^"]*"|(?!")[^,]*',
}
ORDINARY = {
    "i": ("a1", "-_Z", "x" * 64),
    "s": ("train", "", "t" * 64),
    "u": (URL, "http://127.0.0.1:8080/\\x?y#z~!", "http://a/", "https://-/+"),
    "n": ("7", "", "9" * 15),
    "d": (MD5, ""),
    "l": ("", '""', '"W"', "W", 'a"b', ' "a"', "\\", "雨 🚢", "\u2028", "\x1a"),
    "x": ("", '"a,b"', "\t", '"a\tb"', "é"),
}
ODD = {
    "i": ("", "x" * 65, "a.b", "é", '"a1"', " a1", "a1 "),
    "s": ("t" * 65, "a/b", "..", '"train"'),
    "u": (
        "",
        "https://a.example",
        "HTTPS://a.example/",
        "https://A.example/",
        "https://u@a.example/",
        "https:///",
        "http:/a/",
        "httpss://a/",
        "ftp://a.example/1",
        " https://a.example/1",
        "https://a.example/\x7f",
        "https://a.example/é",
        '"https://a.example/1"',
        "http",
        "h",
    ),
    "n": ("0", "07", "9" * 16, "7.0", "-1", "many", " 7"),
    "d": (MD5[:-3] + "x==", MD5[:-2], MD5 + "=", "104190d1943f3b12402067c9c7a2ccbf"),
    "l": ('"a ""b"" c"', '"a"b', '"a\nb"', '"a\rb"', "a\rb", '"', '"stray'),
    "x": ('"a ""b""', '"a"b'),
}


@pytest.mark.parametrize("kind", SAID)
def test_cells_of_each_kind(kind: str) -> None:
    for at in range(3):  # at the front, between others, and at the end
        kinds = "".join("i" if n != at else kind for n in range(3))
        for cell in (*ORDINARY[kind], *ODD[kind]):
            line = ["a1", "b2", "c3"]
            line[at] = cell
            found = cells(",".join(line), kinds)
            assert (found is not None) == (cell in ORDINARY[kind]), (cell, kinds)
            if found is not None:
                ((*got,),) = found
                origin = [got.pop(at + 1)] if kind == "u" else []
                assert got == line
                assert origin == re.findall("^https?://[^/]*", cell) if kind == "u" else not origin


KINDS = st.lists(st.sampled_from("isundlx"), min_size=1, max_size=5).map("".join)
CELLS = st.sampled_from([cell for kind in SAID for cell in (*ORDINARY[kind], *ODD[kind])])


@given(
    kinds=KINDS,
    lines=st.lists(st.tuples(st.lists(CELLS, max_size=6), st.sampled_from(["\n", "\r\n"]))),
)
def test_any_line_that_is_said_to_be_ordinary_and_no_other(
    kinds: str, lines: list[tuple[list[str], str]]
) -> None:
    text = "".join(",".join(line) + end for line, end in lines) or "\n"
    expected = re.compile(",".join(f"(?:{SAID[kind]})" for kind in kinds))
    written = text.removesuffix("\n").split("\n")
    bare = [line.removesuffix("\r") for line in written]
    ordinary = all(expected.fullmatch(line) and not set("\r\n") & {*line} for line in bare)
    assert (cells(text, kinds) is not None) == ordinary


@given(text=st.text('a1,"\n\r\\ /:.htps=+\0é', max_size=60), kinds=KINDS)
def test_any_text_at_all(text: str, kinds: str) -> None:
    found = cells(text, kinds)
    if found is not None:
        assert len(found) == text.count("\n") + (not text.endswith("\n"))


def test_neighbours_that_nobody_asks_for_stay_together() -> None:
    line = f'"a",b,{URL},"c, d",e,l,"f"\n'
    assert cells(line, "xxuxxlx") == [
        ('"a",b', URL, "https://a.example", '"c, d",e', "l", '"f"'),
    ]


@pytest.mark.parametrize("text", ["", "a1", "a1\n\n", "\n", "a1\r", "a1\n\r\n", "a1\nb2"])
def test_lines_that_are_none(text: str) -> None:
    assert _lines.cut(text.encode(), b"i", ",") is None


@pytest.mark.parametrize(
    ("kinds", "delimiter"),
    [(kinds, ",") for kinds in (b"", b"a", b"i\0", b"il" * 40)]
    + [(b"i", delimiter) for delimiter in '\n\r\0é"'],
)
def test_what_cannot_be_asked_for(kinds: bytes, delimiter: str) -> None:
    with pytest.raises(ValueError, match=r"column|delimiter"):
        _lines.cut(b"a\n", kinds, delimiter)

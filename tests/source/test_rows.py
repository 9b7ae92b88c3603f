"""What becomes a row, and why others do not."""

from __future__ import annotations

import csv
import io
from base64 import b64encode
from collections.abc import Iterator
from itertools import chain, pairwise, repeat
from pathlib import Path
from unittest.mock import patch

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fetcher.model import BadRow, Row, Selection, SourceInfo
from fetcher.policy.urls import judge
from fetcher.source import REASONS, ColumnNames
from fetcher.source.columns import resolve
from fetcher.source.table import RowMaker, Table
from fetcher.source.text import MAX_FIELD, SAMPLE, blocks_of, record_reader, sample_records
from tests.source.samples import IDS, IMAGES, MD5, V1_V5, V4, csv_text, read, write

HEADER = "ImageID,Subset,OriginalURL,OriginalSize,OriginalMD5,Title\n"


CELLS = {
    "image_id": "a1",
    "subset": "train",
    "url": "https://a.example/1.jpg",
    "size": "7",
    "md5": MD5,
    "title": "t",
}


def line(image_id: str = "a1", subset: str = "train", **other: str) -> str:
    out = io.StringIO()
    values = CELLS | {"image_id": image_id, "subset": subset} | other
    csv.writer(out).writerow(values.values())
    return out.getvalue().removesuffix("\r\n") + "\n"


def one(tmp_path: Path, text: str) -> Row | BadRow:
    got = read(write(tmp_path / "a.csv", HEADER + text))
    rows: list[Row | BadRow] = [*got.rows, *got.bad]
    assert len(rows) == 1
    return rows[0]


SIZES = (
    ("", None),
    ("0", None),
    ("0.0", None),
    (" ", None),
    ("1", 1),
    ("007", 7),
    (" 7 ", 7),
    ("7.0", 7),
    ("7.", 7),
    ("7.000", 7),
    ("2038323.0", 2038323),
    (str(2**53), 2**53),
)


@pytest.mark.parametrize(("text", "size"), SIZES)
def test_sizes(tmp_path: Path, text: str, size: int | None) -> None:
    row = one(tmp_path, line(size=text))
    assert isinstance(row, Row)
    assert row.expected.size == size


BAD_SIZES = ("-1", "+1", "1.5", "1e6", "nan", "7 B", "1_000", "1,000", "٣", "0x10", "many")


@pytest.mark.parametrize("text", [*BAD_SIZES, str(2**53 + 1), "9" * 20, "9" * 5000])
def test_bad_sizes(tmp_path: Path, text: str) -> None:
    bad = one(tmp_path, line(size=text))
    assert isinstance(bad, BadRow)
    assert bad.reason == "bad-size"
    assert len(bad.detail) < 120


MD5S = (
    ("", None),
    (" ", None),
    (MD5, MD5),
    (f" {MD5} ", MD5),
    ("104190d1943f3b12402067c9c7a2ccbf".upper(), "EEGQ0ZQ/OxJAIGfJx6LMvw=="),
    ("104190d1943f3b12402067c9c7a2ccbf", "EEGQ0ZQ/OxJAIGfJx6LMvw=="),
    ("EEGQ0ZQ/OxJAIGzfJ6LMv/==", "EEGQ0ZQ/OxJAIGzfJ6LMvw=="),  # the last 4 bits mean nothing
)


@pytest.mark.parametrize(("text", "md5"), MD5S)
def test_md5s(tmp_path: Path, text: str, md5: str | None) -> None:
    row = one(tmp_path, line(md5=text))
    assert isinstance(row, Row)
    assert row.expected.md5 == md5


BAD_MD5S = (
    "EEGQ0ZQ",
    "EEGQ0ZQ/OxJAIGzfJ6LMvw",
    "EEGQ0ZQ/OxJAIGzfJ6LMvw=",
    "EEGQ0ZQ_OxJAIGzfJ6LMvw==",
    "EEGQ0ZQ/OxJAIGzf J6LMvw==",
    "AAAA",
    "=" * 24,
    "none",
    "104190d1943f3b12402067c9c7a2ccb",
    "104190d1943f3b12402067c9c7a2ccbg",
    "é" * 24,
)


@pytest.mark.parametrize("text", [*BAD_MD5S, b64encode(bytes(17)).decode()])
def test_bad_md5s(tmp_path: Path, text: str) -> None:
    bad = one(tmp_path, line(md5=text))
    assert isinstance(bad, BadRow)
    assert bad.reason == "bad-md5"


REFUSED = (
    (line(image_id=""), "missing-id"),
    (line(image_id="../../root"), "unsafe-id"),
    (line(image_id="a\x01b"), "unsafe-id"),
    (line(image_id=" a"), "unsafe-id"),
    (line(image_id="a\nb"), "unsafe-id"),
    (line(subset=".."), "unsafe-subset"),
    (line(subset="a/b"), "unsafe-subset"),
    (line(subset="s" * 201), "unsafe-subset"),
    (line(size="-5"), "bad-size"),
    (line(md5="?"), "bad-md5"),
    ("a,b\n", "wrong-column-count"),
    ("a,b,c,d,e,f,g\n", "wrong-column-count"),
    ("  \n", "wrong-column-count"),
    ("ab," * 999 + "\n", "wrong-column-count"),
    (line(title="x" * (MAX_FIELD + 1)), "oversized-field"),
)


@pytest.mark.parametrize(("text", "reason"), REFUSED, ids=lambda value: str(value)[-20:])
def test_refused_with_a_reason_and_what_was_read(tmp_path: Path, text: str, reason: str) -> None:
    got = read(write(tmp_path / "a.csv", HEADER + line("before") + text + line("after")))
    (bad,) = got.bad
    assert bad.reason == reason
    assert bad.reason in REASONS
    assert bad.detail
    assert bad.line == 3
    assert len(bad.text) <= 1000
    assert reason == "oversized-field" or bad.text == text.rstrip("\n")[:1000]
    assert got.ids == ["before", "after"]


URLS = (
    "",
    "http:///x",
    "https://user:secret@a.example/",
    "https://bücher.example/ü",
    "file:///etc/passwd",
    "ftp://a.example/x",
    "data:image/png;base64,AAAA",
    "https://a.example/with space",
)


@pytest.mark.parametrize("url", URLS)
def test_urls_are_not_judged_here(tmp_path: Path, url: str) -> None:
    row = one(tmp_path, line(url=f" {url} "))
    assert isinstance(row, Row)
    assert row.url == url


def test_without_id_and_url_there_is_no_identity(tmp_path: Path) -> None:
    got = read(write(tmp_path / "a.csv", "url,title\n,t\nhttps://a.example/1,t\n"))
    assert got.reasons == ["missing-id"]
    assert len(got.rows) == 1


class TestText:
    """The ways in which a CSV can be written."""

    def same(self, tmp_path: Path, data: bytes, columns: tuple[str, ...] = V4) -> None:
        expected = read(write(tmp_path / "plain.csv", csv_text(columns)))
        assert expected.ids == list(IDS)
        assert read(write(tmp_path / "other.csv", data)) == expected

    def test_bom(self, tmp_path: Path) -> None:
        self.same(tmp_path, b"\xef\xbb\xbf" + csv_text(V4).encode())

    @pytest.mark.parametrize("end", ["\r\n", "\r"])
    def test_line_ends(self, tmp_path: Path, end: str) -> None:
        self.same(tmp_path, csv_text(V4).replace("\n", end).encode())

    def test_no_line_end_at_the_end(self, tmp_path: Path) -> None:
        self.same(tmp_path, csv_text(V4).rstrip("\n").encode())

    def test_everything_quoted(self, tmp_path: Path) -> None:
        self.same(tmp_path, csv_text(V4, quoted=V4).encode())

    def test_columns_in_another_order_and_case(self, tmp_path: Path) -> None:
        columns = tuple(reversed(V1_V5))
        text = csv_text(columns)
        head, _, rest = text.partition("\n")
        got = read(write(tmp_path / "a.csv", f"{head.upper()}\n{rest}"))
        assert [(row.image_id, row.url) for row in got.rows] == [
            (image["ImageID"], image["OriginalURL"]) for image in IMAGES
        ]

    def test_newlines_in_a_title(self, tmp_path: Path) -> None:
        text = HEADER + line("a1", title="one\ntwo\r\nthree") + line("a2")
        got = read(write(tmp_path / "a.csv", text))
        assert [(row.line, row.image_id, row.extra) for row in got.rows] == [
            (2, "a1", ("one\ntwo\r\nthree",)),
            (5, "a2", ("t",)),
        ]

    @pytest.mark.parametrize("title", ["a\u2028b", "a\x0bb", "a\x85b", "a\x1ab", "back\\slash\\"])
    def test_what_ends_no_line(self, tmp_path: Path, title: str) -> None:
        row = one(tmp_path, line(title=title))
        assert isinstance(row, Row)
        assert row.extra == (title,)

    def test_a_nul_is_substituted(self, tmp_path: Path) -> None:
        """As SQLite takes it for the end of a text; of an id or a URL it still makes none."""
        row = one(tmp_path, line(url="https://a.example/\0", title="a\0b"))
        assert isinstance(row, Row)
        assert (row.url, row.extra) == ("https://a.example/\x1a", ("a\x1ab",))
        assert judge(row.url) == "bad-url"
        bad = one(tmp_path, line(image_id="a\0b"))
        assert isinstance(bad, BadRow)
        assert (bad.reason, bad.text[:4]) == ("unsafe-id", "a\x1ab,")

    def test_blank_lines_are_no_rows_but_count(self, tmp_path: Path) -> None:
        got = read(write(tmp_path / "a.csv", "\n\r\n" + HEADER + "\n" + line("a1") + "\n\n"))
        assert [(row.line, row.image_id) for row in got.rows] == [(5, "a1")]
        assert got.bad == []

    @pytest.mark.parametrize("text", [HEADER, HEADER.rstrip("\n"), HEADER + "\n\n"])
    def test_header_only_is_a_list(self, tmp_path: Path, text: str) -> None:
        got = read(write(tmp_path / "a.csv", text))
        assert (got.rows, got.bad) == ([], [])


class TestMonsters:
    def test_a_long_but_legal_field(self, tmp_path: Path) -> None:
        row = one(tmp_path, line(title="x" * MAX_FIELD))
        assert isinstance(row, Row)

    def test_a_line_beyond_all_measure(self, tmp_path: Path) -> None:
        """The middle of it is nowhere in memory, and the rows around it are whole."""
        monster = b"m,train," + b"ab," * 3_000_000 + b'"\n'
        data = (HEADER + line("before")).encode() + monster + line("after").encode()
        got = read(write(tmp_path / "a.csv", data))
        assert got.ids == ["before", "after"]
        assert [(bad.line, bad.reason) for bad in got.bad] == [(3, "oversized-field")]
        assert got.rows[1].line == 4

    def test_a_stray_quote_swallows_no_more_than_a_field(self, tmp_path: Path) -> None:
        rows = [line(f"a{number}") for number in range(40_000)]
        text = HEADER + line("before") + '"stray,' + "".join(rows)
        got = read(write(tmp_path / "a.csv", text))
        assert got.bad[0].reason == "oversized-field"
        assert got.bad[0].line == 3
        assert got.ids[-1] == "a39999"

    @pytest.mark.parametrize("after", ["\n", ""])
    def test_a_chunk_that_ends_with_a_return_after_it(self, after: str) -> None:
        parts = [HEADER + "x" * 5_000_000, "x\r", after + line("after")]
        rows = list(table_of(part.encode() for part in parts).rows())
        assert [row.line for row in rows] == [2, 3]

    def test_a_monster_that_ends_the_file(self, tmp_path: Path) -> None:
        got = read(write(tmp_path / "a.csv", HEADER + line() + "x" * 5_000_000))
        assert got.ids == ["a1"]
        assert got.reasons == ["oversized-field"]


class TestSelection:
    TEXT = (
        HEADER
        + line("a1", "train")
        + line("a2", "test")
        + line("a3", "test", size="?")
        + line("a4", "train", size="?")
        + "short\n"
    )

    def got(self, tmp_path: Path, selection: Selection) -> tuple[list[str], list[int]]:
        got = read(write(tmp_path / "a.csv", self.TEXT), selection=selection)
        return got.ids, [bad.line for bad in got.bad]

    def test_subsets(self, tmp_path: Path) -> None:
        wanted = Selection(subsets=frozenset({"test"}))
        assert self.got(tmp_path, wanted) == (["a2"], [4, 6])

    def test_ids(self, tmp_path: Path) -> None:
        wanted = Selection(ids=frozenset({"a1", "a4"}))
        assert self.got(tmp_path, wanted) == (["a1"], [5, 6])

    def test_both(self, tmp_path: Path) -> None:
        wanted = Selection(subsets=frozenset({"test"}), ids=frozenset({"a1", "a2"}))
        assert self.got(tmp_path, wanted) == (["a2"], [6])


cell = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0")
    | st.sampled_from(list(',"\n\r\t\\')),
    max_size=12,
)


def in_chunks(data: bytes, cuts: list[int]) -> Iterator[bytes]:
    edges = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return (data[start:end] for start, end in pairwise(edges))


def table_of(chunks: Iterator[bytes]) -> Table:
    records = record_reader(blocks_of(chunks), ",")
    layout = resolve(next(records), ColumnNames(), "a list")
    assert layout is not None
    info = SourceInfo("a list", None, layout.extra_names)
    return Table(info, records, RowMaker(layout, Selection()))


@given(
    titles=st.lists(st.tuples(cell, cell), max_size=8),
    cuts=st.lists(st.integers(0, 10_000), max_size=20),
    end=st.sampled_from(["\n", "\r\n"]),
    bom=st.booleans(),
    after=st.integers(0, 12),
)
def test_what_is_written_is_read_in_any_chunks(
    *, titles: list[tuple[str, str]], cuts: list[int], end: str, bom: bool, after: int
) -> None:
    out = io.StringIO()
    if end == "\r\n":
        writer = csv.writer(out)
    else:  # Python's writer leaves a lone CR unquoted then
        writer = csv.writer(out, lineterminator=end, quoting=csv.QUOTE_ALL)
    writer.writerow(["ImageID", "URL", "Title", "Author"])
    writer.writerows(
        [f"id{number}", "https://a.example/", *pair] for number, pair in enumerate(titles)
    )
    data = out.getvalue().encode("utf-8-sig" if bom else "utf-8")

    rows = list(table_of(in_chunks(data, cuts)).rows())

    assert all(isinstance(row, Row) for row in rows)
    got = [(row.image_id, row.extra) for row in rows if isinstance(row, Row)]
    assert got == [(f"id{number}", pair) for number, pair in enumerate(titles)]
    resumed = list(table_of(in_chunks(data, cuts)).rows(after))
    assert resumed == [row for row in rows if row.line > after]


@given(
    text=st.text("a雨\n\r\ufeff", max_size=9),
    bom=st.booleans(),
    cuts=st.lists(st.integers(0, 30), max_size=6),
)
@example(text="\ufeffa\n", bom=True, cuts=[3])
@example(text="a\n雨\n", bom=True, cuts=[1, 2, 6])
def test_blocks_have_the_bytes_of_their_text(text: str, *, bom: bool, cuts: list[int]) -> None:
    data = text.encode("utf-8-sig" if bom else "utf-8")
    with patch("fetcher.source.text.SAMPLE", 1):
        blocks = list(blocks_of(in_chunks(data, cuts)))
    assert all(block.text.encode() == block.data for block in blocks)
    assert "".join(block.text for block in blocks) == data.decode("utf-8-sig")


@given(st.lists(st.integers(0, 400), max_size=20))
def test_every_byte_is_a_chunk_edge_somewhere(cuts: list[int]) -> None:
    data = csv_text(V4).replace("\n", "\r\n").encode()
    whole = list(table_of(iter([data])).rows())
    assert list(table_of(in_chunks(data, cuts)).rows()) == whole
    assert list(table_of(iter([bytes([byte]) for byte in data])).rows()) == whole


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("size", [7, 1000, 10**6])
def test_lines_across_blocks(end: str, size: int) -> None:
    data = (
        (HEADER + "".join(line(f"a{number}") for number in range(2000))).replace("\n", end).encode()
    )
    chunks = (data[start : start + size] for start in range(0, len(data), size))
    rows = list(table_of(chunks).rows())
    assert [row.line for row in rows] == list(range(2, 2002))
    assert all(isinstance(row, Row) for row in rows)


def test_returns_alone_end_lines_in_a_long_list() -> None:
    row = line("a1").replace("\n", "\r").encode()
    chunks = chain([HEADER.replace("\n", "\r").encode()], repeat(row * 1000, 80))
    assert sum(isinstance(row, Row) for row in table_of(chunks).rows()) == 80_000


def test_samples_hold_whole_records() -> None:
    rows = [f"{number},t\n" for number in range(20_000)]
    sample = list(sample_records("".join(rows), ","))
    assert sample == [[str(number), "t"] for number in range(len(sample))]
    assert SAMPLE - 10 < sum(map(len, rows[: len(sample)])) <= SAMPLE


def test_a_table_is_read_once() -> None:
    table = table_of(iter([csv_text(V4).encode()]))
    assert len(list(table.rows())) == 3
    with pytest.raises(RuntimeError, match="twice"):
        list(table.rows())

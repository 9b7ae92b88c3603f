"""Every layout that Open Images was published in, told by its header."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from fetcher.errors import SourceError
from fetcher.model import Expectation, Selection
from fetcher.source import ColumnNames
from tests.source.samples import (
    IDS,
    IMAGES,
    MD5,
    TITLES,
    V1_FIRST,
    V1_V3,
    V1_V4,
    V1_V5,
    V4,
    cells,
    csv_text,
    gz_bytes,
    read,
    tar_bytes,
    write,
)


@dataclass(frozen=True, slots=True)
class Case:
    name: str
    columns: Sequence[str]
    quoted: Sequence[str] = ("Author", "Title")


LAYOUTS = (
    Case("V1 _v2", V1_FIRST),
    Case("V1 _v3", V1_V3),
    Case("V1 _v4", V1_V4),
    Case("V1 _v5, V2, V3", V1_V5),
    Case("V4 to V7", V4, quoted=()),
)


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda case: case.name)
@pytest.mark.parametrize("packing", ["plain", "gz", "tar.gz", "tar"])
def test_every_layout_in_every_packing(tmp_path: Path, layout: Case, packing: str) -> None:
    text = csv_text(layout.columns, quoted=layout.quoted)
    folder = "2017_11/train/images.csv"
    packed = {
        "plain": text.encode(),
        "gz": gz_bytes(text),
        "tar.gz": tar_bytes([("2017_11/train/", None), (folder, text)]),
        "tar": tar_bytes([(folder, text)], "w"),
    }[packing]

    got = read(write(tmp_path / "a-name-that-says-nothing", packed))

    in_archive = packing.startswith("tar")
    subset = "train" if "Subset" in layout.columns or in_archive else ""
    known = Expectation(2038323, MD5) if "OriginalMD5" in layout.columns else Expectation()
    assert got.bad == []
    assert got.ids == list(IDS)
    assert [row.line for row in got.rows] == [2, 3, 4]
    for row, image, title in zip(got.rows, IMAGES, TITLES, strict=True):
        assert row.subset == subset
        assert row.url == image["OriginalURL"]
        assert row.expected == known
        extra = dict(zip(got.extra_columns, row.extra, strict=True))
        assert extra["Title"] == title
        assert extra == {name: image[name] for name in got.extra_columns}
        made_of = {"ImageID", "Subset", "OriginalURL", "OriginalSize", "OriginalMD5"}
        assert set(extra) == set(layout.columns) - made_of


def decimal(image_id: str) -> str:
    return str(int(image_id, 16))


def test_decimal_ids_of_the_first_release_become_hex(tmp_path: Path) -> None:
    images = [cells(decimal(image_id), title) for image_id, title in zip(IDS, TITLES, strict=True)]
    got = read(write(tmp_path / "images.csv", csv_text(V1_FIRST, images)))
    assert got.ids == list(IDS)


DIGITS_HEX = "1234567890123456"  # 16 hex digits by chance without a letter
DIGITS_DECIMAL = 1234567890123456  # a uint64 that happens to have 16 decimal digits


def test_sixteen_digits_are_what_the_table_is(tmp_path: Path) -> None:
    hexadecimal = [cells(image_id, "t") for image_id in (DIGITS_HEX, *IDS)]
    decimals = [cells(image_id, "t") for image_id in (DIGITS_HEX, *map(decimal, IDS))]
    assert read(write(tmp_path / "v2", csv_text(V1_FIRST, hexadecimal))).ids[0] == DIGITS_HEX
    assert read(write(tmp_path / "v1", csv_text(V1_FIRST, decimals))).ids[0] == (
        f"{DIGITS_DECIMAL:016x}"
    )


def test_sixteen_digits_alone_stay_as_they_are(tmp_path: Path) -> None:
    text = csv_text(V1_FIRST, [cells(DIGITS_HEX, "t")])
    assert read(write(tmp_path / "images.csv", text)).ids == [DIGITS_HEX]


def test_a_single_decimal_id(tmp_path: Path) -> None:
    text = csv_text(V1_FIRST, [cells("5", "t")])
    assert read(write(tmp_path / "images.csv", text)).ids == ["0000000000000005"]


def test_an_odd_id_among_hex_ones_decides_nothing(tmp_path: Path) -> None:
    text = csv_text(V1_FIRST, [cells("5", "t"), *IMAGES])
    assert read(write(tmp_path / "images.csv", text)).ids == ["5", *IDS]


@pytest.mark.parametrize("columns", [V1_V3, V1_V4, V4])
def test_other_layouts_keep_decimal_ids(tmp_path: Path, columns: Sequence[str]) -> None:
    text = csv_text(columns, [cells("12345", "t")])
    assert read(write(tmp_path / "images.csv", text)).ids == ["12345"]


@pytest.mark.parametrize("odd", ["none", str(2**64), "-1", "٣٣٣", "9" * 40])
def test_an_odd_id_among_decimal_ones_is_refused(tmp_path: Path, odd: str) -> None:
    images = [cells(image_id, "t") for image_id in (odd, *map(decimal, IDS))]
    got = read(write(tmp_path / "images.csv", csv_text(V1_FIRST, images)))
    assert got.reasons == ["bad-id"]
    assert got.ids == list(IDS)


def test_selection_of_hex_ids_finds_decimal_ones(tmp_path: Path) -> None:
    images = [cells(decimal(image_id), "t") for image_id in IDS]
    path = write(tmp_path / "images.csv", csv_text(V1_FIRST, images))
    assert read(path, selection=Selection(ids=frozenset({IDS[1]}))).ids == [IDS[1]]


class TestTsvHttpData:
    TEXT = (
        "TsvHttpData-1.0\n"
        f"https://c1.images.example/a.jpg\t2038323\t{MD5}\n"
        "https://c1.images.example/b.jpg\t17\n"
        '"https://c1.images.example/c.jpg\n'
    )

    def test_rows(self, tmp_path: Path) -> None:
        got = read(write(tmp_path / "images.tsv", self.TEXT))
        assert [(row.url[-5:], row.expected) for row in got.rows] == [
            ("a.jpg", Expectation(2038323, MD5)),
            ("b.jpg", Expectation(17)),
            ("c.jpg", Expectation()),
        ]
        assert got.rows[2].url == '"https://c1.images.example/c.jpg'
        assert [row.line for row in got.rows] == [2, 3, 4]

    def test_ids_come_from_urls(self, tmp_path: Path) -> None:
        got = read(write(tmp_path / "images.tsv", self.TEXT))
        assert got.ids[0] == "3de8a7104c1098ec"
        assert len(set(got.ids)) == 3

    def test_line_ends_and_gzip(self, tmp_path: Path) -> None:
        plain = read(write(tmp_path / "a", self.TEXT))
        assert read(write(tmp_path / "b", gz_bytes(self.TEXT.replace("\n", "\r\n")))) == plain

    def test_header_only(self, tmp_path: Path) -> None:
        assert read(write(tmp_path / "images.tsv", "TsvHttpData-1.0\n")).rows == []

    def test_too_many_columns(self, tmp_path: Path) -> None:
        got = read(write(tmp_path / "a", self.TEXT + "https://c1.images.example/d\t1\t\textra\n"))
        assert got.reasons == ["wrong-column-count"]


class TestArchives:
    def test_subset_from_the_folder_where_there_is_no_column(self, tmp_path: Path) -> None:
        members = [
            ("images_2016_08/", None),
            ("images_2016_08/train/images.csv", csv_text(V1_FIRST, IMAGES[:1])),
            ("images_2016_08/README", "not, a list\n"),
            ("images_2016_08/validation/images.csv", csv_text(V1_FIRST, IMAGES[1:2])),
            ("images_2016_08/images.csv", csv_text(V1_FIRST, IMAGES[2:])),
        ]
        got = read(write(tmp_path / "images_2016_08_v2.tar.gz", tar_bytes(members)))
        assert [row.subset for row in got.rows] == ["train", "validation", ""]

    def test_the_column_beats_the_folder(self, tmp_path: Path) -> None:
        text = csv_text(V1_V5, [cells(IDS[0], "t", subset="test")])
        archive = tar_bytes([("2017_11/train/images.csv", text)])
        assert read(write(tmp_path / "a", archive)).rows[0].subset == "test"

    def test_what_is_no_table_is_passed_over(self, tmp_path: Path) -> None:
        members: list[tuple[str, str | bytes]] = [
            ("2017_11/train/annotations-human.csv", "ImageID,Source,LabelName,Confidence\n"),
            ("2017_11/train/._images.csv", b"\x00\x05\x16\x07\xff\xff"),
            ("2017_11/train/empty.csv", ""),
            ("2017_11/train/picture.jpg", b"\xff\xd8\xff"),
            ("../../../etc/images.CSV", csv_text(V1_V5)),
        ]
        path = write(tmp_path / "a.tgz", tar_bytes(members))
        assert read(path).ids == list(IDS)
        assert list(tmp_path.iterdir()) == [path]

    @pytest.mark.parametrize(
        ("members", "says"),
        [
            ([("README", "text")], "without any .csv or .tsv"),
            ([("2017_11/", None)], "without any .csv or .tsv"),
            ([("a.csv", "ImageID,Source\n")], "'Source'"),
        ],
    )
    def test_none_at_all(
        self, tmp_path: Path, members: list[tuple[str, str | None]], says: str
    ) -> None:
        with pytest.raises(SourceError, match=says):
            read(write(tmp_path / "a.tar.gz", tar_bytes(members)))

    def test_unwanted_subsets_are_not_read_as_rows(self, tmp_path: Path) -> None:
        members = [
            ("v/train/images.csv", csv_text(V1_FIRST) + "short,row\n"),
            ("v/test/images.csv", csv_text(V1_FIRST)),
        ]
        path = write(tmp_path / "a.tar.gz", tar_bytes(members))
        got = read(path, selection=Selection(subsets=frozenset({"test"})))
        assert got.reasons == []
        assert {row.subset for row in got.rows} == {"test"}


class TestOtherTables:
    @pytest.mark.parametrize(
        "header",
        ["url", "URL", "image_url", "Image URL", "imageUrl", "img_url", "OriginalURL", " url "],
    )
    def test_usual_names_of_the_url_column(self, tmp_path: Path, header: str) -> None:
        got = read(write(tmp_path / "a.csv", f"caption,{header}\nx,https://a.example/1.jpg\n"))
        assert got.rows[0].url == "https://a.example/1.jpg"
        assert got.rows[0].extra == ("x",)

    def test_all_of_a_generic_list(self, tmp_path: Path) -> None:
        text = "id\tsplit\turl\tsize\tmd5\nk1\tdev\thttps://a.example/1\t5\t" + "ab" * 16 + "\n"
        (row,) = read(write(tmp_path / "a.txt", text)).rows
        assert (row.image_id, row.subset, row.url) == ("k1", "dev", "https://a.example/1")
        assert row.expected == Expectation(5, "q6urq6urq6urq6urq6urqw==")

    def test_a_single_column(self, tmp_path: Path) -> None:
        got = read(write(tmp_path / "a", "url\nhttps://a.example/1\n\nhttps://a.example/2\n"))
        assert [row.url[-1] for row in got.rows] == ["1", "2"]
        assert [row.line for row in got.rows] == [2, 4]

    def test_configured_names(self, tmp_path: Path) -> None:
        names = ColumnNames(id="key", subset="part", url="where", size="length", md5="sum")
        text = f"key,part,where,length,sum,url\na,b,https://a.example/1,9,{MD5},other\n"
        (row,) = read(write(tmp_path / "a.csv", text), names).rows
        assert (row.image_id, row.subset, row.url) == ("a", "b", "https://a.example/1")
        assert row.expected == Expectation(9, MD5)
        assert row.extra == ("other",)

    def test_a_column_can_be_declared_absent(self, tmp_path: Path) -> None:
        path = write(tmp_path / "a.csv", "id,url,size\na,https://a.example/1,640x480\n")
        assert read(path).reasons == ["bad-size"]
        (row,) = read(path, ColumnNames(size="")).rows
        assert row.expected == Expectation()
        assert row.extra == ("640x480",)

    @pytest.mark.parametrize("role", ["id", "subset", "url", "size", "md5"])
    def test_a_configured_name_that_is_not_there(self, tmp_path: Path, role: str) -> None:
        path = write(tmp_path / "a.csv", "id,url\na,https://a.example/1\n")
        with pytest.raises(SourceError) as refused:
            read(path, ColumnNames(**{role: "ID"}))
        assert f"source.columns.{role}" in refused.value.sentence
        assert "'id', 'url'" in refused.value.sentence

    def test_open_images_names_come_first(self, tmp_path: Path) -> None:
        got = read(write(tmp_path / "a.csv", "url,OriginalURL\nx,https://a.example/1\n"))
        assert got.rows[0].url == "https://a.example/1"
        assert got.extra_columns == ("url",)

    def test_two_columns_that_could_be_meant(self, tmp_path: Path) -> None:
        path = write(tmp_path / "a.csv", "URL,url\nhttps://a.example/1,https://a.example/2\n")
        with pytest.raises(SourceError, match="'URL' and 'url'"):
            read(path)
        assert read(path, ColumnNames(url="url")).rows[0].url == "https://a.example/2"

    def test_extra_columns_have_unique_names(self, tmp_path: Path) -> None:
        text = "url,tag,tag,,tag_2,tag\nhttps://a.example/1,a,b,c,d,e\n"
        got = read(write(tmp_path / "a.csv", text))
        assert got.extra_columns == ("tag", "tag_3", "column_4", "tag_2", "tag_4")
        assert got.rows[0].extra == ("a", "b", "c", "d", "e")

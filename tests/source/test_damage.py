"""What is no list is refused; what was damaged is read up to the last whole row, and named."""

from __future__ import annotations

import gzip
import os
import random
import subprocess
import tarfile
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fetcher.errors import SourceError
from fetcher.model import Row, Selection
from fetcher.source import ColumnNames, ImageList, open_list, streams
from fetcher.source.streams import CHUNK, DamageError, gunzip
from tests.source.samples import (
    IDS,
    IMAGES,
    V1_FIRST,
    V1_V5,
    cells,
    csv_text,
    gz_bytes,
    read,
    tar_bytes,
    write,
)

chosen_cuts = settings(
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],  # the path is written anew
)


def many(count: int, seed: int) -> list[dict[str, str]]:
    chance = random.Random(seed)
    return [cells(f"{chance.getrandbits(64):016x}", f"Pier {seed}") for _ in range(count)]


MEMBERS = tuple(
    (f"2017_11/{subset}/images.csv", csv_text(V1_V5, many(60, seed), quoted=("Author", "Title")))
    for seed, subset in enumerate(("test", "validation", "train"))
)
GZ = gz_bytes(MEMBERS[0][1])
TAR_GZ = tar_bytes(MEMBERS)
TAR = tar_bytes(MEMBERS, "w")


def images(path: Path, **options: int) -> ImageList:
    return open_list(path, ColumnNames(), Selection(), **options)


@dataclass(slots=True)
class Reading:
    """What could be read of a list, and what ended it."""

    rows: list[tuple[str | None, int, str]]
    error: SourceError | None = None


def until_damage(path: Path) -> Reading:
    reading = Reading([])
    try:
        for table in images(path).tables():
            for row in table.rows():
                assert isinstance(row, Row)
                reading.rows.append((table.info.member, row.line, row.image_id))
    except SourceError as error:
        reading.error = error
    return reading


def assert_names_last_row(path: Path, whole: Reading) -> Reading:
    """The law: a prefix of the rows, an error that names the last of them, check says the same."""
    got = until_damage(path)
    assert got.rows == whole.rows[: len(got.rows)]
    assert got.error is not None
    assert str(path) in got.error.sentence
    if got.rows:
        member, line, image_id = got.rows[-1]
        of_member = f" of {member}" if member else ""
        assert f"The last good row is line {line}{of_member}, id {image_id}." in str(got.error)
    with pytest.raises(SourceError) as refused:
        images(path).check()
    assert str(refused.value) == str(got.error)
    return got


def inflated(data: bytes) -> str:
    return zlib.decompressobj(31).decompress(data).decode()


@chosen_cuts
@given(cut=st.integers(2, len(GZ) - 1))
def test_cut_gzip(tmp_path: Path, cut: int) -> None:
    whole = until_damage(write(tmp_path / "whole.csv", MEMBERS[0][1]))
    got = assert_names_last_row(write(tmp_path / "cut.csv.gz", GZ[:cut]), whole)
    assert len(got.rows) == max(0, inflated(GZ[:cut]).count("\n") - 1)


@chosen_cuts
@given(cut=st.integers(2, len(TAR_GZ) - 1))
def test_cut_tar_gz(tmp_path: Path, cut: int) -> None:
    whole = until_damage(write(tmp_path / "whole.tar.gz", TAR_GZ))
    assert whole.error is None
    got = assert_names_last_row(write(tmp_path / "cut.tar.gz", TAR_GZ[:cut]), whole)
    members, lines = divmod(inflated(TAR_GZ[:cut]).count("\n"), 61)
    assert len(got.rows) == members * 60 + max(0, lines - 1)


def end_of_last_member() -> int:
    return TAR.rindex(b"\n") + 1


@chosen_cuts
@given(cut=st.integers(512, end_of_last_member() - 1))
def test_cut_tar(tmp_path: Path, cut: int) -> None:
    whole = until_damage(write(tmp_path / "whole.tar", TAR))
    assert_names_last_row(write(tmp_path / "cut.tar", TAR[:cut]), whole)


@pytest.mark.parametrize("member", range(1, 3))
def test_tar_cut_between_members(tmp_path: Path, member: int) -> None:
    whole = until_damage(write(tmp_path / "whole.tar", TAR))
    cut = TAR.index(MEMBERS[member][0].encode())
    got = assert_names_last_row(write(tmp_path / "cut.tar", TAR[:cut]), whole)
    assert len(got.rows) == 60 * member


def test_tar_with_a_damaged_header(tmp_path: Path) -> None:
    """The tarfile module takes this for the end of the archive."""
    whole = until_damage(write(tmp_path / "whole.tar", TAR))
    at = TAR.index(MEMBERS[1][0].encode())
    path = write(tmp_path / "bad.tar", TAR[:at] + b"X" + TAR[at + 1 :])
    assert len(assert_names_last_row(path, whole).rows) == 60


@chosen_cuts
@given(at=st.integers(20, len(GZ) - 1), bit=st.integers(0, 7))
def test_a_flipped_bit_never_passes(tmp_path: Path, at: int, bit: int) -> None:
    data = bytearray(GZ)
    data[at] ^= 1 << bit
    path = write(tmp_path / "bad.csv.gz", bytes(data))
    with pytest.raises(SourceError):
        images(path).check()


def test_gzip_of_several_members_and_padding(tmp_path: Path) -> None:
    text = csv_text(V1_V5)
    parts = [gz_bytes(text[:100]), gz_bytes(""), gz_bytes(text[100:]), bytes(700)]
    assert read(write(tmp_path / "a.csv.gz", b"".join(parts))).ids == list(IDS)


def test_a_header_that_would_not_fit_into_memory(tmp_path: Path) -> None:
    info = tarfile.TarInfo("images.csv")
    info.type, info.size = tarfile.XHDTYPE, 2**31
    path = write(tmp_path / "a.tar", info.tobuf(tarfile.USTAR_FORMAT) + bytes(1024))
    with pytest.raises(SourceError, match="a header of 2147483648 bytes"):
        images(path).check()


@pytest.mark.parametrize("step", range(1, 150, 3))
def test_all_that_zlib_holds_comes_out(step: int) -> None:
    """Bounded output leaves some inside of zlib at times, even when no input is left."""
    packed = gzip.compress(bytes(CHUNK * 3 + 100))[:-8]
    whole = zlib.decompressobj(31).decompress(packed)
    sizes: list[int] = []
    with pytest.raises(DamageError):
        sizes.extend(map(len, gunzip(packed[at : at + step] for at in range(0, len(packed), step))))
    assert sum(sizes) == len(whole)
    assert max(sizes) <= CHUNK


class TestNotUtf8:
    ROWS = 9000  # more than what is looked at of a file that is not read whole

    def damaged(self, tmp_path: Path, at: int) -> Path:
        lines = csv_text(V1_V5, [IMAGES[0]] * self.ROWS).encode().splitlines(keepends=True)
        lines[at - 1] = lines[at - 1].replace(b"harbour", b"harb\xf6r")
        return write(tmp_path / "latin.csv", b"".join(lines))

    @pytest.mark.parametrize("line", [2, 3, 500, 8999])
    def test_in_the_middle(self, tmp_path: Path, line: int) -> None:
        path = self.damaged(tmp_path, line)
        with pytest.raises(SourceError) as refused:
            images(path).check()
        assert f"{path}, line {line}: byte 0xf6 is not UTF-8" in str(refused.value)
        if line > 2:
            assert f"The last good row is line {line - 1}, id {IDS[0]}" in str(refused.value)
        assert len(until_damage(path).rows) == line - 2

    def test_where_check_did_not_look(self, tmp_path: Path) -> None:
        path = self.damaged(tmp_path, 8000)
        images(path, check_bytes=0).check()
        reading = until_damage(path)
        assert len(reading.rows) == 7998
        assert "line 8000" in str(reading.error)

    def test_last_character_cut(self, tmp_path: Path) -> None:
        path = write(tmp_path / "a.csv", csv_text(V1_FIRST, IMAGES[2:]).rstrip().encode()[:-1])
        with pytest.raises(SourceError, match="not UTF-8"):
            images(path).check()


NO_LISTS = (
    (b"", "is empty"),
    (b"\n\n\r\n", "has no header"),
    (b"\xef\xbb\xbf", "has no header"),
    (b"ImageID,Source,LabelName,Confidence\n1,2,3,4\n", "'LabelName'"),
    (b"https://a.example/1.jpg\nhttps://a.example/2.jpg\n", "no column of its header holds URLs"),
    (b"<!DOCTYPE html>\n<title>404</title>\n", "'<!DOCTYPE html>'"),
    (b'{"url": "https://a.example/1.jpg"}\n', "no column of its header holds URLs"),
    (b"\xff\xd8\xff\xe0\x00\x10JFIF", "not UTF-8"),
    ("url\n".encode("utf-16"), "UTF-16"),
    (b"PK\x03\x04 and so on", "a ZIP archive"),
    (b"BZh91AY", "bzip2"),
    (b"x" * 6_000_000, "first line without end"),
    (",".join(["column"] * 9000).encode(), "and 8960 more"),
    (gzip.compress(b""), "has no header"),
    (b"\x1f\x8b", "damaged"),
    (b"\x1f\x8bnot gzip at all", "damaged"),
    (b"PAR1 not parquet", "damaged"),
)


@pytest.mark.parametrize(("data", "says"), NO_LISTS, ids=[says for _, says in NO_LISTS])
def test_no_list_at_all(tmp_path: Path, data: bytes, says: str) -> None:
    if data.startswith(b"PAR1"):
        pytest.importorskip("pyarrow")
    path = write(tmp_path / "a.csv", data)
    with pytest.raises(SourceError) as refused:
        images(path).check()
    assert says in refused.value.sentence
    assert str(path) in refused.value.sentence
    assert refused.value.hint
    assert len(str(refused.value)) < 4000


HINTS = (
    (b"https://a.example/1.jpg\nhttps://a.example/2.jpg\n", "If it is one URL a line"),
    (b"  HTTP://a.example/1.jpg\n", "If it is one URL a line"),
    (b"https://a.example/1,2.jpg\nhttps://a.example/2.jpg\n", "If it is one URL a line"),
    (b"https://a.example/1.jpg,17\n", "put a line first that names the columns"),
    (b"a,https://a.example/1.jpg\n", "put a line first that names the columns"),
    (b"ImageID;Link\na;https://a.example/1.jpg\n", "commas or tabs"),
    (b"ImageID,Link\na,https://a.example/1.jpg\n", "originalurl, imageurl, imgurl, url"),
    (b'{"url": "https://a.example/1.jpg"}\n', "--set source.columns.url=NAME"),
)


@pytest.mark.parametrize(("data", "says"), HINTS)
def test_how_to_make_a_list_of_it(tmp_path: Path, data: bytes, says: str) -> None:
    with pytest.raises(SourceError) as refused:
        images(write(tmp_path / "a.csv", data)).check()
    assert says in refused.value.hint


URLS = ("https://a.example/1,w_2.jpg", 'https://a.example/"3".jpg', "https://a.example/4.jpg")
"""The first line looks like two columns, the second like a cell with quotes in it."""
LINES = "".join(f"{url}\n" for url in URLS).encode()


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("my urls.txt", LINES),
        ("urls.txt.gz", gz_bytes(LINES.decode())),
        ("urls.tar.gz", tar_bytes([("a folder/urls.csv", LINES.decode())])),
    ],
    ids=["plain", "gz", "member"],
)
def test_the_command_it_names_makes_a_list_of_urls(tmp_path: Path, name: str, data: bytes) -> None:
    (folder := tmp_path / "here").mkdir()
    with pytest.raises(SourceError) as refused:
        images(write(tmp_path / name, data)).check()
    (command,) = [line for line in refused.value.hint.splitlines() if line.startswith("  (")]
    subprocess.run(command, shell=True, cwd=folder, check=True)  # noqa: S602  as a user would
    (made,) = folder.iterdir()
    rows = [row for table in images(made).tables() for row in table.rows()]
    assert [row.url for row in rows if isinstance(row, Row)] == list(URLS)


def fifo(path: Path) -> None:
    os.mkfifo(path)


@pytest.mark.parametrize("make", [lambda _: None, Path.mkdir, fifo])
def test_no_file(tmp_path: Path, make: Callable[[Path], None]) -> None:
    path = tmp_path / "list"
    make(path)
    with pytest.raises(SourceError, match="list"):
        images(path).check()


class TestCheckOfLargeFiles:
    """With ``check_bytes=0`` every file is a large one."""

    def test_a_whole_archive_is_not_read_whole(self, tmp_path: Path) -> None:
        members = [("train/images.csv", csv_text(V1_V5, many(20_000, 1)))]
        path = write(tmp_path / "a.tar.gz", tar_bytes(members))
        seen: list[tuple[int, int]] = []
        images(path, check_bytes=0).check(lambda done, size: seen.append((done, size)))
        assert seen[-1][0] < seen[-1][1] / 2
        images(path).check(lambda done, size: seen.append((done, size)))
        assert seen[-1] == (path.stat().st_size,) * 2

    @pytest.mark.parametrize(
        ("data", "cut"), [(TAR_GZ, len(TAR_GZ) - 99), (TAR, TAR.rindex(b"\n") - 99)]
    )
    def test_a_cut_archive_is_found(self, tmp_path: Path, data: bytes, cut: int) -> None:
        """In a part that is not looked at otherwise."""
        name = "a.tar.gz"
        images(write(tmp_path / name, data), check_bytes=0).check()
        with pytest.raises(SourceError, match=r"The last good row is line \d+ of 2017_11/train"):
            images(write(tmp_path / name, data[:cut]), check_bytes=0).check()

    def test_no_list(self, tmp_path: Path) -> None:
        with pytest.raises(SourceError, match="no column"):
            images(write(tmp_path / "a", b"a,b\n"), check_bytes=0).check()


class TestOrderOfTables:
    def test_a_table_that_is_not_read_is_skipped(self, tmp_path: Path) -> None:
        path = write(tmp_path / "a.tar.gz", TAR_GZ)
        first_rows = [next(iter(table.rows())) for table in images(path).tables()]
        assert [row.line for row in first_rows] == [2, 2, 2]
        assert [table.info.member for table in images(path).tables()] == [
            name for name, _ in MEMBERS
        ]

    def test_a_table_cannot_be_read_after_its_turn(self, tmp_path: Path) -> None:
        members = [(f"{name}.csv", csv_text(V1_V5, many(3000, 1))) for name in "ab"]
        path = write(tmp_path / "a.tar.gz", tar_bytes(members))
        tables = images(path).tables()
        rows = next(tables).rows()
        next(rows)
        next(tables)
        with pytest.raises(RuntimeError, match="before the next"):
            list(rows)


def test_fingerprint(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", csv_text(V1_V5))
    everything = images(path).fingerprint
    assert images(path).fingerprint == everything
    some = Selection(subsets=frozenset({"train"}), ids=frozenset(IDS))
    assert open_list(path, ColumnNames(), some).fingerprint != everything
    assert open_list(path, ColumnNames(size=""), Selection()).fingerprint != everything
    write(path, csv_text(V1_V5) + "\n")
    assert images(path).fingerprint != everything
    path.unlink()
    with pytest.raises(SourceError, match="cannot be read"):
        _ = images(path).fingerprint


def peak(action: Callable[[], object]) -> int:
    tracemalloc.start()
    try:
        action()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def drained(path: Path) -> Callable[[], object]:
    def drain() -> Iterator[None]:
        for table in images(path).tables():
            for _ in table.rows():
                yield

    return lambda: sum(1 for _ in drain())


def test_memory_does_not_grow_with_the_list(tmp_path: Path) -> None:
    few, lots = (
        write(
            tmp_path / f"{count}.tar.gz",
            tar_bytes([(f"{name}/images.csv", csv_text(V1_V5, IMAGES * count)) for name in "ab"]),
        )
        for count in (500, 5000)
    )
    drained(few)()  # what is cached once
    assert peak(drained(lots)) < 1.2 * peak(drained(few))


def test_memory_does_not_grow_with_the_members(tmp_path: Path) -> None:
    few, lots = (
        write(
            tmp_path / f"{count}.tar",
            tar_bytes(
                [("a.csv", "url\n"), *((f"picture-{n}.jpg", None) for n in range(count))], "w"
            ),
        )
        for count in (300, 3000)
    )
    drained(few)()
    assert peak(drained(lots)) < 1.2 * peak(drained(few))


def test_memory_does_not_grow_with_what_gzip_hides(tmp_path: Path) -> None:
    path = write(tmp_path / "bomb.csv.gz", gzip.compress(b"url\n" + bytes(64 * 1024 * 1024)))
    assert peak(drained(path)) < 24 * 1024 * 1024


def test_a_tarfile_that_hides_damage_is_not_relied_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """As it did when a release began to read headers by another method than the one replaced."""
    monkeypatch.setattr(streams, "_StrictHeader", tarfile.TarInfo)
    streams._require_strictness.cache_clear()
    archive = streams.TarStream(iter([b""]))
    with pytest.raises(SourceError, match="does not tell a damaged archive"):
        next(iter(archive))
    streams._require_strictness.cache_clear()

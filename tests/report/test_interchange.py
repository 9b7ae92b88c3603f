"""What others read of it is what the manifest has; their own programs are asked where they are."""

from __future__ import annotations

import csv
import io
import shutil
import subprocess
import sys
import tracemalloc
from base64 import b64decode
from collections.abc import Iterator
from hashlib import md5
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from fetcher.errors import MissingExtraError
from fetcher.evidence import Listed
from fetcher.manifest import ManifestReader
from fetcher.model import KEPT, Expectation, Row, Selection, SourceInfo, State
from fetcher.report.interchange import FORMATS, MAIN, Written, columns_beside, md5sum_line
from fetcher.source import ColumnNames, open_list
from scripts.proofs import manifests
from tests.conformance.manifest_suite import row
from tests.manifest.opened import database, import_all
from tests.report.conftest import COUNT, Made
from tests.source.samples import real_rows

ALL = frozenset(State)


def exported(manifest: Path, form: str, states: frozenset[State] = ALL) -> tuple[bytes, Written]:
    chosen = FORMATS[form]
    out = io.BytesIO()
    with ManifestReader(manifest) as reader:
        images = reader.listed(states, by_url=chosen.by_url, kept=chosen.kept)
        written = chosen.write(out, images, reader.extra_columns())
    return out.getvalue(), written


def rows_of(path: Path) -> list[tuple[Row, dict[str, str]]]:
    found = []
    for table in open_list(path, ColumnNames(), Selection()).tables():
        for read in table.rows():
            assert isinstance(read, Row), read
            found.append((read, dict(zip(table.info.extra_columns, read.extra, strict=True))))
    return found


def without_line(read: Row) -> Row:
    return replace(read, line=0)


def round_trip(path: Path, rows: list[Row], info: SourceInfo) -> list[tuple[Row, dict[str, str]]]:
    manifest = path / "manifest.sqlite"
    with database(manifest) as opened:
        import_all(opened, rows, info=info)
    data, written = exported(manifest, "csv")
    assert written == Written(len(rows), 0)
    (path / "back.csv").write_bytes(data)
    return rows_of(path / "back.csv")


def test_csv_reads_back_as_the_same_rows_with_all_their_columns(made: Made, tmp_path: Path) -> None:
    data, written = exported(made.path, "csv")
    assert written == Written(COUNT, 0)
    (tmp_path / "back.csv").write_bytes(data)
    back = rows_of(tmp_path / "back.csv")
    expected = [manifests.row(n) for n in range(COUNT)]
    assert [read for read, _ in back] == expected
    assert back[0][1].keys() == set(manifests.COLUMNS)


TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=30)


@given(st.lists(st.tuples(TEXT, TEXT), min_size=1, max_size=4))
def test_so_do_rows_with_any_text(cells: list[tuple[str, str]]) -> None:
    images = [
        Listed(f"{n}", "", "https://a.test/x", None, None, State.PENDING, None, None,
               {"Title": title, "Note": note})
        for n, (title, note) in enumerate(cells)
    ]  # fmt: skip
    out = io.BytesIO()
    FORMATS["csv"].write(out, images, ("Title", "Note"))
    _, *rows = csv.reader(io.StringIO(out.getvalue().decode(), newline=""))
    assert [(r[3], r[4]) for r in rows] == cells


def test_columns_that_could_be_taken_for_others_are_renamed(tmp_path: Path) -> None:
    """A list may call anything anything, if the configuration says so."""
    names = ("OriginalURL", "image id", "split", "md5", "size", "Title")
    rows = [replace(row(n, subset=""), extra=tuple(f"{x}{n}" for x in names)) for n in (1, 2)]
    back = round_trip(tmp_path, rows, SourceInfo("/list.csv", None, names))
    assert [without_line(read).expected for read, _ in back] == [r.expected for r in rows]
    for (read, extra), listed in zip(back, rows, strict=True):
        assert (read.image_id, read.subset, read.url) == (listed.image_id, "", listed.url)
        assert tuple(extra.values()) == listed.extra
        assert [*extra] == [
            "OriginalURL_listed", "image id_listed", "split", "md5", "size", "Title"
        ]  # fmt: skip


@given(st.lists(st.sampled_from([*MAIN, "imageid", "Image ID", "Subset_listed", "x"]), unique=True))
def test_headings_are_unique_and_none_is_a_main_one(names: list[str]) -> None:
    headings = columns_beside(MAIN, names)
    assert [*headings] == names
    assert len(set(headings.values())) == len(names)
    plain = {name.lower().replace(" ", "") for name in headings.values()}
    assert plain.isdisjoint(name.lower() for name in MAIN)


@real_rows
def test_real_rows_come_back_to_the_byte(sample_list: Path, tmp_path: Path) -> None:
    rows: list[Row] = []
    columns: tuple[str, ...] = ()
    for table in open_list(sample_list, ColumnNames(), Selection()).tables():
        columns = table.info.extra_columns
        rows += [read for read in table.rows() if isinstance(read, Row)]
    numbered = [replace(read, line=n) for n, read in enumerate(rows, start=2)]
    back = round_trip(tmp_path, numbered, SourceInfo("/list.csv", None, columns))
    assert [read for read, _ in back] == numbered
    assert tuple(back[0][1]) == columns


def test_tsv_is_sorted_and_reads_back(made: Made, tmp_path: Path) -> None:
    data, written = exported(made.path, "tsv")
    assert written == Written(COUNT, 0)
    first, *lines = data.decode().splitlines()
    assert first == "TsvHttpData-1.0"
    assert lines == sorted(lines, key=lambda line: line.split("\t")[0].encode())
    (tmp_path / "back.tsv").write_bytes(data)
    back = {read.url: read.expected for read, _ in rows_of(tmp_path / "back.tsv")}
    assert back == {manifests.row(n).url: manifests.row(n).expected for n in range(COUNT)}


def test_parquet_for_img2dataset(made: Made) -> None:
    data, written = exported(made.path, "img2dataset", frozenset({State.FAILED, State.GONE}))
    rows = pq.read_table(io.BytesIO(data)).to_pylist()
    assert written == Written(len(rows), 0)
    assert rows
    for found in rows:
        listed = manifests.row(int(found["image_id"], 16))
        digest = listed.expected.md5
        assert found == {
            "url": listed.url,
            "md5": b64decode(digest).hex() if digest else None,
            "image_id": listed.image_id,
            "subset": listed.subset,
            "size": listed.expected.size,
            **dict(zip(manifests.COLUMNS, listed.extra, strict=True)),
        }


def test_parquet_of_nothing_has_its_columns(made: Made) -> None:
    data, written = exported(made.path, "img2dataset", frozenset({State.INVALID}))
    assert written == Written(0, 0)
    assert pq.read_table(io.BytesIO(data)).column_names[:2] == ["url", "md5"]


def test_aria2_entries(made: Made) -> None:
    data, _ = exported(made.path, "aria2", frozenset({State.DENIED}))
    lines = data.decode().splitlines()
    urls = [line for line in lines if not line.startswith(" ")]
    listed = {manifests.row(n).url: manifests.row(n) for n in range(COUNT)}
    assert urls
    at = 0
    for url in urls:
        image = listed[url]
        expected = [url, f"  out=images/{image.subset}/{image.image_id[:3]}/{image.image_id}.jpg"]
        if image.expected.md5:
            expected.append(f"  checksum=md5={b64decode(image.expected.md5).hex()}")
        assert lines[at : at + len(expected)] == expected
        at += len(expected)
    assert at == len(lines)


ODD_URLS = ("ftp://a.test/x", "no url", "https://a.test/a b", "https://a.test/a\nout=/etc/passwd",
            "https://a.test/\tb", "javascript:x", "")  # fmt: skip


@pytest.mark.parametrize("form", ["tsv", "aria2", "img2dataset"])
def test_what_a_format_cannot_tell_is_left_out_and_counted(form: str) -> None:
    def image(url: str) -> Listed:
        return Listed("1", "", url, 5, manifests.BLANK, State.FAILED, None, None, {})

    out = io.BytesIO()
    written = FORMATS[form].write(out, [*map(image, ODD_URLS), image("https://a.test/x.PNG")], ())
    assert written == Written(1, len(ODD_URLS))
    assert b"passwd" not in out.getvalue()
    if form == "aria2":
        assert b"out=images/1/1.png\n" in out.getvalue()


def stored_files(folder: Path) -> Iterator[Listed]:
    names = ("plain.jpg", "a\\b.jpg", "two\nlines.jpg", "re\rturn.jpg", "*star .jpg", "ä.jpg")
    for n, name in enumerate(names):
        content = str(n).encode()
        (folder / name).write_bytes(content)
        digest = manifests.digest(n)
        assert b64decode(digest) == md5(content, usedforsecurity=False).digest()
        yield Listed(name, "", "u", None, None, State.VERIFIED, name, digest, {})


@pytest.mark.skipif(shutil.which("md5sum") is None, reason="there is no md5sum here")
def test_md5sum_itself_finds_the_sums_right(tmp_path: Path) -> None:
    sums = tmp_path / "sums"
    with sums.open("wb") as file:
        written = FORMATS["md5sums"].write(file, stored_files(tmp_path), ())
    checked = subprocess.run(
        ["md5sum", "--check", "--strict", "sums"],  # noqa: S607  the system's own
        cwd=tmp_path, capture_output=True, check=False, text=True,
    )  # fmt: skip
    assert checked.returncode == 0, checked
    assert checked.stdout.count(": OK\n") == written.images == 6
    (tmp_path / "plain.jpg").write_bytes(b"other")
    again = subprocess.run(
        ["md5sum", "--check", "--quiet", "sums"],  # noqa: S607  the system's own
        cwd=tmp_path, capture_output=True, check=False, text=True,
    )  # fmt: skip
    assert again.returncode == 1
    assert again.stdout == "plain.jpg: FAILED\n"


def test_sums_are_of_what_is_stored(made: Made) -> None:
    data, written = exported(made.path, "md5sums", KEPT)
    stored = [n for n in range(COUNT) if manifests.fate(n, later=made.by[n] >= 2)[0] in KEPT]
    assert written == Written(len(stored), 0)
    expected = "".join(
        md5sum_line(
            b64decode(manifests.digest(n)).hex(),
            f"images/{image.subset}/{image.image_id[:3]}/{image.image_id}.jpg",
        )
        for n in stored
        for image in (manifests.row(n),)
    )
    assert data.decode() == expected


@pytest.mark.skipif(shutil.which("aria2c") is None, reason="there is no aria2c here")
def test_aria2c_takes_the_file_and_checks_the_sums(tmp_path: Path) -> None:
    """Against a web of one file, on the loopback: the right bytes pass, others do not."""
    from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer  # noqa: PLC0415
    from threading import Thread  # noqa: PLC0415

    web = tmp_path / "web"
    web.mkdir()
    (web / "good.jpg").write_bytes(b"1")
    (web / "bad.jpg").write_bytes(b"x")

    class Quiet(SimpleHTTPRequestHandler):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, directory=str(web), **kwargs)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Quiet) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        base = f"http://127.0.0.1:{server.server_port}"
        images = [
            Listed(name, "s", f"{base}/{name}.jpg", 1, manifests.digest(1), State.FAILED, None,
                   None, {})
            for name in ("good", "bad")
        ]  # fmt: skip
        with (tmp_path / "input").open("wb") as file:
            FORMATS["aria2"].write(file, images, ())
        done = subprocess.run(
            ["aria2c", "--no-conf", "--input-file=input", "--dir=out", "--check-integrity=true",  # noqa: S607
             "--max-tries=1", "--quiet"],
            cwd=tmp_path, check=False, timeout=60,
        )  # fmt: skip
        server.shutdown()
    assert done.returncode == 32  # a checksum that does not match
    assert (tmp_path / "out/images/s/goo/good.jpg").read_bytes() == b"1"


@pytest.fixture(scope="module")
def lengths(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Manifests of which one is twice as long as the other."""
    folder = tmp_path_factory.mktemp("lengths")
    for count in (3_000, 6_000):
        manifests.make(folder / f"{count}.sqlite", count)
    return folder / "3000.sqlite", folder / "6000.sqlite"


class Nowhere(io.BytesIO):
    def write(self, data: Any, /) -> int:
        return memoryview(data).nbytes


# The others are written by the same loops, but for img2dataset, whose rows are held in groups of
# 10,000 as its format wants it.
@pytest.mark.parametrize("form", ["csv", "aria2"])
def test_memory_does_not_grow_with_the_list(form: str, lengths: tuple[Path, Path]) -> None:
    chosen = FORMATS[form]

    def peak(path: Path) -> int:
        with ManifestReader(path) as reader:
            images = reader.listed(KEPT, by_url=chosen.by_url, kept=chosen.kept)
            tracemalloc.start()
            chosen.write(Nowhere(), images, reader.extra_columns())
            highest = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
        return highest

    peak(lengths[0])
    assert peak(lengths[1]) < peak(lengths[0]) * 1.2


def test_without_pyarrow_it_says_what_to_install(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(MissingExtraError) as caught:
        exported(made.path, "img2dataset")
    assert "fetcher[parquet]" in caught.value.hint


def test_lists_with_different_columns_share_a_table(tmp_path: Path) -> None:
    path = tmp_path / "manifest.sqlite"
    with database(path) as manifest:
        for n, columns in ((1, ("Title", "A")), (2, ("B", "Title"))):
            info = SourceInfo(f"/{n}.csv", None, columns)
            extra = tuple(f"{name}{n}" for name in columns)
            import_all(manifest, [replace(row(n), extra=extra, expected=Expectation())], info=info)
    data, _ = exported(path, "csv")
    found = list(csv.DictReader(io.StringIO(data.decode(), newline="")))
    assert [(f["Title"], f["A"], f["B"]) for f in found] == [
        ("Title1", "A1", ""),
        ("Title2", "", "B2"),
    ]

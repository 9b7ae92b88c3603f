"""Synthetic image lists that show the quirks of the real ones; names and hosts are invented."""

from __future__ import annotations

import csv
import gzip
import io
import os
import tarfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from fetcher.model import BadRow, Row, Selection
from fetcher.source import ColumnNames, open_list

SAMPLE = (
    Path(os.environ.get("FETCHER_SAMPLE_DATA", Path(__file__).parents[3] / "shared/data"))
    / "open_images_2017_11_sample"
)
real_rows = pytest.mark.skipif(not SAMPLE.is_dir(), reason="no sample of real rows at hand")

V1_FIRST = (
    "ImageID",
    "OriginalURL",
    "OriginalLandingURL",
    "License",
    "AuthorProfileURL",
    "Author",
    "Title",
)
V1_V3 = ("ImageID", "Subset", *V1_FIRST[1:])
V1_V4 = (*V1_V3, "OriginalSize", "OriginalMD5")
V1_V5 = (*V1_V4, "Thumbnail300KURL")
V4 = (*V1_V5, "Rotation")

MD5 = "EEGQ0ZQ/OxJAIGzfJ6LMvw=="
IDS = ("0000b0a1d3f5c7e9", "00a1b2c3d4e5f607", "fedcba9876543210")
TITLES = (
    "Kites, over the harbour",
    "&quot;Blue&quot; hour &amp; Jo&#x27;s boat \\o/",
    "雨の港 — ميناء 🚢",
)


def cells(image_id: str, title: str, subset: str = "train") -> dict[str, str]:
    """One image, by every column that any layout has."""
    return {
        "ImageID": image_id,
        "Subset": subset,
        "OriginalURL": f"https://c1.images.example/5/{image_id}_o.jpg",
        "OriginalLandingURL": f"https://www.images.example/photos/{image_id}",
        "License": "https://creativecommons.org/licenses/by/2.0/",
        "AuthorProfileURL": "https://www.images.example/people/wanda-well/",
        "Author": "Wanda Well",
        "Title": title,
        "OriginalSize": "2038323",
        "OriginalMD5": MD5,
        "Thumbnail300KURL": "",
        "Rotation": "nan",
    }


IMAGES = tuple(cells(image_id, title) for image_id, title in zip(IDS, TITLES, strict=True))


@dataclass(frozen=True, slots=True)
class Read:
    """All of a list."""

    rows: list[Row]
    bad: list[BadRow]
    extra_columns: tuple[str, ...]

    @property
    def ids(self) -> list[str]:
        return [row.image_id for row in self.rows]

    @property
    def reasons(self) -> list[str]:
        return [bad.reason for bad in self.bad]


def read(
    path: Path,
    columns: ColumnNames = ColumnNames(),  # noqa: B008  frozen
    selection: Selection = Selection(),  # noqa: B008  frozen
) -> Read:
    image_list = open_list(path, columns, selection)
    image_list.check()
    rows: list[Row] = []
    bad: list[BadRow] = []
    extra: tuple[str, ...] = ()
    for table in image_list.tables():
        extra = table.info.extra_columns
        for row in table.rows():
            if isinstance(row, Row):
                rows.append(row)
            else:
                bad.append(row)
    return Read(rows, bad, extra)


def csv_text(
    columns: Sequence[str],
    images: Iterable[Mapping[str, str]] = IMAGES,
    *,
    quoted: Sequence[str] = (),
    delimiter: str = ",",
) -> str:
    """As Open Images writes it: LF, and quotes around the ``quoted`` columns only, or (without
    any) wherever csv needs them."""
    if not quoted:
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n", delimiter=delimiter)
        writer.writerow(columns)
        writer.writerows([image[name] for name in columns] for image in images)
        return text.getvalue()
    lines = [columns] + [
        [f'"{image[name]}"' if name in quoted else image[name] for name in columns]
        for image in images
    ]
    return "".join(f"{delimiter.join(line)}\n" for line in lines)


def write(path: Path, text: str | bytes) -> Path:
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def tar_bytes(members: Iterable[tuple[str, str | bytes | None]], mode: str = "w:gz") -> bytes:
    """An archive; a member without content is a folder."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode) as archive:  # type: ignore[call-overload]
        for name, content in members:
            info = tarfile.TarInfo(name)
            data = content.encode() if isinstance(content, str) else content or b""
            info.size = len(data)
            if content is None:
                info.type = tarfile.DIRTYPE
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


def gz_bytes(text: str) -> bytes:
    return gzip.compress(text.encode(), mtime=0)

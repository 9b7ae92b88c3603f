"""Image lists and configurations for mirrors of the little web, and fetcher as a process."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

import yaml

from fetcher import killpoints
from fetcher.demo.images import md5_of, picture
from fetcher.demo.tour import HEADER

HOST: Final = "farm1.staticflickr.com"


@dataclass(frozen=True, slots=True)
class Row:
    """One line of an image list; size and MD5 are text, as they may be anything."""

    image_id: str
    url: str
    size: str = ""
    md5: str = ""
    subset: str = "train"
    title: str = "A title"

    @classmethod
    def of(cls, image_id: str, url: str, data: bytes, *, subset: str = "train") -> Row:
        """A row whose listed bytes are ``data``."""
        return cls(image_id, url, str(len(data)), md5_of(data), subset)


def write_list(path: Path, rows: Iterable[Row]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(HEADER)
        for row in rows:
            cells = (row.image_id, row.subset, row.url, "", "", "", "Author", row.title)
            writer.writerow((*cells, row.size, row.md5, ""))
    return path


def gallery(count: int, *, size: int = 2_000, host: str = HOST, scheme: str = "http") -> list[Row]:
    """Rows for pictures that the little web serves without a script."""
    return [
        Row.of(
            f"{n:016x}",
            f"{scheme}://{host}/pic/{n:x}/{size + n % 100}.jpg",
            picture(f"{n:x}", size + n % 100),
        )
        for n in range(count)
    ]


FAST: Final[Mapping[str, Any]] = {
    "fetch": {"processes": 1},
    "hosts": {"default": {"rate": "unlimited", "concurrency": 64}},
    "retry": {"attempts": 3, "first_delay": "10ms", "max_delay": "20ms", "patience": 0},
    "store": {"min_free": 0},
    "run": {"drain": "20s"},
    "consent": {"robots": False},
}
"""As fast as it gets, and little patience. What is counted is requests for images: the one for each
host's robots.txt is left out, where it is not what a test is about."""


def configuration(*layers: Mapping[str, Any]) -> dict[str, Any]:
    """Layers of nested maps in one; later ones win."""
    merged: dict[str, Any] = {}
    for layer in layers:
        for key, value in layer.items():
            old = merged.get(key)
            if isinstance(value, Mapping) and isinstance(old, Mapping) and key != "connect_to":
                merged[key] = configuration(old, value)
            else:
                merged[key] = dict(value) if isinstance(value, Mapping) else value
    return merged


def write_config(path: Path, *layers: Mapping[str, Any]) -> Path:
    path.write_text(yaml.safe_dump(configuration(FAST, *layers)), encoding="utf-8")
    return path


def start(
    *arguments: str | Path,
    cwd: Path | None = None,
    kill_at: str | None = None,
    powerless: bool = False,
    told: IO[str] | None = None,
) -> subprocess.Popen[str]:
    """``fetcher`` as a process of its own, the first of a group of its own; ``kill_at`` names a
    point where it is killed (``fetcher.killpoints``). ``powerless``: permissions hold for root.
    ``told`` takes what it says, in place of pipes that somebody has to read.
    """
    command = [sys.executable, "-m", "fetcher", *map(str, arguments)]
    if powerless and os.getuid() == 0:
        command = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", *command]
    armed = {killpoints.VARIABLE: kill_at} if kill_at is not None else {}
    return subprocess.Popen(  # noqa: S603  ourselves
        command,
        cwd=cwd,
        env=os.environ | armed,
        process_group=0,
        stdout=subprocess.PIPE if told is None else told,
        stderr=subprocess.PIPE if told is None else told,
        text=True,
    )

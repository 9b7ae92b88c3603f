"""DESIGN's laws, checked from outside: by what lies in DIR, and by nothing of fetcher's own code.

A manifest is looked at in a copy, with its write-ahead log, so that looking changes nothing: after
a kill the next run finds what the killed one left.
"""

from __future__ import annotations

import hashlib
import shutil
import sqlite3
import tempfile
from base64 import b64encode
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

LASTING: Final = frozenset({"manifest.sqlite", "images", "mismatched"})
"""What may lie in DIR when no run is on."""
_PASSING: Final = frozenset(
    {"manifest.sqlite-wal", "manifest.sqlite-shm", "manifest.sqlite.lock", ".partial"}
)
"""What may lie there besides while a run is on, or after it was killed."""
_COPIED: Final = ("", "-wal")


@dataclass(frozen=True, slots=True)
class Image:
    """A row of the manifest's view ``images``."""

    image_id: str
    subset: str
    url: str
    expected_size: int | None
    expected_md5: str | None
    state: str
    code: str | None
    http_status: int | None
    final_url: str | None
    actual_size: int | None
    actual_md5: str | None
    attempts: int
    path: str | None
    updated_at: str


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A manifest at one moment."""

    images: dict[str, Image]
    accepted: int
    duplicate: int
    rejected: int
    tallied: dict[str, int]
    """Assets by state, as the manifest itself keeps count."""

    @property
    def settled(self) -> set[str]:
        return {image.image_id for image in self.images.values() if image.state != "pending"}


NOTHING: Final = Snapshot({}, 0, 0, 0, {})


@contextmanager
def opened(directory: Path) -> Iterator[sqlite3.Connection]:
    """A copy of the manifest in ``directory``; of one that is in use, when nobody writes to it."""
    with tempfile.TemporaryDirectory() as away:
        for suffix in _COPIED:
            name = f"manifest.sqlite{suffix}"
            if (directory / name).exists():
                shutil.copyfile(directory / name, Path(away, name))
        with closing(sqlite3.connect(Path(away, "manifest.sqlite"))) as connection:
            yield connection


def snapshot(directory: Path) -> Snapshot:
    """Where the manifest stands; ``NOTHING`` if there is none, or one without its tables yet."""
    if not (directory / "manifest.sqlite").exists():
        return NOTHING
    with opened(directory) as connection:
        if not connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]:
            return NOTHING
        columns = ", ".join(Image.__slots__)
        found = connection.execute(f"SELECT {columns} FROM images").fetchall()  # noqa: S608
        images = {row[0]: Image(*row) for row in found}
        if len(images) != len(found):
            raise AssertionError("an image_id occurs twice")
        accepted, duplicate, rejected = connection.execute(
            "SELECT coalesce(sum(accepted), 0), coalesce(sum(duplicate), 0), "
            "coalesce(sum(rejected), 0) FROM sources"
        ).fetchone()
        tallied = connection.execute(
            "SELECT s.name, sum(t.n) FROM tallies AS t JOIN states AS s ON s.id = t.state "
            "GROUP BY s.name HAVING sum(t.n) != 0"
        ).fetchall()
    return Snapshot(images, accepted, duplicate, rejected, dict(tallied))


def breaches(directory: Path, *, finished: bool = False) -> list[str]:
    """Which laws do not hold in ``directory``, in words. ``finished``: no run was killed there.

    Laws 1, 2 and 3, and what section 5 says may lie in DIR.
    """
    now = snapshot(directory)
    return [
        *_miscounted(now),
        *_unproven(directory, now),
        *_torn(directory, now),
        *_strangers(directory, finished=finished),
    ]


def md5(path: Path) -> str:
    """Base64, as in the image lists."""
    with path.open("rb") as file:
        return b64encode(hashlib.file_digest(file, "md5").digest()).decode()


def files(directory: Path) -> set[str]:
    """Relative paths of all files below ``directory``."""
    return {
        str(path.relative_to(directory))
        for path in directory.rglob("*")
        if path.is_symlink() or not path.is_dir()
    }


def _miscounted(now: Snapshot) -> Iterator[str]:
    counted: dict[str, int] = {}
    for image in now.images.values():
        counted[image.state] = counted.get(image.state, 0) + 1
    if now.accepted != len(now.images):
        yield f"law 1: {now.accepted} rows accepted, but {len(now.images)} assets"
    if counted != now.tallied:
        yield f"law 1: states are {counted}, but the tally says {now.tallied}"


def _unproven(directory: Path, now: Snapshot) -> Iterator[str]:
    for image in now.images.values():
        if image.state != "verified" or image.path is None:
            continue
        path = directory / image.path
        if path.is_symlink() or not path.is_file():
            yield f"law 2: {image.path} is verified, and not there"
        elif (path.stat().st_size, md5(path)) != (image.actual_size, image.actual_md5):
            yield f"law 2: {image.path} is verified, and does not match what was received"
        elif image.expected_md5 not in (None, image.actual_md5):
            yield f"law 2: {image.path} is verified, with another MD5 than listed"
        elif image.expected_size not in (None, image.actual_size):
            yield f"law 2: {image.path} is verified, with another size than listed"


def _torn(directory: Path, now: Snapshot) -> Iterator[str]:
    """Files under ``images/`` that are not what the list says of their id, settled or not."""
    for name in files(directory / "images"):
        path = directory / "images" / name
        image = now.images.get(path.stem)
        if image is None:
            yield f"law 3: images/{name} is of no asset"
        elif image.expected_md5 is not None and md5(path) != image.expected_md5:
            yield f"law 3: images/{name} is torn, or another image"


def _strangers(directory: Path, *, finished: bool) -> Iterator[str]:
    allowed = LASTING if finished else LASTING | _PASSING
    for entry in directory.iterdir() if directory.exists() else ():
        if entry.name not in allowed:
            yield f"section 5: {entry.name} lies in DIR"

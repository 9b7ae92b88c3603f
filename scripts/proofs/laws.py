"""DESIGN's laws, checked from outside: by what lies in DIR, and by nothing of fetcher's own code.

A manifest is looked at in a copy, with its log or journal, so that looking changes nothing: after a
kill the next run finds what the killed one left.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import sqlite3
import tarfile
import tempfile
from base64 import b64encode
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

LASTING: Final = frozenset({"manifest.sqlite", "images", "mismatched", "shards"})
"""What may lie in DIR when no run is on."""
_PASSING: Final = frozenset(
    {f"manifest.sqlite{end}" for end in ("-wal", "-shm", "-journal", ".lock")}
    | {".partial", ".partial.lock"}
)
"""What may lie there besides while a run is on, or after it was killed. The journal is SQLite's,
for the one page that it writes when a run begins its log, and when it folds it at the end."""
_COPIED: Final = ("", "-wal", "-journal")


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
        *_ill_shelved(directory, now, finished=finished),
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


@dataclass(frozen=True, slots=True)
class Shelved:
    """An image in a shard."""

    path: str
    """As the manifest would have it."""
    offset: int
    size: int
    md5: str
    facts: Mapping[str, object] | None
    """Its JSON, if that follows."""


def shelved(directory: Path) -> list[Shelved]:
    """The images in all shards, one after another; what is torn at the end of a shard ends it."""
    found: list[Shelved] = []
    for path in sorted((directory / "shards").rglob("*.tar")):
        key = path.relative_to(directory).as_posix()
        before = len(found)
        with suppress(tarfile.ReadError), tarfile.open(path, ignore_zeros=False) as shard:
            for member in shard:
                file = shard.extractfile(member)
                data = file.read() if file is not None else b""
                if member.name.startswith("__") or len(data) != member.size:
                    continue
                if not member.name.endswith(".json"):
                    digest = b64encode(hashlib.md5(data, usedforsecurity=False).digest()).decode()
                    place = f"{key}/{member.name}"
                    found.append(Shelved(place, member.offset_data, member.size, digest, None))
                elif len(found) > before and _same_stem(found[-1].path, member.name):
                    found[-1] = replace(found[-1], facts=json.loads(data))
    return found


def _same_stem(path: str, name: str) -> bool:
    return path.rpartition("/")[2].partition(".")[0] == name.partition(".")[0]


def _unproven_in_shard(image: Image, shelf: Mapping[str, Shelved]) -> Iterator[str]:
    found = shelf.get(image.path or "")
    if found is None:
        yield f"law 2: {image.path} is verified, and not in its shard"
    elif (found.size, found.md5) != (image.actual_size, image.actual_md5):
        yield f"law 2: {image.path} is verified, and does not match what was received"
    elif image.expected_md5 not in (None, found.md5):
        yield f"law 2: {image.path} is verified, with another MD5 than listed"
    elif found.facts is None or (found.facts["image_id"], found.facts["actual_md5"]) != (
        image.image_id,
        image.actual_md5,
    ):
        yield f"law 2: {image.path} is verified, and its JSON is of something else"


def _ill_shelved(directory: Path, now: Snapshot, *, finished: bool) -> Iterator[str]:
    """Shards hold what the manifest says, once, and behind that at most a tail."""
    recorded = {image.path for image in now.images.values()}
    last: dict[str, int] = {}
    shelf = shelved(directory)
    for book in shelf:
        if book.path in recorded:
            last[book.path.rpartition("/")[0]] = book.offset
    seen: set[str] = set()
    for book in shelf:
        behind = book.offset > last.get(book.path.rpartition("/")[0], -1)
        if book.path not in recorded and (finished or not behind):
            yield f"law 3: {book.path} lies in a shard, and is not recorded"
        if book.path in seen:
            yield f"law 3: {book.path} lies in its shard twice"
        seen.add(book.path)
    if finished:
        for path in sorted((directory / "shards").rglob("*")):
            if path.is_file() and not path.read_bytes().endswith(bytes(1024)):
                yield f"law 3: {path} is not closed"


def _miscounted(now: Snapshot) -> Iterator[str]:
    counted: dict[str, int] = {}
    for image in now.images.values():
        counted[image.state] = counted.get(image.state, 0) + 1
    if now.accepted != len(now.images):
        yield f"law 1: {now.accepted} rows accepted, but {len(now.images)} assets"
    if counted != now.tallied:
        yield f"law 1: states are {counted}, but the tally says {now.tallied}"


def _unproven(directory: Path, now: Snapshot) -> Iterator[str]:
    shelf = {book.path: book for book in shelved(directory)}
    for image in now.images.values():
        if image.state != "verified" or image.path is None:
            continue
        if image.path.startswith("shards/"):
            yield from _unproven_in_shard(image, shelf)
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

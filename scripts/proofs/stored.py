"""A DIR as a mirror leaves it, made without a web: files, and a manifest that has them as settled.

Through the manifest's own code, so that what is planted afterwards is the only thing amiss. Images
are such as the little web serves without a script, so a mirror can fetch them again; of every
``LOST_EVERY``-th the web has nothing, every ``MISMATCHED_EVERY``-th is listed with another MD5 and
lies in quarantine, and of every ``UNLISTED_EVERY``-th the list gives neither size nor MD5.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from fetcher.demo.images import md5_of, picture
from fetcher.manifest.database import Database
from fetcher.manifest.runs import RunInfo
from fetcher.model import (
    Body,
    Expectation,
    LeaseRequest,
    Outcome,
    Row,
    Selection,
    Slot,
    SourceInfo,
    State,
)
from fetcher.policy.paths import relative_path
from fetcher.store import ShardStore
from scripts.proofs import mirrors

LOST_EVERY: Final = 10
MISMATCHED_EVERY: Final = 7
UNLISTED_EVERY: Final = 11
SUBSETS: Final = ("train", "validation", "test")

_BATCH: Final = 2_000
_PACKED: Final = 20
"""Images in a batch of a shard, which is held in memory."""
_GOLDEN: Final = 0x9E3779B97F4A7C15
_OTHER_MD5: Final = md5_of(b"another image")
_NOW: Final = 1_700_000_000.0


@dataclass(frozen=True, slots=True)
class Stored:
    """One image that was settled with a file."""

    row: mirrors.Row
    state: State
    path: str
    """Relative to DIR."""
    lost: bool
    """The web has it no more."""
    size: int
    slot: Slot | None = None
    """In the shard that ``path`` leads into."""

    def bytes(self, directory: Path) -> bytes:
        """As they lie in DIR."""
        if self.slot is None:
            return (directory / self.path).read_bytes()
        with (directory / self.path).parent.open("rb") as shard:
            shard.seek(self.slot.offset)
            return shard.read(self.size)


def build(
    place: Path, images: int, *, size: int = 600, shards: bool = False
) -> tuple[Path, Path, list[Stored]]:
    """DIR and the list it is of, below ``place``, with ``images`` files of about ``size`` bytes;
    ``shards``: in tar shards, but for what is in quarantine.
    """
    directory = place / "mirror"
    directory.mkdir()
    stored = [_write(directory, n, size) for n in range(images)]
    if shards:
        stored = list(_packed(directory, stored))
    listed = mirrors.write_list(place / "images.csv", (image.row for image in stored))
    _settle(directory / "manifest.sqlite", listed, stored)
    return directory, listed, stored


def _write(directory: Path, n: int, size: int) -> Stored:
    key, length = f"{n:x}", size + n % 100
    data = picture(key, length)
    image_id = f"{n * _GOLDEN % 2**64:016x}"
    subset = SUBSETS[n % len(SUBSETS)]
    lost = n % LOST_EVERY == 0
    url = f"http://{mirrors.HOST}/{'lost' if lost else 'pic'}/{key}/{length}.jpg"
    row = mirrors.Row.of(image_id, url, data, subset=subset)
    state = State.VERIFIED
    if n % UNLISTED_EVERY == 0:
        row, state = mirrors.Row(image_id, url, subset=subset), State.UNVERIFIED
    elif n % MISMATCHED_EVERY == 0:
        row = mirrors.Row(image_id, url, str(length), _OTHER_MD5, subset)
        state = State.MISMATCHED
    folder = "mismatched" if state is State.MISMATCHED else "images"
    path = relative_path(folder, subset, image_id, "jpg")
    target = directory / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(data)
    return Stored(row, state, path, lost, length)


def _packed(directory: Path, stored: list[Stored]) -> Iterator[Stored]:
    store = ShardStore(directory, shard_size=1 << 30, durability="none")
    store.prepare()
    for start in range(0, len(stored), _PACKED):
        batch = []
        for n, image in enumerate(stored[start : start + _PACKED], start):
            if image.state is State.MISMATCHED:
                yield image
                continue
            data = (directory / image.path).read_bytes()
            (directory / image.path).unlink()
            staged = store.stage(image.path, Body(len(data), data=data), name=str(n))
            batch.append(staged)
            yield replace(image, path=staged.key, slot=staged.slot)
        store.publish(batch)
    store.close()


def _settle(manifest: Path, listed: Path, stored: list[Stored]) -> None:
    database = Database.open(
        manifest, command="made", group_of=lambda host: host, selection=Selection()
    )
    try:
        database.begin_run(RunInfo("made", "0"))
        info = SourceInfo(str(listed), None, ())
        cursor = database.begin_source(info, "made")
        for batch in _batches(stored):
            rows = [_listed(line, image.row) for line, image in batch]
            database.import_rows(cursor.source_id, rows, rows[-1].line)
            assets = dict(_leased(database, len(batch)))
            database.settle(
                [_outcome(assets[image.row.image_id], image, manifest.parent) for _, image in batch]
            )
        database.finish_source(cursor.source_id)
        database.finish_import()
        database.end_run(0)
    finally:
        database.close()


def _leased(database: Database, images: int) -> Iterator[tuple[str, int]]:
    """Take a lease of so many; their ids, and the numbers of their assets."""
    while images:  # a lease comes in parts
        part = database.lease_part(LeaseRequest(images, default_room=images))
        images -= len(part.leased)
        for item in part.leased:
            yield item.asset.image_id, item.asset.asset_id


def _batches(stored: list[Stored]) -> Iterator[list[tuple[int, Stored]]]:
    for start in range(0, len(stored), _BATCH):
        yield list(enumerate(stored[start : start + _BATCH], start + 2))


def _listed(line: int, row: mirrors.Row) -> Row:
    expected = Expectation(int(row.size) if row.size else None, row.md5 or None)
    return Row(line, row.image_id, row.subset, row.url, expected)


def _outcome(asset_id: int, image: Stored, directory: Path) -> Outcome:
    data = image.bytes(directory)
    return Outcome(
        asset_id=asset_id,
        state=image.state,
        attempt=1,
        started_at=_NOW,
        elapsed=0.1,
        code="md5-mismatch" if image.state is State.MISMATCHED else None,
        http_status=200,
        actual_size=len(data),
        actual_md5=md5_of(data),
        path=image.path,
        received=len(data),
        slot=image.slot,
    )

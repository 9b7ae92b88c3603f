"""Whether every byte arrived. Never part of what is timed.

All images have different digests, so the files' digests, taken together, say all: wherever a
program puts an image and whatever it calls it.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
import tarfile
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

from scripts.benchmarks.corpus import Image


def missing(directory: Path, images: tuple[Image, ...]) -> str | None:
    """What is wrong with the ``*.jpg`` anywhere below ``directory``, files or members of tar files;
    ``None`` if nothing is.
    """
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        found = Counter(pool.map(_md5, directory.rglob("*.jpg"), chunksize=64))
    for path in directory.rglob("*.tar"):
        found.update(_md5s_within(path))
    wanted = Counter(image.md5 for image in images)
    lost, foreign = (wanted - found).total(), (found - wanted).total()
    if not lost and not foreign:
        return None
    return f"{lost:,} of {len(images):,} images missing, {foreign:,} files that are none of them"


def unverified(manifest: Path, images: tuple[Image, ...]) -> str | None:
    """What is wrong with fetcher's manifest; ``None`` if it says ``verified`` of all images."""
    with closing(sqlite3.connect(f"{manifest.as_uri()}?mode=ro", uri=True)) as database:
        states = dict(database.execute("SELECT state, count(*) FROM images GROUP BY state"))
    if states == {"verified": len(images)}:
        return None
    return f"the manifest says {states}"


def unwritten(directory: Path, images: tuple[Image, ...]) -> str | None:
    """What is wrong with files that only have to be as many, and as large, as the images."""
    found = Counter(path.stat().st_size for path in directory.iterdir())
    wanted = Counter(image.size for image in images)
    return None if found == wanted else f"{(wanted - found).total():,} files of no image's size"


def _md5(path: Path) -> bytes:
    with path.open("rb") as file:
        return hashlib.file_digest(file, _new_md5).digest()


def _md5s_within(path: Path) -> Iterator[bytes]:
    with tarfile.open(path) as shard:
        for member in shard:
            file = shard.extractfile(member) if member.name.endswith(".jpg") else None
            if file is not None:
                yield hashlib.md5(file.read(), usedforsecurity=False).digest()


def _new_md5() -> hashlib._Hash:
    return hashlib.md5(usedforsecurity=False)

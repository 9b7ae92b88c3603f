"""The recovery when the disk does not even tell how long a file is."""

from __future__ import annotations

from pathlib import Path

import pytest

from fetcher.engine import StoreRecovery
from fetcher.model import Asset, Fault
from fetcher.policy import codes
from tests.engine.rig import picture, row
from tests.fakes.store import MemoryStore

LISTED = row(0, "http://a.test/0.jpg")
ASSET = Asset(1, LISTED.image_id, LISTED.subset, LISTED.url, "a.test", LISTED.expected)


async def adopted_from(store: MemoryStore, *gone: Path) -> Fault:
    recovery = StoreRecovery(store)
    for path in gone:
        path.unlink()
    fault = (await recovery.adopt([ASSET])).fault
    assert fault is not None
    return fault


async def test_a_published_file_that_cannot_be_looked_at_is_a_fault_of_the_disk(
    tmp_path: Path,
) -> None:
    store = MemoryStore(tmp_path)
    store.files[f"images/train/000/{LISTED.image_id}.jpg"] = picture(0)  # but not on this disk
    error = await adopted_from(store)
    assert error.code in codes.CODES
    assert "cannot be read" in error.detail


@pytest.mark.parametrize("name", ["1", "1.part"])
async def test_a_leftover_that_cannot_be_looked_at_is_a_fault_of_the_disk(
    name: str, tmp_path: Path
) -> None:
    store = MemoryStore(tmp_path)
    left = store.spool_path(name)
    left.write_bytes(picture(0)[:9])
    error = await adopted_from(store, left)
    assert "cannot be read" in error.detail

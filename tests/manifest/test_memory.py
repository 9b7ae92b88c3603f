"""Law 7: memory does not grow with the list."""

from __future__ import annotations

import gc
import tracemalloc
from functools import lru_cache
from pathlib import Path

import pytest

from fetcher.manifest import leasing, names, origins
from fetcher.model import State
from tests.conformance.manifest_suite import outcome, row
from tests.manifest.opened import database, lease, source


def peak(path: Path, batches: int) -> int:
    """Bytes at the highest of importing, leasing and settling ``batches`` of 200 rows.

    Python keeps the room of dead tuples for new ones, up to some hundred kilobytes, and gives it
    back at a full collection: whenever that happens to be due, after whatever ran before in this
    process. So there is one after each batch, and what is counted is in use. (No cycles are made
    here, for it to find.)
    """
    with database(path) as manifest:
        cursor = manifest.begin_source(source(), "1")
        gc.collect()
        tracemalloc.start()
        for batch in range(batches):
            rows = [row(batch * 200 + n, host=f"h{batch}-{n}.test") for n in range(1, 201)]
            manifest.import_rows(cursor.source_id, rows, rows[-1].line)
            taken = lease(manifest, limit=150, room=1)
            manifest.settle([outcome(asset.asset_id, State.VERIFIED) for asset in taken])
            del rows, taken
            gc.collect()
        _, highest = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return highest


def test_memory_does_not_grow_with_rows_or_hosts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each host is a group of its own, and what is remembered of them is less than there are."""
    monkeypatch.setattr(names, "_REMEMBERED", 300)
    monkeypatch.setattr(leasing, "_TURNS", 300)
    monkeypatch.setattr(origins, "_of_origin", lru_cache(300)(origins._standing))
    peak(tmp_path / "warm.sqlite", 3)
    few = peak(tmp_path / "few.sqlite", 4)
    many = peak(tmp_path / "many.sqlite", 16)
    assert many < few * 1.2

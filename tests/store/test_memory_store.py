"""The fake is held to the same contract as the real store."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conformance.store_suite import Bench, FileStoreSuite
from tests.fakes.store import MemoryStore


class TestMemoryStore(FileStoreSuite):
    @pytest.fixture
    def bench(self, tmp_path: Path) -> Bench:
        store = MemoryStore(tmp_path / "mirror")
        return Bench(store, lambda staged: store.files.get(staged.key), lambda _: store.fail(0))

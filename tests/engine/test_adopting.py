"""Looking for what an earlier run left, on a disk that does not let itself be looked at."""

from __future__ import annotations

import asyncio
import errno
import os
from pathlib import Path

import pytest
from msgspec.structs import replace

from fetcher.engine import StoreRecovery
from fetcher.model import Asset, Body, Expectation
from fetcher.store import LocalStore
from fetcher.store.system import System

DATA = b"\xff\xd8\xff\xe0 some image"
ASSET = Asset(1, "abc", "", "http://a.test/abc.jpg", "a.test", Expectation(len(DATA), "0" * 22))


@pytest.mark.parametrize(
    ("number", "code"), [(errno.EIO, "disk-error"), (errno.EMFILE, "out-of-descriptors")]
)
async def test_a_look_that_fails_is_a_fault_of_ours(number: int, code: str, tmp_path: Path) -> None:
    earlier = LocalStore(tmp_path)
    earlier.prepare()
    earlier.publish([earlier.stage("images/abc/abc.jpg", Body(len(DATA), data=DATA), name="1")])
    earlier.close()

    def failing(path: str) -> os.stat_result:
        if path.endswith(".jpg"):
            raise OSError(number, os.strerror(number), path)
        return os.lstat(path)

    store = LocalStore(tmp_path, system=replace(System(), lstat=failing))
    store.prepare()
    recovery = StoreRecovery(store)
    adoption = await recovery.adopt([ASSET])
    assert adoption.fault is not None
    assert adoption.fault.code == code
    assert "abc.jpg" in adoption.fault.detail
    assert (adoption.landed, adoption.partials) == ((), {})
    store.close()


@pytest.mark.parametrize("name", ["1", "1.part"])
def test_a_leftover_that_vanishes_meanwhile_is_one_too(name: str, tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    store.prepare()
    left = Path(store.spool_path(name))
    left.write_bytes(DATA)
    recovery = StoreRecovery(store)
    left.unlink()
    adoption = asyncio.run(recovery.adopt([ASSET]))
    assert adoption.fault is not None
    assert adoption.fault.code == "disk-error"
    assert asyncio.run(recovery.adopt([ASSET])).fault is None
    store.close()

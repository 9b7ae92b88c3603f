"""Images in shards: whatever is changed of them is told, byte by byte."""

from __future__ import annotations

import hashlib
import os
from base64 import b64encode
from pathlib import Path

import pytest

from fetcher.checking.files import Examiner, Record
from fetcher.model import Body
from fetcher.policy import tar
from fetcher.store import ShardStore

CONTENT = b"an image of 700 bytes".ljust(700, b".")
NAMES = ["plain", "x" * 150]


def record(root: Path, name: str) -> tuple[Record, int]:
    """A shard with the image and another one behind it, and where its group ends."""
    store = ShardStore(root, shard_size=1 << 20, durability="none")
    store.prepare()
    staged = [
        store.stage(f"images/train/aaa/{one}.jpg", Body(700, data=CONTENT), name=one)
        for one in (name, "behind")
    ]
    store.publish(staged)
    store.close()
    md5 = b64encode(hashlib.md5(CONTENT, usedforsecurity=False).digest()).decode()
    slot = staged[0].slot
    assert slot is not None
    return Record(staged[0].key, 700, md5, slot.offset), slot.end


@pytest.mark.parametrize("name", NAMES)
def test_a_flipped_bit_anywhere_is_found(tmp_path: Path, name: str) -> None:
    image, end = record(tmp_path, name)
    assert image.offset is not None
    shard = tmp_path / image.path.rpartition("/")[0]
    whole = shard.read_bytes()
    front = len(tar.header(f"{name}.jpg", 700))
    beside = image.offset + 700 + tar.padding(700)
    header = len(tar.header(f"{name}.json", 0))
    told = tar.parsed(whole[beside + header - tar.BLOCK : beside + header])
    assert told is not None
    text_end = beside + header + told[1]
    filling = {*range(image.offset + 700, beside), *range(text_end, end)}
    examiner = Examiner(str(tmp_path))
    assert examiner.examine(image) is None
    with shard.open("r+b", buffering=0) as file:
        for at in range(image.offset - front, end):
            os.pwrite(file.fileno(), bytes([whole[at] ^ 0x10]), at)
            observed = examiner.examine(image)
            os.pwrite(file.fileno(), whole[at : at + 1], at)
            assert (observed is None) == (at in filling), at
    assert examiner.examine(image) is None
    examiner.forget()


@pytest.mark.parametrize("name", NAMES)
def test_a_shard_that_ends_early_is_found_wherever_it_ends(tmp_path: Path, name: str) -> None:
    image, end = record(tmp_path, name)
    assert image.offset is not None
    shard = tmp_path / image.path.rpartition("/")[0]
    whole = shard.read_bytes()
    for size in (0, 100, image.offset, image.offset + 699, image.offset + 900, end - 512):
        shard.write_bytes(whole[:size])
        examiner = Examiner(str(tmp_path))
        observed = examiner.examine(image)
        assert observed is not None
        assert observed.kind == ("truncated" if size < image.offset + 700 else "altered"), size
        examiner.forget()


def test_an_image_larger_than_one_read_is_compared_to_its_end(tmp_path: Path) -> None:
    content = os.urandom(3 << 20)
    store = ShardStore(tmp_path, shard_size=1 << 30, durability="none")
    store.prepare()
    staged = store.stage("images/aaa/a.jpg", Body(len(content), data=content), name="1")
    store.publish([staged])
    store.close()
    assert staged.slot is not None
    md5 = b64encode(hashlib.md5(content, usedforsecurity=False).digest()).decode()
    image = Record(staged.key, len(content), md5, staged.slot.offset)
    examiner = Examiner(str(tmp_path))
    assert examiner.examine(image) is None
    assert examiner.read == len(content)
    assert examiner.examine(image._replace(md5="AAAA")) is not None
    examiner.forget()

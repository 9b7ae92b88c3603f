"""What comes out of a compressed body is bounded by what may, in memory and on the disk."""

from __future__ import annotations

import gzip
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from fetcher.engine import unpacking
from fetcher.errors import StoreError
from fetcher.policy.verify import Digest, digest

IMAGE = b"\xff\xd8\xff\xe0" + bytes(range(256)) * 99
MOST = 1 << 20


def parts(data: bytes) -> Callable[[], list[bytes]]:
    coded = gzip.compress(data, mtime=0)
    return lambda: [coded[:100], coded[100:]]


def test_what_is_inside_is_measured_and_written(tmp_path: Path) -> None:
    found = unpacking.measure("gzip", parts(IMAGE), MOST)
    assert found == (digest([IMAGE]), "image/jpeg")
    path = tmp_path / "1.unpacked"
    path.symlink_to(tmp_path / "elsewhere")
    body = unpacking.write("gzip", parts(IMAGE), path, len(IMAGE))
    assert (body.size, body.path) == (len(IMAGE), path)
    assert path.read_bytes() == IMAGE
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize(("size", "found"), [(MOST, True), (MOST + 1, False)])
def test_more_than_may_come_out_does_not(size: int, found: bool) -> None:  # noqa: FBT001
    assert (unpacking.measure("gzip", parts(bytes(size)), MOST) is not None) is found


def test_a_bomb_is_not_held() -> None:
    chunks = parts(bytes(64 << 20))
    tracemalloc.start()
    try:
        assert unpacking.measure("gzip", chunks, 63 << 20) is None
        assert tracemalloc.get_traced_memory()[1] < MOST
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("label", ["x", "identity", "gzip, gzip", ""])
def test_what_cannot_be_taken_off(label: str) -> None:
    assert unpacking.measure(label, parts(IMAGE), MOST) is None


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="No such file"):
        unpacking.write("gzip", parts(IMAGE), tmp_path / "missing" / "1", len(IMAGE))


def test_an_empty_body_has_no_type() -> None:
    assert unpacking.measure("gzip", parts(b""), MOST) == (Digest(*digest([])), None)

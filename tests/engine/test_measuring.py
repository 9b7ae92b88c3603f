"""Bodies measured in company are what they are alone, wherever they lie."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from msgspec import structs

from fetcher.engine import measuring
from fetcher.engine.measuring import CHUNK, FILES, measure
from fetcher.errors import StoreError
from fetcher.model import Arrival, Body
from fetcher.policy.sniff import HEAD, sniff

JPEG = b"\xff\xd8\xff\xe0"


def content(n: int, size: int) -> bytes:
    return (JPEG + hashlib.shake_128(f"{n}".encode()).digest(size))[:size]


def arrival(body: Body, n: int = 0) -> Arrival:
    return Arrival(body, 200, None, f"https://a.example/{n}.jpg")


def spooled(path: Path, data: bytes) -> Body:
    path.write_bytes(data)
    return Body(len(data), path=path)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(st.booleans(), st.sampled_from([0, 1, 4, 511, 513, 4096, 70_000])),
        max_size=2 * FILES + 3,
    )
)
@example([(True, CHUNK + n - 1) for n in range(3)] + [(False, 10)] + [(True, 3 * CHUNK)])
@example([(True, 5)] * (2 * FILES + 1))
def test_in_memory_and_in_files(tmp_path: Path, bodies: list[tuple[bool, int]]) -> None:
    contents = [content(n, size) for n, (_, size) in enumerate(bodies)]
    arrivals = [
        arrival(spooled(tmp_path / f"{n}.part", data) if in_file else Body(len(data), data=data), n)
        for n, ((in_file, _), data) in enumerate(zip(bodies, contents, strict=True))
    ]
    receipts = measure(arrivals)
    assert [(r.size, r.md5, r.content_type, r.final_url) for r in receipts] == [
        (
            len(data),
            b64encode(hashlib.md5(data, usedforsecurity=False).digest()).decode(),
            sniff(data[:HEAD]),
            f"https://a.example/{n}.jpg",
        )
        for n, data in enumerate(contents)
    ]


@pytest.mark.parametrize("written", [0, 99, 101])
def test_a_file_that_is_not_what_was_written(tmp_path: Path, written: int) -> None:
    body = structs.replace(spooled(tmp_path / "1.part", content(1, 100)), size=written)
    others = [arrival(Body(5, data=b"whole")), arrival(spooled(tmp_path / "2.part", b"whole"))]
    with pytest.raises(StoreError, match="has 100 bytes") as trouble:
        measure([*others, arrival(body)])
    assert trouble.value.fault_code == "disk-error"


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    missing = Body(5, path=tmp_path / "gone.part")
    with pytest.raises(StoreError, match="cannot be read"):
        measure([arrival(Body(5, data=b"whole")), arrival(missing)])


def test_no_more_files_are_open_than_promised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    most = 0

    class Counted(measuring._File):
        open = 0

        def read(self) -> bool:
            nonlocal most
            Counted.open += not self.size
            more = super().read()
            most = max(most, Counted.open)
            Counted.open -= not more
            return more

    monkeypatch.setattr(measuring, "_File", Counted)
    bodies = [spooled(tmp_path / f"{n}.part", content(n, 10)) for n in range(3 * FILES)]
    assert len(measure([arrival(body) for body in bodies])) == 3 * FILES
    assert most == FILES

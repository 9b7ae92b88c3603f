"""Unpacking ahead gives the same bytes and the same error, and ends with who reads."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fetcher.source import streams
from fetcher.source.streams import unpacked_ahead


@given(chunks=st.lists(st.binary(min_size=1, max_size=40), max_size=60), size=st.integers(1, 50))
def test_the_same_bytes(chunks: list[bytes], size: int) -> None:
    found = list(unpacked_ahead(iter(chunks), size))
    assert b"".join(found) == b"".join(chunks)
    assert all(0 < len(chunk) <= size for chunk in found)


def test_an_error_comes_behind_what_was_read() -> None:
    def chunks() -> Iterator[bytes]:
        yield b"a"
        raise OSError("gone")

    found = unpacked_ahead(chunks(), 10)
    assert next(found) == b"a"
    with pytest.raises(OSError, match="gone"):
        next(found)
    assert list(found) == []


def test_who_stops_reading_stops_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "AHEAD", 16)
    read = 0
    ended = threading.Event()

    def chunks() -> Iterator[bytes]:
        nonlocal read
        try:
            while True:
                read += 1
                yield b"x"
        finally:
            ended.set()

    found = unpacked_ahead(chunks(), 1)
    assert next(found) == b"x"
    found.close()  # type: ignore[attr-defined]  # it is a generator
    assert ended.wait(60)
    assert read <= 16 + 3

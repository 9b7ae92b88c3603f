"""Taking a coding off: what comes out, in bounded pieces, however the bytes are cut."""

from __future__ import annotations

import contextlib
import gzip
import importlib
import sys
import tracemalloc
import zlib
from collections.abc import Iterator
from typing import Any

import brotli
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fetcher.policy import codings
from fetcher.policy.codings import MEMBERS, PIECE, CodingError, decoder, obstacle

zstd: Any = importlib.import_module(
    "compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd"
)

DATA = bytes(range(256)) * 700


def raw(data: bytes) -> bytes:
    stream = zlib.compressobj(wbits=-15)
    return stream.compress(data) + stream.flush()


CODED = {
    "gzip": gzip.compress(DATA, mtime=0),
    "x-gzip": gzip.compress(DATA, mtime=0),
    " GZIP ": gzip.compress(DATA, mtime=0),
    "deflate": zlib.compress(DATA),
    "br": brotli.compress(DATA),
    "zstd": zstd.compress(DATA),
    "gzip, identity": gzip.compress(DATA, mtime=0),
    "gzip,": gzip.compress(DATA, mtime=0),
}


def cut(data: bytes, size: int) -> Iterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


@given(st.sampled_from(sorted(CODED)), st.integers(1, 2_000))
def test_what_comes_out(label: str, size: int) -> None:
    take_off = decoder(label)
    assert take_off is not None
    assert b"".join(take_off(cut(CODED[label], size))) == DATA


VARIANTS = {
    "bare deflate": ("deflate", raw(DATA), DATA),
    "two members": ("gzip", gzip.compress(b"a", mtime=0) + gzip.compress(b"b", mtime=0), b"ab"),
    "padding": ("gzip", gzip.compress(b"a", mtime=0) + bytes(512), b"a"),
    "after the end": ("deflate", zlib.compress(b"a") + b"more", b"a"),
    "nothing in it": ("gzip", gzip.compress(b"", mtime=0), b""),
    "two frames": ("zstd", zstd.compress(b"a") + zstd.compress(b"b"), b"ab"),
    "no bytes by br": ("br", brotli.compress(b""), b""),
    "no bytes by zstd": ("zstd", zstd.compress(b""), b""),
}


@pytest.mark.parametrize("what", VARIANTS)
def test_variants(what: str) -> None:
    label, coded, data = VARIANTS[what]
    take_off = decoder(label)
    assert take_off is not None
    assert b"".join(take_off([coded])) == data


@pytest.mark.parametrize(
    ("label", "data"),
    [
        ("gzip", b""),
        ("gzip", b"\xff\xd8\xff"),
        ("gzip", CODED["gzip"][:-1]),
        ("gzip", CODED["gzip"][:-5] + b"\0\0\0\0\0"),
        ("gzip", gzip.compress(b"a", mtime=0) + b"more"),
        ("deflate", b""),
        ("deflate", b"\xff\xd8\xff"),
        ("deflate", CODED["deflate"][:-1]),
        ("br", b""),
        ("br", b"\xff\xd8\xff"),
        ("br", CODED["br"][:-1]),
        ("br", CODED["br"] + b"more"),
        ("zstd", b""),
        ("zstd", b"\xff\xd8\xff"),
        ("zstd", CODED["zstd"][:-1]),
        ("zstd", CODED["zstd"] + b"more"),
    ],
)
def test_what_is_not_coded_so(label: str, data: bytes) -> None:
    take_off = decoder(label)
    assert take_off is not None
    with pytest.raises(CodingError):
        list(take_off([data]))


@pytest.mark.parametrize(
    ("label", "why"),
    [
        ("", None),
        ("identity", None),
        (" Identity , ", None),
        ("gzip, gzip", "gzip, gzip; only one"),
        ("x", "x, which is not known"),
        ("gzip, br", "gzip, br; only one"),
        ("compress", "compress, which"),
    ],
)
def test_codings_that_are_left_alone(label: str, why: str | None) -> None:
    assert decoder(label) is None
    assert (obstacle(label) is None) if why is None else (why in (obstacle(label) or ""))


@pytest.mark.parametrize("label", sorted(CODED))
def test_nothing_stands_against_what_is_taken_off(label: str) -> None:
    assert obstacle(label) is None


@pytest.mark.parametrize("label", ["br", "zstd"])
def test_without_its_library_a_coding_is_left_alone(
    label: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(codings, "_library", lambda *_: None)
    assert decoder(label) is None
    assert "fetcher[codings]" in (obstacle(label) or "")


def test_a_module_that_is_not_there_is_no_library() -> None:
    assert codings._library("no_such_module_anywhere", "zlib") is zlib
    assert codings._library("no_such_module_anywhere") is None


def test_a_window_beyond_what_a_coding_may_ask_for_is_refused() -> None:
    """RFC 9659: 8 MiB, and not the 2 GiB that the format knows."""
    stream = zstd.ZstdCompressor(options={zstd.CompressionParameter.window_log: 24})
    coded = stream.compress(bytes(1 << 20)) + stream.flush()
    take_off = decoder("zstd")
    assert take_off is not None
    with pytest.raises(CodingError):
        list(take_off([coded]))


@given(
    st.sampled_from(sorted(CODED)),
    st.binary(max_size=64),
    st.integers(0, 200),
    st.integers(0, 64),
    st.integers(1, 300),
)
def test_whatever_came_is_read_in_pieces_or_is_not_coded_so(
    label: str, junk: bytes, at: int, over: int, size: int
) -> None:
    """Damaged anywhere, and cut in any way."""
    damaged = CODED[label][:at] + junk + CODED[label][at + over :]
    take_off = decoder(label)
    assert take_off is not None
    with contextlib.suppress(CodingError):
        for piece in take_off(cut(damaged, size)):
            assert 0 < len(piece) <= PIECE


@pytest.mark.parametrize("label", ["gzip", "zstd"])
def test_members_of_nothing_do_not_take_for_ever(label: str) -> None:
    """32 MB of them: looked at one by one, each with a copy of the rest, they would not end."""
    nothing = gzip.compress(b"", mtime=0) if label == "gzip" else zstd.compress(b"")
    take_off = decoder(label)
    assert take_off is not None
    assert not list(take_off([nothing * MEMBERS]))
    with pytest.raises(CodingError, match="more than"):
        list(take_off([nothing * ((32 << 20) // len(nothing))]))


@pytest.mark.parametrize("label", ["br", "zstd"])
@pytest.mark.parametrize("size", [1, 1 << 20])
def test_a_bomb_by_any_coding_comes_out_in_pieces(label: str, size: int) -> None:
    """64 MB in less than 20 kB: nobody holds more of it than a piece, however it comes."""
    block = bytes(1 << 20)
    if label == "br":
        stream = brotli.Compressor(quality=1, lgwin=22)
        coded = b"".join(stream.process(block) for _ in range(64)) + stream.finish()
    else:
        stream = zstd.ZstdCompressor(options={zstd.CompressionParameter.window_log: 20})
        coded = b"".join(stream.compress(block) for _ in range(64)) + stream.flush()
    assert len(coded) < 20_000
    take_off = decoder(label)
    assert take_off is not None
    taken = 0
    tracemalloc.start()
    try:
        for piece in take_off(cut(coded, size)):
            assert len(piece) <= PIECE
            taken += len(piece)
            if taken > 32 << 20:
                break
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()
    assert taken < 33 << 20


@pytest.mark.parametrize("label", ["gzip", "deflate"])
def test_a_bomb_comes_out_in_pieces(label: str) -> None:
    """10 GB in 10 MB of coded bytes: as much of it is inflated as somebody takes."""
    stream = zlib.compressobj(9, wbits=31 if label == "gzip" else 15)
    block = stream.compress(bytes(1 << 20)) + stream.flush(zlib.Z_FULL_FLUSH)
    again = stream.compress(bytes(1 << 20)) + stream.flush(zlib.Z_FULL_FLUSH)
    coded = block + again * 10_000
    assert len(coded) < 20 << 20
    take_off = decoder(label)
    assert take_off is not None
    taken = 0
    for piece in take_off([coded]):
        assert len(piece) <= PIECE
        taken += len(piece)
        if taken > 32 << 20:
            break
    assert taken < 33 << 20

"""Taking a coding off: what comes out, in bounded pieces, however the bytes are cut."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fetcher.policy.codings import PIECE, CodingError, decoder

DATA = bytes(range(256)) * 700


def raw(data: bytes) -> bytes:
    stream = zlib.compressobj(wbits=-15)
    return stream.compress(data) + stream.flush()


CODED = {
    "gzip": gzip.compress(DATA, mtime=0),
    "x-gzip": gzip.compress(DATA, mtime=0),
    " GZIP ": gzip.compress(DATA, mtime=0),
    "deflate": zlib.compress(DATA),
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
    ],
)
def test_what_is_not_coded_so(label: str, data: bytes) -> None:
    take_off = decoder(label)
    assert take_off is not None
    with pytest.raises(CodingError):
        list(take_off([data]))


@pytest.mark.parametrize("label", ["", "identity", "br", "zstd", "gzip, gzip", "gzip,", "x"])
def test_codings_that_are_left_alone(label: str) -> None:
    assert decoder(label) is None


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

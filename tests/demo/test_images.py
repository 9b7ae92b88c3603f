"""Pictures have the size they should, follow from their key, and are what they say they are."""

from __future__ import annotations

import hashlib
import struct
import zlib
from base64 import b64decode
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fetcher.demo import images
from fetcher.demo.images import SIGNATURES, SMALLEST, Kind, md5_of, picture

KINDS: tuple[Kind, ...] = ("jpeg", "png", "gif")
kinds = st.sampled_from(KINDS)
keys = st.text(max_size=20)
sizes = st.integers(0, 200_000) | st.sampled_from(
    [512 + 4 + 65_537 * n + d for n in range(3) for d in range(-3, 4)]
)
Pixel = tuple[int, ...]


@given(keys, sizes, kinds)
def test_a_picture_has_its_size_and_its_signature(key: str, size: int, kind: Kind) -> None:
    data = picture(key, size, kind)
    assert len(data) == size
    assert data.startswith(SIGNATURES[kind][:size])


@given(keys, sizes, kinds)
def test_a_picture_follows_from_its_arguments(key: str, size: int, kind: Kind) -> None:
    assert images._draw(key, size, kind) == picture(key, size, kind)


@given(st.sets(keys, min_size=2, max_size=2), st.integers(64, 5_000), kinds)
def test_keys_tell_pictures_apart(pair: set[str], size: int, kind: Kind) -> None:
    one, other = (picture(key, size, kind) for key in pair)
    assert one != other


@given(keys, st.integers(200_000, 400_000), st.integers(1, 5))
def test_no_part_of_a_picture_is_like_the_part_before_it(key: str, size: int, parts: int) -> None:
    """Bytes put together from the wrong places must not pass for the right ones."""
    data = picture(key, size)
    step = len(data) // (parts + 1)
    for shift in (step, 65_536, 65_537):
        assert data[1_000:-shift] != data[1_000 + shift :]


@given(keys, st.integers(512, 200_000))
def test_all_kinds_show_the_same_mosaic(key: str, size: int) -> None:
    """Three decoders, each of which fails on anything out of order, see the same picture."""
    seen = {kind: DECODERS[kind](picture(key, size, kind)) for kind in KINDS}
    assert len(seen["gif"]) == 36
    assert seen["png"] == seen["gif"]
    for decoded, true in zip(seen["jpeg"], seen["gif"], strict=True):
        assert all(abs(a - b) <= 3 for a, b in zip(decoded, true, strict=True))


@pytest.mark.parametrize("kind", KINDS)
def test_every_mosaic_leaves_room_for_the_filler(kind: Kind) -> None:
    longest = max(len(head + tail) for head, tail in map(images._CONTAINERS[kind], range(256)))
    assert longest + 64 <= SMALLEST[kind]


def test_a_negative_size_is_refused() -> None:
    with pytest.raises(ValueError, match="-1 bytes"):
        picture("k", -1)


def test_digests_are_base64_as_in_the_lists() -> None:
    assert b64decode(md5_of(b"x")) == hashlib.md5(b"x", usedforsecurity=False).digest()


def test_the_cache_is_bounded_by_bytes() -> None:
    cache = images._Cache(1_000)
    for number in range(100):
        cache.get((str(number), 100, "jpeg"), images._draw)
    cache.get(("huge", 900, "jpeg"), images._draw)
    assert sum(map(len, cache._pictures.values())) == cache._held == 1_000
    assert list(cache._pictures)[-1] == ("99", 100, "jpeg")


# Decoders: only of what we write, and strict about it. Each gives the 36 cells' colours.


def decode_jpeg(data: bytes) -> list[Pixel]:
    segments, scan = walk_jpeg(data)
    names = [name for name, _ in segments]
    comments = names.count(0xFE)
    assert comments
    assert names == [0xE0, *[0xFE] * comments, 0xDB, 0xC0, 0xC4, 0xC4, 0xDA]
    payloads = dict(segments)
    assert payloads[0xDB] == bytes([0]) + bytes([8]) * 64
    assert struct.unpack(">BHHB", payloads[0xC0][:6]) == (8, 48, 48, 3)
    codes = dict(code for name, payload in segments if name == 0xC4 for code in huffman(payload))
    return list(blocks(scan, codes))


def walk_jpeg(data: bytes) -> tuple[list[tuple[int, bytes]], bytes]:
    """The segments between SOI and the scan, and the scan's bytes without stuffing."""
    assert data[:2] == b"\xff\xd8"
    segments: list[tuple[int, bytes]] = []
    at = 2
    while not segments or segments[-1][0] != 0xDA:
        mark, name, length = struct.unpack_from(">BBH", data, at)
        assert mark == 0xFF
        segments.append((name, data[at + 4 : at + 2 + length]))
        at += 2 + length
    scan = data[at:-2].replace(b"\xff\0", b"\0marker\0")
    assert b"\xff" not in scan
    assert data[-2:] == b"\xff\xd9"
    return segments, scan.replace(b"\0marker\0", b"\xff")


def huffman(payload: bytes) -> Iterator[tuple[tuple[int, str], int]]:
    """T.81 annex C: (class, code) -> value."""
    code, values = 0, iter(payload[17:])
    assert sum(payload[1:17]) == len(payload) - 17
    for length, count in enumerate(payload[1:17], 1):
        for _ in range(count):
            text = format(code, f"0{length}b")
            assert "0" in text, "a code of ones alone is forbidden"
            yield (payload[0] >> 4, text), next(values)
            code += 1
        code <<= 1


def blocks(scan: bytes, codes: dict[tuple[int, str], int]) -> Iterator[Pixel]:
    bits = "".join(format(byte, "08b") for byte in scan)
    at = 0

    def symbol(table: int) -> int:
        nonlocal at
        end = at + 1
        while (table, bits[at:end]) not in codes:
            end += 1
            assert end - at <= 16
        value = codes[table, bits[at:end]]
        at = end
        return value

    means = [0, 0, 0]
    for _ in range(36):
        for component in range(3):
            width = symbol(0)
            number = int(bits[at : at + width] or "0", 2)
            if width and bits[at] == "0":
                number -= 2**width - 1
            at += width
            means[component] += number
            assert symbol(1) == 0, "end of block"
        luma, blue, red = means[0] + 128, means[1], means[2]
        yield (
            round(luma + 1.402 * red),
            round(luma - 0.344136 * blue - 0.714136 * red),
            round(luma + 1.772 * blue),
        )
    assert len(bits) - at < 8
    assert set(bits[at:]) <= {"1"}


def decode_png(data: bytes) -> list[Pixel]:
    at, chunks = 8, {}
    while at < len(data):
        length, name = struct.unpack_from(">I4s", data, at)
        chunks[name] = payload = data[at + 8 : at + 8 + length]
        checksum = struct.unpack_from(">I", data, at + 8 + length)[0]
        assert checksum == zlib.crc32(name + payload)
        at += 12 + length
    assert list(chunks) == [b"IHDR", b"fiLl", b"IDAT", b"IEND"]
    assert struct.unpack(">IIBBBBB", chunks[b"IHDR"]) == (48, 48, 8, 2, 0, 0, 0)
    pixels = zlib.decompress(chunks[b"IDAT"])
    assert len(pixels) == 48 * (1 + 48 * 3)
    cells = [(145 * y + 1 + 3 * x) for y in range(4, 48, 8) for x in range(4, 48, 8)]
    return [tuple(pixels[cell : cell + 3]) for cell in cells]


def decode_gif(data: bytes) -> list[Pixel]:
    assert struct.unpack_from("<HHBBB", data, 6) == (6, 6, 0x80, 0, 0)
    palette = [tuple(data[13:16]), tuple(data[16:19])]
    assert data[19:21] == b"\x21\xfe"
    _, at = sub_blocks(data, 21)
    assert struct.unpack_from("<BHHHHBB", data, at) == (0x2C, 0, 0, 6, 6, 0, 2)
    packed, end = sub_blocks(data, at + 11)
    assert data[end:] == b";"
    return [palette[code] for code in lzw(packed)]


def sub_blocks(data: bytes, at: int) -> tuple[bytes, int]:
    parts = []
    while data[at]:
        parts.append(data[at + 1 : at + 1 + data[at]])
        at += 1 + data[at]
    return b"".join(parts), at + 1


def lzw(packed: bytes) -> Iterator[int]:
    """All codes stay three bits wide, as long as a clear comes before the table holds eight."""
    number, since_clear = int.from_bytes(packed, "little"), 0
    for place in range(len(packed) * 8 // 3):
        code = number >> (3 * place) & 7
        if code == 5:
            return
        since_clear = 0 if code == 4 else since_clear + 1
        assert since_clear <= 2
        if code != 4:
            assert code in (0, 1)
            yield code


DECODERS = {"jpeg": decode_jpeg, "png": decode_png, "gif": decode_gif}

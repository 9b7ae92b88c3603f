"""Pictures made on the spot: any number of bytes, always the same for a key, and real images.

A picture is a small mosaic whose colours follow from its key, in a container that is filled up to
the wanted size where its format allows for it: JPEG in COM segments, PNG in a private chunk, GIF in
a comment. The filler is a stream from SHAKE128 of the key, so pictures of different keys differ and
none of them can be confused with another, or with parts of itself put together wrongly.

Sources: ITU-T T.81 (JPEG), the PNG specification (third edition), GIF89a.
"""

from __future__ import annotations

import math
import struct
import threading
import zlib
from base64 import b64encode
from collections import OrderedDict
from collections.abc import Callable, Iterator
from functools import lru_cache
from hashlib import md5, shake_128
from itertools import pairwise
from typing import Final, Literal

Kind = Literal["jpeg", "png", "gif"]
Colour = tuple[int, int, int]
Parts = Iterator[bytes | memoryview]

SMALLEST: Final[dict[Kind, int]] = {"jpeg": 512, "png": 512, "gif": 128}
"""Bytes from which on a picture is an image that decodes; shorter ones only begin like one."""
SIGNATURES: Final[dict[Kind, bytes]] = {
    "jpeg": b"\xff\xd8\xff\xe0",
    "png": b"\x89PNG\r\n\x1a\n",
    "gif": b"GIF89a",
}
MEDIA_TYPES: Final[dict[Kind, str]] = {
    "jpeg": "image/jpeg",
    "png": "image/png",
    "gif": "image/gif",
}

_CELLS: Final = 6
"""The mosaic is this many cells wide and high."""
_CELL: Final = 8
"""Pixels per cell: one JPEG block."""
_VARIANTS: Final = 256
_RECORD: Final = 65_536
_CACHE_BYTES: Final = 64 * 2**20


def md5_of(data: bytes) -> str:
    """The MD5 of ``data`` as the image lists give it: base64."""
    return b64encode(md5(data, usedforsecurity=False).digest()).decode("ascii")


def picture(key: str, size: int, kind: Kind = "jpeg") -> bytes:
    """Exactly ``size`` bytes: an image from ``SMALLEST[kind]`` on, below that only its start.

    The same arguments always give the same bytes. Raises ``ValueError`` for a negative size.
    """
    if size < 0:
        raise ValueError(f"a picture of {size} bytes")
    return _CACHE.get((key, size, kind), _draw)


def _draw(key: str, size: int, kind: Kind) -> bytes:
    if size < SMALLEST[kind]:
        return b"".join((SIGNATURES[kind], _filler(key, size)))[:size]
    head, tail = _CONTAINERS[kind](shake_128(key.encode()).digest(1)[0])
    # One join: copies of megabytes are what a picture costs.
    return b"".join((head, *_PADDING[kind](key, size - len(head) - len(tail)), tail))


class _Cache:
    """The pictures last asked for, bounded by their bytes rather than by their number."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._held = 0
        self._pictures: OrderedDict[tuple[str, int, Kind], bytes] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: tuple[str, int, Kind], make: Callable[[str, int, Kind], bytes]) -> bytes:
        with self._lock:
            data = self._pictures.get(key)
            if data is not None:
                self._pictures.move_to_end(key)
                return data
        data = make(*key)
        if len(data) <= self._capacity // 4:
            self._keep(key, data)
        return data

    def _keep(self, key: tuple[str, int, Kind], data: bytes) -> None:
        with self._lock:
            if key not in self._pictures:
                self._pictures[key] = data
                self._held += len(data)
            while self._held > self._capacity:
                self._held -= len(self._pictures.popitem(last=False)[1])


_CACHE: Final = _Cache(_CACHE_BYTES)


# The filler.


def _filler(key: str, size: int) -> memoryview:
    """``size`` bytes that follow from ``key``.

    One block of SHAKE128 repeats; a number before each repetition keeps the parts apart, so that
    bytes put together from the wrong places never match.
    """
    block = shake_128(key.encode()).digest(min(size, _RECORD - 8))
    numbers = (index.to_bytes(8, "big") for index in range(math.ceil(size / _RECORD)))
    return memoryview(b"".join(part for number in numbers for part in (number, block)))[:size]


def _shares(total: int, largest: int) -> Iterator[tuple[int, int]]:
    """Cut ``range(total)`` into the fewest even parts of at most ``largest``: (start, end) each."""
    count = math.ceil(total / largest)
    bounds = [total * index // count for index in range(count + 1)]
    return pairwise(bounds)


def _jpeg_padding(key: str, size: int) -> Parts:
    """COM segments: two bytes of marker and two of length, which counts itself (T.81 B.2.4.5)."""
    filler = _filler(key, size)
    for start, end in _shares(size, 2 + 65_535):
        yield from _segment(0xFE, filler[start : end - 4])


def _png_padding(key: str, size: int) -> Parts:
    """A chunk that decoders skip: ancillary, private, safe to copy (PNG section 5.4)."""
    yield from _chunk(b"fiLl", _filler(key, size - 12))


def _gif_padding(key: str, size: int) -> Parts:
    """A comment extension: blocks of at most 255 bytes, each with its length before it."""
    filler = _filler(key, size)
    yield b"\x21\xfe"
    for start, end in _shares(size - 3, 1 + 255):
        yield bytes([end - start - 1])
        yield filler[start : end - 1]
    yield b"\x00"


# The mosaic, and the containers: what stands before the padding, and what comes after.


def _mosaic(variant: int) -> tuple[list[list[bool]], Colour, Colour]:
    """Which cells are lit, mirrored left to right, and the two colours: unlit, lit."""
    seed = shake_128(b"mosaic" + bytes([variant])).digest(_CELLS * _CELLS // 2 + 3)
    half = _CELLS // 2
    rows = [[byte & 1 == 1 for byte in seed[half * y : half * y + half]] for y in range(_CELLS)]
    red, green, blue = seed[-3:]
    return [row + row[::-1] for row in rows], (240, 240, 240), (red, green, blue)


@lru_cache(maxsize=_VARIANTS)
def _jpeg(variant: int) -> tuple[bytes, bytes]:
    side = (_CELLS * _CELL).to_bytes(2, "big")
    application = b"JFIF\0\x01\x01\0\0\x01\0\x01\0\0"
    quantisers = b"\0" + bytes([_CELL]) * 64
    frame = b"\x08" + side + side + b"\x03\x01\x11\0\x02\x11\0\x03\x11\0"
    dc_codes = b"\0" + _DC_LENGTHS + bytes(range(12))
    ac_codes = b"\x10\x01" + bytes(15) + b"\0"
    scan = b"\x03\x01\0\x02\0\x03\0\0\x3f\0"
    tail = b"".join(
        (
            *_segment(0xDB, quantisers),
            *_segment(0xC0, frame),
            *_segment(0xC4, dc_codes),
            *_segment(0xC4, ac_codes),
            *_segment(0xDA, scan),
            _jpeg_scan(variant),
            b"\xff\xd9",
        )
    )
    return b"".join((b"\xff\xd8", *_segment(0xE0, application))), tail


_DC_LENGTHS: Final = bytes((0, 1, 5, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0))
_DC_CODES: Final = ("00", "010", "011", "100", "101", "110", "1110", "11110", "111110")
"""T.81 table K.3: the code for each number of bits that a difference takes."""
_END_OF_BLOCK: Final = "0"
"""The only code of our AC table: every block is of one colour."""


def _jpeg_scan(variant: int) -> bytes:
    """Entropy-coded blocks, each its mean alone.

    With all quantisers 8, one step of a mean is one level of colour: an 8 x 8 block of level v has
    the DC coefficient 8 v.
    """
    lit, *colours = _mosaic(variant)
    levels = [_ycc(colour) for colour in colours]
    bits: list[str] = []
    last = (0, 0, 0)
    for cell in (cell for row in lit for cell in row):
        for now, before in zip(levels[cell], last, strict=True):
            bits += (_difference(now - before), _END_OF_BLOCK)
        last = levels[cell]
    text = "".join(bits)
    text += "1" * (-len(text) % 8)
    return int(text, 2).to_bytes(len(text) // 8, "big").replace(b"\xff", b"\xff\0")


def _difference(value: int) -> str:
    """T.81 F.1.2.1: the number of bits, then the bits; of a negative number less one."""
    width = abs(value).bit_length()
    bits = format(value if value > 0 else value + 2**width - 1, f"0{width}b") if width else ""
    return _DC_CODES[width] + bits


def _ycc(colour: Colour) -> tuple[int, int, int]:
    """JFIF's colour space, each component around 0."""
    red, green, blue = colour
    luma = 0.299 * red + 0.587 * green + 0.114 * blue
    return round(luma) - 128, round((blue - luma) * 0.564), round((red - luma) * 0.713)


def _segment(marker: int, payload: bytes | memoryview) -> Parts:
    yield struct.pack(">BBH", 0xFF, marker, len(payload) + 2)
    yield payload


@lru_cache(maxsize=_VARIANTS)
def _png(variant: int) -> tuple[bytes, bytes]:
    lit, *colours = _mosaic(variant)
    line_filter = b"\0"
    pixels = b"".join(
        (line_filter + b"".join(bytes(colours[cell]) * _CELL for cell in row)) * _CELL
        for row in lit
    )
    side = _CELLS * _CELL
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)  # 8 bits of each of R, G, B
    head = b"".join((SIGNATURES["png"], *_chunk(b"IHDR", header)))
    return head, b"".join((*_chunk(b"IDAT", zlib.compress(pixels, 9)), *_chunk(b"IEND", b"")))


def _chunk(name: bytes, payload: bytes | memoryview) -> Parts:
    yield struct.pack(">I", len(payload)) + name
    yield payload
    yield struct.pack(">I", zlib.crc32(payload, zlib.crc32(name)))


@lru_cache(maxsize=_VARIANTS)
def _gif(variant: int) -> tuple[bytes, bytes]:
    """One pixel per cell.

    LZW is kept from growing its codes beyond three bits: it is told to forget what it has learnt
    after each second pixel.
    """
    lit, *colours = _mosaic(variant)
    clear, end = 4, 5
    codes: list[int] = []
    for index, cell in enumerate(cell for row in lit for cell in row):
        codes += (clear, int(cell)) if index % 2 == 0 else (int(cell),)
    number = sum(code << (3 * place) for place, code in enumerate([*codes, end]))
    data = number.to_bytes((3 * len(codes) + 3 + 7) // 8, "little")
    palette = b"".join(bytes(colour) for colour in colours)
    head = SIGNATURES["gif"] + struct.pack("<HHBBB", _CELLS, _CELLS, 0x80, 0, 0) + palette
    image = b"," + struct.pack("<HHHHB", 0, 0, _CELLS, _CELLS, 0)
    return head, image + b"\x02" + bytes([len(data)]) + data + b"\0" + b";"


_CONTAINERS: Final[dict[Kind, Callable[[int], tuple[bytes, bytes]]]] = {
    "jpeg": _jpeg,
    "png": _png,
    "gif": _gif,
}
_PADDING: Final[dict[Kind, Callable[[str, int], Parts]]] = {
    "jpeg": _jpeg_padding,
    "png": _png_padding,
    "gif": _gif_padding,
}

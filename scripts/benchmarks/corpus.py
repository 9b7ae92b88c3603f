"""What is downloaded: images made from a seed, the same on every machine.

An image is a JPEG signature with a comment that holds its id, then filler that no compression helps
with. Nobody decodes it; every MD5 is different, so a digest says which image a file is.

Ids lie as in the training list of Open Images V3: ascending, spread evenly over 64 bits. The first
20,000 of nine million then share their first characters, as they do in the real list.
"""

from __future__ import annotations

import hashlib
import random
import re
import struct
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from math import exp, log
from pathlib import Path
from typing import Final, NamedTuple

SEED: Final = 2017_11
KB: Final = 1_000
_ID_STEP: Final = 2**64 // 9_011_219  # rows of the training list
_HEAD: Final = bytes.fromhex("ffd8 ffe0 0010 4a464946 00 0101 00 0001 0001 00 00")  # SOI, JFIF
_TAIL: Final = bytes.fromhex("ffd9")
_COMMENT: Final = struct.Struct(">HH16s")  # marker, length of what follows with itself, id
SMALLEST: Final = len(_HEAD) + _COMMENT.size + len(_TAIL)

# Sizes at 0 %, 5 %, … 95 %, 99 % and 100 % of the 3,000 images that begin the three lists of V3.
_SHARES: Final = (*(n / 20 for n in range(20)), 0.99, 1.0)
_QUANTILES: Final = (
    *(14_245, 74_141, 113_616, 156_729, 217_596, 297_296, 407_511),
    *(569_501, 720_362, 895_122, 1_145_424, 1_450_716, 1_755_444, 2_101_365),
    *(2_487_593, 2_908_568, 3_463_174, 4_098_433, 5_265_299, 6_918_126, 11_834_837),
    14_987_283,
)


class Image(NamedTuple):
    image_id: str
    """16 hex digits."""
    size: int
    md5: bytes

    @property
    def file_name(self) -> str:
        return f"{self.image_id}.jpg"


@dataclass(frozen=True, slots=True)
class Spec:
    """How many images of which sizes, in bytes."""

    name: str
    sizes: tuple[int, ...]

    @property
    def size(self) -> int:
        return sum(self.sizes)


@dataclass(frozen=True, slots=True)
class Corpus:
    """Images that lie flat in ``directory``."""

    name: str
    directory: Path
    images: tuple[Image, ...]

    @property
    def size(self) -> int:
        return sum(image.size for image in self.images)

    def head(self, count: int) -> Corpus:
        """The same, with the first ``count`` images only."""
        return Corpus(self.name, self.directory, self.images[:count])


def uniform(name: str, count: int, size: int) -> Spec:
    return Spec(name, (size,) * count)


def open_images_size(share: float) -> int:
    """The size that ``share`` (0 to 1) of Open Images stay below."""
    step = min(bisect_right(_SHARES, share), len(_SHARES) - 1)
    (left, right), (low, high) = _SHARES[step - 1 : step + 1], _QUANTILES[step - 1 : step + 1]
    part = (share - left) / (right - left)
    return round(exp(log(low) * (1 - part) + log(high) * part))


def mix(name: str, count: int) -> Spec:
    """Sizes as Open Images has them; ``count`` of them, evenly over the distribution, shuffled."""
    sizes = [open_images_size((n + 0.5) / count) for n in range(count)]
    random.Random(SEED).shuffle(sizes)  # noqa: S311  repeatable, not secret
    return Spec(name, tuple(sizes))


_NAMED: Final[dict[str, Callable[[str], Spec]]] = {
    "20k": lambda name: uniform(name, 20_000, 20 * KB),
    "2m": lambda name: uniform(name, 1_000, 2_000 * KB),
    "mix": lambda name: mix(name, 1_000),
}
NAMES: Final = tuple(_NAMED)


def parse(text: str) -> Spec:
    """The corpus called ``text``, one of ``NAMES`` or ``COUNTxBYTES``; else ``ValueError``."""
    if text in _NAMED:
        return _NAMED[text](text)
    match = re.fullmatch(r"([1-9]\d*)x([1-9]\d*)", text)
    if match is None or int(match[2]) < SMALLEST:
        raise ValueError(
            f"{text!r} is no corpus: give one of {', '.join(NAMES)}, or COUNTxBYTES such as "
            f"5000x20000, with at least {SMALLEST} bytes."
        )
    return uniform(text, int(match[1]), int(match[2]))


def write(spec: Spec, directory: Path) -> Corpus:
    """Make ``directory`` and all images of ``spec`` in it."""
    directory.mkdir()
    chance = random.Random(SEED)  # noqa: S311  repeatable, not secret
    filler = memoryview(chance.randbytes(2 * max(spec.sizes)))
    images = []
    for number, size in enumerate(spec.sizes):
        image_id = f"{number * _ID_STEP:016x}"
        head = _HEAD + _COMMENT.pack(0xFFFE, _COMMENT.size - 2, image_id.encode("ascii"))
        length = size - len(head) - len(_TAIL)
        start = chance.randrange(len(filler) - length)
        parts = (head, filler[start : start + length], _TAIL)
        md5 = hashlib.md5(usedforsecurity=False)
        with (directory / f"{image_id}.jpg").open("wb", buffering=0) as file:
            for part in parts:
                md5.update(part)
                file.write(part)
        images.append(Image(image_id, size, md5.digest()))
    return Corpus(spec.name, directory, tuple(images))

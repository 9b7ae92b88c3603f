"""Inputs from seeds, by chance that can be repeated: the same seed gives the same inputs.

Without coverage to guide it, a mutation is only as good as what it starts from: every input is a
seed, or two of them spliced, changed a few times.
"""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Final

from scripts.fuzzing.laws import Target

_CHANGES: Final = (0, 1, 1, 1, 2, 2, 3, 4, 6, 9)
_TELLING: Final = b"\0\x01\x1f\x7f\x80\xff\t\n\r \"'%&*+,-./:;=?@[\\]{|}~0129aAZz"
"""Bytes that mean something to one reader or another."""
_RUN: Final = 32


def inputs(target: Target, *, seed: int) -> Iterator[bytes]:
    """Without end: first the seeds themselves, then what becomes of them."""
    random = Random(f"{target.name} {seed}")  # noqa: S311  to be repeated, not to be secret
    seeds = target.seeds or (b"",)
    yield from seeds
    while True:
        data = random.choice(seeds)
        if random.random() < 0.2:  # noqa: PLR2004  as often as helps
            data = _spliced(data, random.choice(seeds), random)
        for _ in range(random.choice(_CHANGES)):
            data = _changed(data, target.words, random)
        yield data[: target.longest]


def _spliced(one: bytes, other: bytes, random: Random) -> bytes:
    return one[: random.randint(0, len(one))] + other[random.randint(0, len(other)) :]


def _changed(data: bytes, words: tuple[bytes, ...], random: Random) -> bytes:
    at = random.randint(0, len(data))
    to = min(len(data), at + random.randint(1, random.choice((1, 4, _RUN))))
    match random.randrange(8):
        case 0:  # flip a bit
            return (
                data[:at]
                + bytes(b ^ 1 << random.randrange(8) for b in data[at : at + 1])
                + (data[at + 1 :])
            )
        case 1:  # any byte
            return data[:at] + random.randbytes(1) + data[at + 1 :]
        case 2:  # a telling byte in place of one
            return data[:at] + bytes([random.choice(_TELLING)]) + data[at + 1 :]
        case 3:  # or between two
            return data[:at] + bytes([random.choice(_TELLING)]) + data[at:]
        case 4:  # leave out
            return data[:at] + data[to:]
        case 5:  # say twice
            return data[:to] + data[at:]
        case 6:  # move
            without, there = data[:at] + data[to:], random.randint(0, len(data))
            return without[:there] + data[at:to] + without[there:]
        case _:
            word = random.choice(words) if words else random.randbytes(4)
            return data[:at] + word + data[random.choice((at, to)) :]

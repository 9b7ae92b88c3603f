"""The extension for MD5, built with sanitizers, says what ``hashlib`` says: by chance, for long.

A child process loads that build, with the compiler's watchers of addresses and of what C leaves
undefined. Bodies lie in blocks of memory of their own, so that what is read beside them ends the
child. Each round deals bodies of all kinds of sizes, in all kinds of company, to every width of
vectors that runs here, as whole bodies and as pieces, and some of them to two threads at a time.
"""

from __future__ import annotations

import hashlib
import random
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from mmap import MAP_ANONYMOUS, MAP_PRIVATE, PROT_READ, mmap
from pathlib import Path
from typing import Final, Protocol, cast

from fetcher.digests import Digests
from scripts.proofs.sanitizing import ROOT, Report, build, loaded, watched

SOURCE: Final = ROOT / "fetcher" / "digests" / "c" / "lanes.c"
_EDGES: Final = (0, 1, 55, 56, 57, 63, 64, 65, 119, 120, 121, 127, 128, 129)
_MOST: Final = 80
"""Bodies in company."""
LARGE: Final = (1 << 32) + 71
"""Bytes: more than 32 bits can count."""


def prove(place: Path, *, seconds: float, seed: int) -> Report:
    """Raises ``NoCompilerError``."""
    module = place / "_lanes.so"
    build(SOURCE, module)
    return watched(__name__, str(module), str(seconds), str(seed))


# In the child.


def right(body: bytes | mmap) -> bytes:
    return hashlib.md5(body, usedforsecurity=False).digest()


def breaches(
    digests: Digests, whole: Callable[[Sequence[bytes]], Sequence[bytes]], rng: random.Random
) -> Iterator[str]:
    """One round, in which ``whole`` does what ``digest_together`` does."""
    longest = rng.choice((130, 130, 1_000, 10_000, 100_000))
    sizes = [
        rng.choice(_EDGES) if rng.randrange(2) else rng.randrange(longest)
        for _ in range(rng.randrange(_MOST))
    ]
    bodies = [rng.randbytes(size) for size in sizes]
    want = [right(body) for body in bodies]
    for n, found in enumerate(whole(bodies)):
        if found != want[n]:
            yield f"body {n} of the sizes {sizes}"
    made = [digests.new() for _ in bodies]
    rests = bodies
    cuts: list[list[int]] = []
    while any(rests):
        cuts.append(
            [min(len(rest), rng.choice((0, 1, 64, rng.randrange(longest)))) for rest in rests]
        )
        pairs = list(
            zip(made, (r[:cut] for r, cut in zip(rests, cuts[-1], strict=True)), strict=True)
        )
        rests = [rest[cut:] for rest, cut in zip(rests, cuts[-1], strict=True)]
        rng.shuffle(pairs)
        digests.update_together(pairs)
    for n, digest in enumerate(made):
        if digest.digest() != want[n]:
            yield f"body {n} of the sizes {sizes}, cut to {[cut[n] for cut in cuts]}"


class Lanes(Digests, Protocol):
    """The extension, with what is there for tests."""

    @property
    def WIDTHS(self) -> list[int]: ...  # noqa: N802  a constant

    def digest_in(self, width: int, bodies: Sequence[bytes], /) -> list[bytes]: ...


def _is_right_when_large(digests: Digests) -> bool:
    """Of zeros that take no memory: nothing is written to them."""
    with mmap(-1, LARGE, flags=MAP_PRIVATE | MAP_ANONYMOUS, prot=PROT_READ) as body:
        want = right(body)
        digest = digests.new()
        with memoryview(body) as view:
            digests.update_together([(digest, view), (digests.new(), b"company")])
            found = digests.digest_together([b"company", view])[1]
        return digest.digest() == found == want


def main(path: str, seconds: float, seed: int) -> None:
    lanes = cast("Lanes", loaded("_lanes", path))
    rng = random.Random(seed)  # noqa: S311  decides no secrets
    if not _is_right_when_large(lanes):
        sys.exit("a body of more than 4 GiB")
    end, rounds = time.monotonic() + seconds, 0
    with ThreadPoolExecutor(2) as threads:
        while time.monotonic() < end:
            for width in lanes.WIDTHS:
                jobs = [
                    threads.submit(_first, lanes, width, rng.randrange(1 << 32)) for _ in range(2)
                ]
                for job in jobs:
                    if job.result() is not None:
                        sys.exit(f"width {width}: {job.result()}")
            rounds += 1
    print(f"{rounds:,} rounds in the widths {lanes.WIDTHS}, and a body of {LARGE:,} bytes")


def _first(lanes: Lanes, width: int, seed: int) -> str | None:
    rng = random.Random(seed)  # noqa: S311  decides no secrets
    return next(breaches(lanes, lambda bodies: lanes.digest_in(width, bodies), rng), None)


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]), int(sys.argv[3]))

"""What hosts compress although nobody asked for it, beyond gzip: a line for each case."""

from __future__ import annotations

import importlib
import sys
from typing import Any, Final

import brotli

from fetcher.demo.steps import Answer, Bytes
from tests.e2e.cases import ATTEMPTS, MAX_BYTES, SHOWN, Case

zstd: Any = importlib.import_module(
    "compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd"
)

OTHER: Final = b"\xff\xd8\xff\xe0another image"
BR_BOMB: Final = brotli.compress(bytes(8 * MAX_BYTES))
ZSTD_BOMB: Final = zstd.compress(bytes(8 * MAX_BYTES))
NO_IMAGE: Final = b"\x01\x02" * 50


def coded(label: str, data: bytes) -> Answer:
    return Answer(Bytes(data), headers=(("Content-Encoding", label),))


# fmt: off
TABLE: Final = (
    Case("br unasked", (coded("br", brotli.compress(SHOWN.data())),), "verified"),
    Case("zstd unasked", (coded("zstd", zstd.compress(SHOWN.data())),), "verified"),
    Case("br of another image", (coded("br", brotli.compress(OTHER)),), "mismatched",
         "size-mismatch", stored=Bytes(OTHER)),
    Case("a bomb by br", (coded("br", BR_BOMB),), "mismatched", "not-an-image",
         stored=Bytes(BR_BOMB)),
    Case("a bomb by zstd", (coded("zstd", ZSTD_BOMB),), "mismatched", "not-an-image",
         stored=Bytes(ZSTD_BOMB)),
    # What cannot be read is not called another image.
    Case("a coding that nobody knows", (coded("x-own", NO_IMAGE),), "failed", "content-coding",
         ATTEMPTS),
    Case("a coding that nobody knows once", (coded("x-own", NO_IMAGE), Answer(SHOWN)), "verified",
         None, 2),
    Case("codings on top of each other", (coded("gzip, br", NO_IMAGE),), "failed",
         "content-coding", ATTEMPTS),
    Case("an image said to be coded", (coded("x-own", SHOWN.data()),), "verified"),
)
# fmt: on

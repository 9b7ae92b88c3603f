from collections.abc import Sequence
from typing import Final

from fetcher.digests.interface import Buffer, Md5

LANES: Final[int]

def new() -> Md5: ...
def update_together(pairs: Sequence[tuple[Md5, Buffer]], /) -> None: ...
def digest_together(bodies: Sequence[Buffer], /) -> list[bytes]: ...

# For tests: the kernels that run here by the lanes of their vectors, one of them instead of the
# widest, and what MD5 puts behind a message of so many bytes.
WIDTHS: Final[list[int]]

def digest_in(width: int, bodies: Sequence[Buffer], /) -> list[bytes]: ...
def padding(length: int, /) -> bytes: ...

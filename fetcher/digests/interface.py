"""What a maker of MD5 digests offers; ``fetcher.digests`` is one, and so is each module behind it.

The law that all of them keep (law 8): whatever the chunks, and whatever the company that they are
fed in, a digest is the one that RFC 1321 gives for the bytes in a row.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

Buffer = bytes | bytearray | memoryview
"""Bytes in one piece; a view with gaps is a ``BufferError``. Held, so that it keeps its size."""


class Md5(Protocol):
    """One digest in the making, for one thread at a time."""

    def update(self, data: Buffer, /) -> None: ...

    def digest(self) -> bytes:
        """The 16 bytes for what came so far; more may follow."""
        ...


class Digests(Protocol):
    """As a module."""

    @property
    def LANES(self) -> int:  # noqa: N802  a constant
        """Digests that advance together; more at once gain nothing, and cost nothing."""
        ...

    def new(self) -> Md5: ...

    def update_together(self, pairs: Sequence[tuple[Md5, Buffer]], /) -> None:
        """Feed each digest (made by ``new`` of the same module) its data, many at the same time.

        All are fed, or none: what cannot be read raises ``BufferError`` or ``TypeError``, and the
        same digest twice in a call ``ValueError``, before the first byte is taken.
        """
        ...

    def digest_together(self, bodies: Sequence[Buffer], /) -> list[bytes]:
        """The digest of each, in their order."""
        ...

"""The manifest, as a check sees it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from fetcher.policy.findings import Batch, Part, Put, Standing, Stray
from fetcher.policy.tar import Member


class Book(Protocol):
    def batch(self, part: Part, after: int) -> Batch | None:
        """The stored files of ``part`` that follow the asset ``after``; ``None`` at the end."""

    def places(self) -> AbstractContextManager[Places]:
        """For one more thread, to be entered and left there."""

    def strays(self, check_id: int, names: Sequence[tuple[str, str]]) -> list[Stray]:
        """Those of ``names`` that are no stored image's place. A name is a path, and the image id
        in it.
        """

    def record(self, standing: Standing, puts: Sequence[Put], reopened: Sequence[int]) -> None:
        """Write down in one transaction how far the check is, what it found, and which assets are
        pending again.
        """

    def finish(self, standing: Standing) -> None:
        """The check has been over everything."""

    def shards(self) -> dict[str, int]:
        """Where what is recorded to lie in each shard ends, by the shard's path."""

    def unrecorded(self, shard: str, members: Sequence[Member]) -> list[Member]:
        """Those of ``members`` that are not where an image is recorded to be."""


class Places(Protocol):
    """Which places are whose; what a repair of this check does changes it."""

    def nobodys(self, names: Sequence[tuple[str, str]]) -> set[str]:
        """The paths among them that are no stored image's place. A name is as in ``strays``."""

"""A recovery that finds what it is told to, and notes what it is asked to remove."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from fetcher.model import Asset, Fault, Partial
from fetcher.ports import Adoption


class ScriptedRecovery:
    """``adoption``: what an earlier run is to have left; ``blind``: faults of the next looks."""

    def __init__(self) -> None:
        self.adoption = Adoption()
        self.adopting = 0.0
        """Seconds that it takes to look for files."""
        self.blind: list[Fault] = []
        self.discarded: list[Partial] = []
        self.closed = False

    async def adopt(self, assets: Sequence[Asset]) -> Adoption:
        if self.adopting:
            await asyncio.sleep(self.adopting)
        if self.blind:
            return Adoption(fault=self.blind.pop(0))
        ids = {asset.asset_id for asset in assets}
        return Adoption(
            tuple(landed for landed in self.adoption.landed if landed.asset_id in ids),
            {key: part for key, part in self.adoption.partials.items() if key in ids},
        )

    def discard(self, partial: Partial) -> None:
        self.discarded.append(partial)

    async def close(self) -> None:
        self.closed = True

"""The real recovery, whose thread is a turn of the virtual loop that takes ``takes`` seconds."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress

from fetcher.engine.recovery import StoreRecovery
from fetcher.errors import StoreError
from fetcher.model import Asset, Fault
from fetcher.ports import Adoption, Store
from tests.simulation.life import Life
from tests.simulation.witness import Witness

PASSING = frozenset({"out-of-descriptors"})


class TurnedRecovery(StoreRecovery):
    def __init__(self, store: Store, *, takes: float, witness: Witness, life: Life) -> None:
        super().__init__(store)
        self._takes = takes
        self._witness = witness
        self._life = life

    async def adopt(self, assets: Sequence[Asset]) -> Adoption:
        if not self._may_adopt:
            return Adoption()
        try:
            await asyncio.sleep(self._takes)
        except asyncio.CancelledError:
            # The thread does not stop: what it does, nobody hears of.
            with suppress(StoreError):
                self._adopt(assets)
            raise
        try:
            adoption = self._adopt(assets)
        except StoreError as error:
            self._witness.stops("files could not be looked for")
            return Adoption(fault=Fault(error.fault_code, str(error)))
        self._witness.adopted(adoption)
        return adoption

    async def close(self) -> None:
        self._closing = True
        self._life.check()
        self._sweep()

"""One worker process as the crew that it belongs to sees it: what it has, and what it owes."""

from __future__ import annotations

import asyncio
from collections import deque

from fetcher.engine.courier import Courier
from fetcher.engine.messages import pack_errand
from fetcher.model import Fault
from fetcher.nursery.hiring import Hired
from fetcher.ports import Errand, Refused, Report


class WorkerHandle:
    courier: Courier
    """Given as soon as there is one."""

    def __init__(self, hired: Hired, vain: int, heard: float) -> None:
        """``heard``: now, by the loop's clock."""
        self.hired = hired
        self.vain = vain
        """How many before it, in its place and in a row, ended nothing or could not be started."""
        self.heard = heard
        """When it last said something, or was told to end; by the loop's clock."""
        self.owes: float | None = None
        """Since when it owes a sign of life."""
        self.of_use = False
        """It has ended something."""
        self.out: dict[int, bool] = {}
        """Errands that it has not reported the end of: whether their images have arrived."""
        self.asked: deque[asyncio.Future[bool]] = deque()
        """Whether it can reach something, in the order of the questions."""
        self.gone = asyncio.Event()
        """It has nothing more to say."""

    def load(self) -> int:
        return len(self.out)

    def has_to_do(self) -> bool:
        return bool(self.out or self.asked)

    def send(self, errand: Errand) -> None:
        self.out[errand.asset.asset_id] = False
        self.courier.send(pack_errand(errand))

    def answered(self, *, reached: bool) -> None:
        """The question that it was asked first."""
        asked = self.asked.popleft()
        if not asked.done():  # else nobody waits for it any more
            asked.set_result(reached)

    def lost_with(self, asset_id: int, *, culprit: bool = False) -> Report:
        """What is to be said of an errand that it had, or was to have, when it has died;
        ``culprit`` if that is why.
        """
        fault = Fault("worker-lost", f"worker process {self.hired.pid} died")
        if culprit:
            fault = Fault("crashed", "worker processes died over it, again and again")
        arrived = self.out.get(asset_id, False)
        return Report(asset_id, Refused(asset_id, fault) if arrived else fault)

"""What a simulated network and landing tell of what they do, and to whom."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from fetcher.model import Arrival, Fault, Found, Landed, Redirect
from fetcher.ports import FetchRequest, Refused
from tests.simulation.trace import Trace


class Eye(Protocol):
    trace: Trace

    def sent(self, request: FetchRequest) -> None: ...

    def answered(
        self, request: FetchRequest, result: Arrival | Found | Redirect | Fault
    ) -> None: ...

    def cancelled(self, request: FetchRequest) -> None: ...

    def reached(self, *, somebody: bool) -> None: ...

    def landed(self, results: Sequence[Landed | Refused]) -> None: ...

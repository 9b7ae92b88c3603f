"""How a run ends."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum

from msgspec import Struct


class EndReason(StrEnum):
    """Why a run ended."""

    COMPLETE = "complete"
    LIMIT = "limit"
    STOPPED = "stopped"
    LOCAL_FAULT = "local-fault"


class Ending(Struct, frozen=True):
    reason: EndReason
    detail: str = ""
    fault_code: str | None = None


End = Callable[[Ending], None]
"""Ends the run; only the first one counts."""

"""How a run ends."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum


class EndReason(StrEnum):
    """Why a run ended."""

    COMPLETE = "complete"
    LIMIT = "limit"
    STOPPED = "stopped"
    LOCAL_FAULT = "local-fault"


@dataclass(frozen=True, slots=True)
class Ending:
    reason: EndReason
    detail: str = ""
    fault_code: str | None = None


End = Callable[[Ending], None]
"""Ends the run; only the first one counts."""

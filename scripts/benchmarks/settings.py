"""What all experiments share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Settings:
    programs: Mapping[str, Path]
    """By the tool's name; those that were found."""
    rounds: int
    warm_up: int
    limit: float
    """Seconds for one command."""
    work: Path | None
    """Where to work, if not in memory."""
    disk: Path | None
    """Where to download to, if elsewhere."""
    options: tuple[str, ...]
    """``KEY=VALUE`` for fetcher's ``--set``."""
    say: Callable[[str], None]

"""What the user asked for, as one value."""

from __future__ import annotations

from pathlib import Path

from msgspec import Struct

from fetcher.config import Config, LoadedConfig
from fetcher.model import Selection


class Job(Struct, frozen=True):
    """What the user asked for."""

    lists: tuple[Path, ...]
    directory: Path
    manifest: Path
    loaded: LoadedConfig
    selection: Selection
    command: tuple[str, ...]
    measure_only: bool = False
    """Nothing that arrives is kept."""

    @property
    def config(self) -> Config:
        return self.loaded.config

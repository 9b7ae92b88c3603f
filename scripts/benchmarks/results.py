"""All that was measured."""

from __future__ import annotations

from dataclasses import dataclass, field

from scripts.benchmarks.hosts import HostsResult
from scripts.benchmarks.imports import ImportResult
from scripts.benchmarks.memory import MemoryResult
from scripts.benchmarks.speeds import SpeedResult


@dataclass(slots=True)
class Results:
    speeds: list[SpeedResult] = field(default_factory=list)
    hosts: list[HostsResult] = field(default_factory=list)
    imports: list[ImportResult] = field(default_factory=list)
    memories: list[MemoryResult] = field(default_factory=list)

    @property
    def failed(self) -> bool:
        standings = [standing for result in self.speeds for standing in result.standings]
        standings += [standing for result in self.hosts for standing in result.standings]
        standings += [standing for result in self.imports for standing in result.standings]
        return (
            any(standing.failure for standing in standings)
            or any(result.failure for result in self.imports)
            or any(result.growth is None for result in self.memories)
        )

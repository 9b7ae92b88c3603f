"""What robots.txt files said, kept in memory."""

from __future__ import annotations

from collections.abc import Sequence

from fetcher.model import RobotsNote


class MemoryRobotsBook:
    """``notes`` by origin; ``recalled`` are the origins that were asked for, in order."""

    def __init__(self) -> None:
        self.notes: dict[str, RobotsNote] = {}
        self.recalled: list[str] = []

    async def recall(self, origins: Sequence[str], token: str) -> dict[str, RobotsNote]:
        self.recalled += origins
        found = {origin: self.notes[origin] for origin in origins if origin in self.notes}
        return {origin: note for origin, note in found.items() if note.token == token}

    async def remember(self, notes: Sequence[RobotsNote]) -> None:
        self.notes.update((note.origin, note) for note in notes)

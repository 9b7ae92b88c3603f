"""The processes of a run, seen from outside: which there are, and what they hold, from /proc.

What a process holds is its proportional set size: memory that a fork shares with its parent is
counted once over the family, and pages of files that nobody else maps are counted whole. Whether it
grows is better seen from its own memory, which no other process's end changes.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Held:
    """What a process has at a moment."""

    memory: int
    """Bytes: its proportional set size."""
    resident: int
    """Bytes: its resident set, what it shares counted whole."""
    own: int
    """Bytes: what was written by it, or by its parent before the fork, and is of no file; swapped
    out or not."""
    descriptors: int


def children(pid: int) -> list[int]:
    """The processes that ``pid`` has started and that still run; oldest first."""
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):
            found += map(int, task.read_text().split())
    return sorted(found)


def below(pid: int) -> list[int]:
    """The children of ``pid``, and those that these have."""
    found: list[int] = []
    for child in children(pid):
        found += [child, *below(child)]
    return found


def runs(pid: int) -> bool:
    """Whether there is such a process, and it has not ended."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state.rpartition(") ")[2][:1] != "Z"


def workers(run: int) -> list[int]:
    """The workers of the run with this process id, oldest first: children of its nursery."""
    return [pid for child in children(run) if _is_nursery(child) for pid in children(child)]


def _is_nursery(pid: int) -> bool:
    with suppress(OSError):
        return b"fetcher.nursery.process" in Path(f"/proc/{pid}/cmdline").read_bytes()
    return False


def catches(pid: int, number: int) -> bool:
    """Whether it has a handler for this signal; ``False`` if it has gone."""
    with suppress(FileNotFoundError, ProcessLookupError):
        for line in Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines():
            if line.startswith("SigCgt:"):
                return bool(int(line.split()[1], 16) >> (number - 1) & 1)
    return False


def held(pid: int) -> Held | None:
    """``None`` if it has gone."""
    try:
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
        descriptors = sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())
    except (FileNotFoundError, ProcessLookupError):
        return None
    sizes = {
        name: int(rest.split()[0]) * 1024
        for name, _, rest in (line.partition(":") for line in rollup.splitlines()[1:])
    }
    own = sizes["Anonymous"] + sizes["Swap"]
    return Held(sizes["Pss"], sizes["Rss"], own, descriptors)

"""Where files lie while a benchmark runs: one temporary directory, gone at the end.

Memory is the best place (``/dev/shm``), for what is measured then is the program and not the disk.
Where there is no room, or no such thing, it is the usual temporary directory, and that is said.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

_MEMORY: Final = Path("/dev/shm")  # noqa: S108  a directory of random name is made inside
_SPARE: Final = 2 * 1024**3
"""Bytes to leave free: fetcher stops below 1 GiB, and a full memory stops the machine."""
_PER_FILE: Final = 8 * 1024  # the last page and the inode, rounded up


class NoRoomError(Exception):
    """There is no place for what a benchmark writes."""


@dataclass(slots=True)
class Workplace:
    inside: Path
    """For corpora, lists and nginx."""
    outside: Path
    """For what is downloaded; on another disk, if asked for."""
    in_memory: bool
    """Whether ``outside`` is."""
    _outputs: int = field(default=0, init=False)

    @contextmanager
    def output(self) -> Iterator[Path]:
        """A fresh and empty directory, removed afterwards."""
        if not self.in_memory:
            os.sync()  # nobody shall wait for what was written before
        self._outputs += 1
        path = self.outside / f"out-{self._outputs}"
        path.mkdir()
        try:
            yield path
        finally:
            shutil.rmtree(path)


def footprint(size: int, count: int) -> int:
    """Bytes that ``count`` files of ``size`` bytes in all take up, generously."""
    return size + count * _PER_FILE


@contextmanager
def workplace(
    inside: int, outside: int, work: Path | None, disk: Path | None
) -> Iterator[Workplace]:
    """For so many bytes of what is measured with, and of what one run writes.

    All of it goes to ``work`` if given, downloads to ``disk`` if given. Raises ``NoRoomError``.
    """
    home = _roomy(inside if disk else inside + outside, (work,) if work else _places())
    with tempfile.TemporaryDirectory(prefix="fetcher-bench-", dir=home) as own:
        if disk is None:
            yield Workplace(Path(own), Path(own), _in_memory(home))
            return
        out = _roomy(outside, (disk,))
        with tempfile.TemporaryDirectory(prefix="fetcher-bench-", dir=out) as other:
            yield Workplace(Path(own), Path(other), _in_memory(out))


def _places() -> tuple[Path, ...]:
    return (_MEMORY, Path(tempfile.gettempdir()))


def _in_memory(place: Path) -> bool:
    return _MEMORY.is_dir() and place.stat().st_dev == _MEMORY.stat().st_dev


def _roomy(need: int, places: Sequence[Path]) -> Path:
    for place in places:
        if place.is_dir() and os.access(place, os.W_OK) and _free(place) >= need + _SPARE:
            return place
    raise NoRoomError(
        f"No room for {need + _SPARE:,} bytes in {' or '.join(map(str, places))}. "
        "Name a directory that has it with --work, or choose a smaller --corpus."
    )


def _free(place: Path) -> int:
    return shutil.disk_usage(place).free

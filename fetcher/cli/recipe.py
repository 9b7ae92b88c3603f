"""How a crew is made: in the run's own process, or in a worker's.

A recipe is plain values, so that it can be sent to a worker; its adapters are loaded and made where
they work (``fetcher.cli.adapters``). A worker needs no configuration but this, and loads none.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import resource
import sys
from importlib import import_module
from pathlib import Path
from typing import Final

import uvloop
from msgspec import Struct

from fetcher.cli.early import ADAPTERS
from fetcher.engine.finishing import LandingRules
from fetcher.ports import Crew
from fetcher.store.durability import Mode
from fetcher.transport.options import TransportOptions

GARBAGE_THRESHOLD: Final = 20_000
"""Objects between two looks for garbage: a few hundred images' worth."""
KEPT: Final = 8 << 20
"""Bytes of free memory that a process may keep."""
_M_TRIM_THRESHOLD: Final = -1  # mallopt(3)
_M_MMAP_THRESHOLD: Final = -3
SWITCH_INTERVAL: Final = 0.0005
"""Seconds after which a thread that wants the GIL asks for it: some images' worth."""


class CrewRecipe(Struct, frozen=True):
    """``engine.worker.Recipe``. ``finishers`` are threads of one crew."""

    directory: Path
    durability: Mode
    min_free: int
    shard_size: int | None
    """If images go into shards."""
    begun: float
    """When the run began; seconds since the epoch."""
    open_files: int
    """What a process must be allowed, at least."""
    finishers: int
    rules: LandingRules
    transport: TransportOptions

    def loop(self) -> asyncio.AbstractEventLoop:
        return uvloop.new_event_loop()

    def crew(self) -> Crew:
        crew: Crew = import_module(ADAPTERS).worker_crew(self)
        return crew


def allow_descriptors(wanted: int) -> None:
    """Raise this process's soft limit of open files to that."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def settle_in() -> None:
    """Set the interpreter up for a run; to be called when most of it is loaded.

    What is loaded by now stays for the whole run: looking through it for garbage again and again
    was measured at up to a fifth of the event loop's time. And no thread keeps the GIL for long:
    workers idle while the run's loop waits to hand out errands.
    """
    gc.freeze()
    gc.set_threshold(GARBAGE_THRESHOLD)
    sys.setswitchinterval(SWITCH_INTERVAL)
    _keep_memory()


def _keep_memory() -> None:
    """Have the C library keep what is free at the end of its heap, instead of giving it back and
    asking for it again with each image: that was measured at three page faults for each.
    """
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):
        libc.mallopt(_M_TRIM_THRESHOLD, KEPT)
        libc.mallopt(_M_MMAP_THRESHOLD, KEPT // 2)

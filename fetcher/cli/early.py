"""What a run begins before it loads anything else: others can load while it does."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager, nullcontext
from typing import Final

from fetcher.engine.workforce import WORKER
from fetcher.nursery.hiring import Nursery, nursery

ADAPTERS: Final = "fetcher.cli.adapters"
"""Loads the HTTP client, which takes a tenth of a second and more."""


def at_hand(begun: Nursery | None) -> AbstractContextManager[Nursery]:
    """The nursery that ``fetcher.cli.main`` has begun; one that begins now, if there is none."""
    return nursery_of_workers() if begun is None else nullcontext(begun)


def nursery_of_workers() -> AbstractContextManager[Nursery]:
    """Where there is but one processor, there may be no workers, and nothing is won."""
    return nursery((WORKER, ADAPTERS), at_once=len(os.sched_getaffinity(0)) > 1)

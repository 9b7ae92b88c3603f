"""Who does it: workers as configured, or the run itself.

They are hired as soon as it is known how many, and touch nothing before they are sent out.
"""

from __future__ import annotations

import os
import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from msgspec import Struct

from fetcher.cli.job import Job
from fetcher.cli.recipe import CrewRecipe, allow_descriptors
from fetcher.config import Config, consent_rule, user_agent, worker_processes
from fetcher.engine.finishing import LandingRules
from fetcher.engine.workforce import Workforce, hired
from fetcher.errors import UsageError
from fetcher.model import Keep
from fetcher.nursery.hiring import Nursery
from fetcher.transport.options import TransportOptions

_KEEP: Final = {
    "quarantine": Keep.QUARANTINE,
    "discard": Keep.DISCARD,
    "keep": Keep.STORE,
}


class Crewed(Struct, frozen=True):
    """Who does it: ``force``, or the run itself if it has no workers."""

    recipe: CrewRecipe
    force: Workforce
    nursery: Nursery


@contextmanager
def crewed(job: Job, nursery: Nursery) -> Iterator[Crewed]:
    """Raises ``UsageError``."""
    open_files = _open_files(job.config.fetch.concurrency)
    allow_descriptors(open_files)
    processes = worker_processes(job.config, len(os.sched_getaffinity(0)))
    recipe = _recipe(job, processes, open_files)
    with hired(nursery, recipe, processes if processes > 1 else 0) as force:
        yield Crewed(recipe, force, nursery)


def _recipe(job: Job, processes: int, open_files: int) -> CrewRecipe:
    """For each of ``processes`` crews."""
    config = job.config
    return CrewRecipe(
        directory=job.directory,
        durability=config.store.durability,
        min_free=config.store.min_free,
        shard_size=config.store.shard_size if config.store.layout == "tar" else None,
        begun=time.time(),
        open_files=open_files,
        finishers=-(-config.store.finishers // processes),
        rules=LandingRules(
            mismatched=_KEEP[config.store.mismatched],
            placeholder_digests=frozenset(config.placeholders.digests),
            max_bytes=config.fetch.max_bytes,
            measure_only=job.measure_only,
        ),
        transport=_transport_options(config),
    )


def _transport_options(config: Config) -> TransportOptions:
    fetch, network = config.fetch, config.network
    return TransportOptions(
        user_agent=user_agent(config),
        max_bytes=fetch.max_bytes,
        connect_timeout=fetch.timeout.connect,
        stall_timeout=fetch.timeout.stall,
        total_timeout=fetch.timeout.total,
        connect_to=network.connect_to,
        allow_private=network.allow_private_addresses,
        ca_file=network.ca_file,
        proxy=network.proxy,
        consent=consent_rule(config),
    )


def _open_files(concurrency: int) -> int:
    """What the limit of open files should be in each process: for each attempt a connection and a
    spool file. Raises ``UsageError`` if it cannot be had.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = sys.maxsize if hard == resource.RLIM_INFINITY else hard
    least = 2 * concurrency + 64
    if allowed < least:
        raise UsageError(
            f"fetch.concurrency {concurrency} takes {least} open files; this process may have "
            f"{allowed}.",
            hint="Lower fetch.concurrency, or raise the limit (ulimit -n).",
        )
    return min(least + 960, allowed)

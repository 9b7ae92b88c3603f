"""Workers are hired as soon as it is known how many: they load the HTTP client while their run
loads what else it needs, checks its lists and opens its manifest. They touch nothing before it
sends them out. So this module, and what it imports, is kept light.
"""

from __future__ import annotations

import os
import resource
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from fetcher.cli.job import Job
from fetcher.cli.recipe import CrewRecipe, crew_recipe
from fetcher.config import worker_processes
from fetcher.engine.hiring import Hired, hired
from fetcher.errors import UsageError


@dataclass(frozen=True, slots=True)
class Crewed:
    """Who does it: ``workers``, or the run itself if there are none."""

    recipe: CrewRecipe
    workers: Sequence[Hired]


@contextmanager
def crewed(job: Job) -> Iterator[Crewed]:
    """Raises ``UsageError``."""
    _allow_descriptors(job.config.fetch.concurrency)
    processes = worker_processes(job.config, len(os.sched_getaffinity(0)))
    recipe = crew_recipe(
        job.config, job.directory, processes=processes, measure_only=job.measure_only
    )
    with hired(recipe, processes if processes > 1 else 0) as workers:
        yield Crewed(recipe, workers)


def _allow_descriptors(concurrency: int) -> None:
    """Raise this process's soft limit of open files to what is needed: for each attempt a
    connection and a spool file. Raises ``UsageError`` if the hard limit is below that.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = sys.maxsize if hard == resource.RLIM_INFINITY else hard
    least = 2 * concurrency + 64
    if allowed < least:
        raise UsageError(
            f"fetch.concurrency {concurrency} takes {least} open files; this process may have "
            f"{allowed}.",
            hint="Lower fetch.concurrency, or raise the limit (ulimit -n).",
        )
    wanted = min(least + 960, allowed)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))

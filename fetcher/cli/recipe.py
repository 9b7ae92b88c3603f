"""How a crew is made from the configuration: in the run's own process, or in a worker's.

A recipe is plain values, so that it can be sent to a worker; its adapters are loaded and made where
they work (``fetcher.cli.adapters``).
"""

from __future__ import annotations

import asyncio
import gc
import sys
import time
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Final

import uvloop

from fetcher.config import Config, consent_rule, user_agent
from fetcher.config.schema import Durability
from fetcher.engine.finishing import LandingRules
from fetcher.model import Keep
from fetcher.ports import Crew
from fetcher.transport.options import TransportOptions

_ADAPTERS: Final = "fetcher.cli.adapters"
"""Loads the HTTP client, which takes a tenth of a second."""
GARBAGE_THRESHOLD: Final = 20_000
"""Objects between two looks for garbage: a few hundred images' worth."""
SWITCH_INTERVAL: Final = 0.0005
"""Seconds after which a thread that wants the GIL asks for it: some images' worth."""
_KEEP: Final = {
    "quarantine": Keep.QUARANTINE,
    "discard": Keep.DISCARD,
    "keep": Keep.STORE,
}


@dataclass(frozen=True, slots=True)
class CrewRecipe:
    """``engine.worker.Recipe``. ``finishers`` are threads of one crew."""

    directory: Path
    durability: Durability
    min_free: int
    shard_size: int | None
    """If images go into shards."""
    begun: float
    """When the run began; seconds since the epoch."""
    finishers: int
    rules: LandingRules
    transport: TransportOptions

    def loop(self) -> asyncio.AbstractEventLoop:
        return uvloop.new_event_loop()

    def load(self) -> None:
        import_module(_ADAPTERS)

    def crew(self) -> Crew:
        crew: Crew = import_module(_ADAPTERS).worker_crew(self)
        return crew


def crew_recipe(
    config: Config, directory: Path, *, processes: int, measure_only: bool = False
) -> CrewRecipe:
    """For each of ``processes`` crews. ``measure_only``: what arrives is measured, and dropped."""
    return CrewRecipe(
        directory=directory,
        durability=config.store.durability,
        min_free=config.store.min_free,
        shard_size=config.store.shard_size if config.store.layout == "tar" else None,
        begun=time.time(),
        finishers=-(-config.store.finishers // processes),
        rules=LandingRules(
            mismatched=_KEEP[config.store.mismatched],
            placeholder_digests=frozenset(config.placeholders.digests),
            max_bytes=config.fetch.max_bytes,
            measure_only=measure_only,
        ),
        transport=_transport_options(config),
    )


def settle_in() -> None:
    """Set the interpreter up for a run; to be called when most of it is loaded.

    What is loaded by now stays for the whole run: looking through it for garbage again and again
    was measured at up to a fifth of the event loop's time. And no thread keeps the GIL for long:
    workers idle while the run's loop waits to hand out errands.
    """
    gc.freeze()
    gc.set_threshold(GARBAGE_THRESHOLD)
    sys.setswitchinterval(SWITCH_INTERVAL)


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

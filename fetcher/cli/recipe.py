"""How a crew is made from the configuration: in the run's own process, or in a worker's.

A recipe is plain values, so that it can be sent to a worker; the adapters are made where they work,
and the HTTP client is loaded there, too: workers load it while the run opens its manifest.
"""

from __future__ import annotations

import asyncio
import gc
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import uvloop

from fetcher.config import Config, consent_rule, user_agent
from fetcher.config.schema import Durability
from fetcher.engine import Finisher, LandingRules, PromptLanding, TaskCrew, ThreadedLanding
from fetcher.engine.recovery import SPOOL_SUFFIX
from fetcher.model import Keep
from fetcher.ports import Landing
from fetcher.store import LocalStore, ShardStore
from fetcher.transport.options import TransportOptions

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

    def crew(self) -> TaskCrew:
        store = self.store()
        store.attach()
        finisher = Finisher(store, self.rules)
        landing = ThreadedLanding(finisher, threads=self.finishers)
        return self._crew(store, PromptLanding(finisher, landing) if store.is_quick else landing)

    def store(self) -> LocalStore:
        if self.shard_size is None:
            return LocalStore(self.directory, durability=self.durability, min_free=self.min_free)
        return ShardStore(
            self.directory,
            shard_size=self.shard_size,
            begun=self.begun,
            durability=self.durability,
            min_free=self.min_free,
        )

    def crew_over(self, store: LocalStore) -> TaskCrew:
        """A crew in the run's own process, for a store that the run closes."""
        finisher = Finisher(store, self.rules)
        return self._crew(store, ThreadedLanding(finisher, threads=self.finishers))

    def _crew(self, store: LocalStore, landing: Landing) -> TaskCrew:
        from fetcher.transport.client import HttpTransport  # noqa: PLC0415  see the module's text

        settle_in()
        spool = store.spool_directory
        return TaskCrew(
            HttpTransport(self.transport),
            landing,
            lambda asset_id: f"{spool}/{asset_id}{SPOOL_SUFFIX}",
        )


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

"""Crews by a recipe, with their transport and landing. To load this is to load the HTTP client."""

from __future__ import annotations

from fetcher.cli.recipe import CrewRecipe, allow_descriptors, settle_in
from fetcher.cli.stores import store_of
from fetcher.engine import Finisher, PromptLanding, TaskCrew, ThreadedLanding
from fetcher.engine.recovery import SPOOL_SUFFIX
from fetcher.ports import Landing
from fetcher.store import LocalStore
from fetcher.transport import lean  # noqa: F401  before whatever imports aiohttp
from fetcher.transport.client import HttpTransport


def worker_crew(recipe: CrewRecipe) -> TaskCrew:
    """A worker's, with a store of its own; its process was there before its run had looked."""
    allow_descriptors(recipe.open_files)
    store = store_of(recipe)
    store.attach()
    finisher = Finisher(store, recipe.rules)
    landing = ThreadedLanding(finisher, threads=recipe.finishers)
    return _crew(recipe, store, PromptLanding(finisher, landing) if store.is_quick else landing)


def crew_over(recipe: CrewRecipe, store: LocalStore) -> TaskCrew:
    """One in the run's own process, for a store that the run closes."""
    finisher = Finisher(store, recipe.rules)
    return _crew(recipe, store, ThreadedLanding(finisher, threads=recipe.finishers))


def _crew(recipe: CrewRecipe, store: LocalStore, landing: Landing) -> TaskCrew:
    settle_in()
    spool = store.spool_directory
    return TaskCrew(
        HttpTransport(recipe.transport),
        landing,
        lambda asset_id: f"{spool}/{asset_id}{SPOOL_SUFFIX}",
    )

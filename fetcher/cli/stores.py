"""The store that a recipe asks for."""

from __future__ import annotations

from fetcher.cli.recipe import CrewRecipe
from fetcher.store import LocalStore, ShardStore


def store_of(recipe: CrewRecipe) -> LocalStore:
    if recipe.shard_size is None:
        return LocalStore(recipe.directory, durability=recipe.durability, min_free=recipe.min_free)
    return ShardStore(
        recipe.directory,
        shard_size=recipe.shard_size,
        begun=recipe.begun,
        durability=recipe.durability,
        min_free=recipe.min_free,
    )

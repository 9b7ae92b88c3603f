"""Where bytes end up: the adapters of ``fetcher.ports.Store``."""

from fetcher.store.durability import Mode
from fetcher.store.local import LocalStore
from fetcher.store.shards import ShardStore
from fetcher.store.tails import cut_tails

__all__ = ["LocalStore", "Mode", "ShardStore", "cut_tails"]

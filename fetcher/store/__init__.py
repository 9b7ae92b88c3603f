"""Where bytes end up: the adapters of ``fetcher.ports.Store``."""

from fetcher.store.durability import Mode
from fetcher.store.local import LocalStore

__all__ = ["LocalStore", "Mode"]

"""What a transport is told; plain values, which load no client library."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct, field

from fetcher.policy.consent import ConsentRule


class TransportOptions(Struct, frozen=True):
    """Durations in seconds, sizes in bytes."""

    user_agent: str
    max_bytes: int
    connect_timeout: float
    stall_timeout: float
    total_timeout: float
    connect_to: Mapping[str, str] = field(default_factory=dict)
    allow_private: bool = False
    ca_file: Path | None = None
    proxy: str | None = None
    consent: ConsentRule | None = None
    """Whose X-Robots-Tag counts; ``None`` is "nobody's"."""

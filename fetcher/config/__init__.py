"""Configuration: YAML and overrides in, one frozen and validated ``Config`` out.

``schema`` has every key with its default; ``units`` and ``texts`` say how values are written;
``layers`` and ``loading`` put defaults, file, ``--set`` and flags together; ``rendering`` shows the
result; ``derived`` makes of it what policies take.
"""

from fetcher.config.derived import (
    breaker_rule,
    consent_rule,
    host_groups,
    redirect_rule,
    retry_rule,
    user_agent,
    worker_processes,
)
from fetcher.config.domains import registrable_domain
from fetcher.config.keys import KeyDoc, documented_keys
from fetcher.config.layers import Flag
from fetcher.config.loading import LoadedConfig, load
from fetcher.config.rendering import as_dict, render
from fetcher.config.schema import DEFAULTS, Budget, Config, Durability, Group, Mismatched
from fetcher.config.texts import endpoint
from fetcher.config.units import show_duration, show_size

__all__ = [
    "DEFAULTS",
    "Budget",
    "Config",
    "Durability",
    "Flag",
    "Group",
    "KeyDoc",
    "LoadedConfig",
    "Mismatched",
    "as_dict",
    "breaker_rule",
    "consent_rule",
    "documented_keys",
    "endpoint",
    "host_groups",
    "load",
    "redirect_rule",
    "registrable_domain",
    "render",
    "retry_rule",
    "show_duration",
    "show_size",
    "user_agent",
    "worker_processes",
]

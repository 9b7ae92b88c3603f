"""From keys to the values that policies take."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from fetcher import __version__
from fetcher.config.agent import fill
from fetcher.config.domains import registrable_domain as by_public_suffix
from fetcher.config.schema import Budget, Config
from fetcher.model import HostBudget
from fetcher.policy.breaker import BreakerRule
from fetcher.policy.consent import ConsentRule, product_token
from fetcher.policy.hosts import GroupRule, HostGroups
from fetcher.policy.redirects import RedirectRule
from fetcher.policy.retry import RetryRule

_POLITE: Final = 200.0
"""Requests per second; beyond that a host group is no longer somebody else's patience."""
_PAUSES: Final = 12
"""Of the longest kind, for which a host group that only fails is left alone: an hour, unless told
otherwise; whoever is in a hurry shortens both at once."""
_SLOTS_EACH: Final = 16
_MOST_PROCESSES: Final = 8


def user_agent(config: Config) -> str:
    """The value of the User-Agent header; one line of printable ASCII."""
    fetch = config.fetch
    return fill(fetch.user_agent, version=__version__, contact=fetch.contact)


def host_groups(
    config: Config, registrable_domain: Callable[[str], str | None] = by_public_suffix
) -> HostGroups:
    """The host groups and their budgets, in the order in which they are to be matched."""
    return HostGroups(
        _budget(config.hosts.default),
        [
            GroupRule(name, group.match, _budget(group))
            for name, group in config.hosts.groups.items()
        ],
        registrable_domain=registrable_domain,
    )


def retry_rule(config: Config) -> RetryRule:
    retry = config.retry
    return RetryRule(
        attempts=retry.attempts,
        first_delay=retry.first_delay,
        max_delay=retry.max_delay,
        max_retry_after=retry.max_retry_after,
    )


def breaker_rule(config: Config) -> BreakerRule:
    """A group that fails altogether is left alone as an asset that fails is, without chance."""
    retry = config.retry
    patience = retry.patience if retry.patience is not None else _PAUSES * retry.max_delay
    return BreakerRule(first=retry.first_delay, longest=retry.max_delay, patience=patience)


def redirect_rule(config: Config) -> RedirectRule:
    return RedirectRule(
        placeholders=config.placeholders.redirects,
        allow_downgrade=config.network.allow_downgrade,
    )


def consent_rule(config: Config) -> ConsentRule:
    consent = config.consent
    return ConsentRule(
        token=product_token(user_agent(config)),
        robots=consent.robots,
        robots_tag=consent.robots_tag,
        exempt=consent.exempt,
    )


def worker_processes(config: Config, cores: int) -> int:
    """How many processes ask and store: ``fetch.processes``, or as many as help.

    One process carries some thousand requests per second. Where no host group may have that many,
    more of them would only take memory.
    """
    fetch, hosts = config.fetch, config.hosts
    if fetch.processes is not None:
        return fetch.processes
    busy = any(
        budget.rate is None or budget.rate > _POLITE
        for budget in (hosts.default, *hosts.groups.values())
    )
    return max(1, min(cores, _MOST_PROCESSES, fetch.concurrency // _SLOTS_EACH)) if busy else 1


def _budget(budget: Budget) -> HostBudget:
    return HostBudget(
        rate=budget.rate,
        burst=budget.burst,
        concurrency=budget.concurrency,
        bandwidth=budget.bandwidth,
        adapt=budget.adapt,
    )

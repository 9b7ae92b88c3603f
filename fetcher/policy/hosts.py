"""Host groups: which hosts share one owner's patience.

A group is named in the configuration (``hosts.groups.NAME.match``), or is the registrable domain
(the public suffix and one label more): all of ``*.staticflickr.com`` is one group. A bare address
or a single label is a group of its own. Ports and schemes do not make groups: a machine does not
get more patient for being asked on two ports.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatchcase
from functools import lru_cache
from ipaddress import ip_address

from msgspec import Struct

from fetcher.model import HostBudget


class GroupRule(Struct, frozen=True):
    """A configured group: hosts that match any of the patterns (``*`` as in file names)."""

    name: str
    match: tuple[str, ...]
    budget: HostBudget


class HostGroups:
    """Maps hosts to groups, and groups to budgets. The first rule that matches wins."""

    def __init__(
        self,
        default: HostBudget,
        rules: Sequence[GroupRule] = (),
        *,
        registrable_domain: Callable[[str], str | None],
    ) -> None:
        self._default = default
        self._rules = tuple(rules)
        self._budgets: Mapping[str, HostBudget] = {rule.name: rule.budget for rule in rules}
        self._registrable_domain = registrable_domain
        self.group_of = lru_cache(maxsize=65_536)(self._group_of)

    def budget(self, group: str) -> HostBudget:
        return self._budgets.get(group, self._default)

    def _group_of(self, host: str) -> str:
        for rule in self._rules:
            if any(fnmatchcase(host, pattern) for pattern in rule.match):
                return rule.name
        if _is_address(host):
            return host
        return self._registrable_domain(host) or host


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True

"""Which settled assets are put back to pending: what was asked for, and what makes no sense.

An asset that is kept (``verified``, ``unverified``) has what a mirror is after. Reopening it throws
away what is known of its file, so it is done only where that is said outright; ``verify --repair``
reopens those that are really broken. A pending asset is open already.
"""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import Final

from msgspec import Struct

from fetcher.model import KEPT, State

MAY_END: Final = frozenset(state for state in State if state.terminal and state not in KEPT)
"""What a code alone stands for."""


class Reopening(Struct, frozen=True):
    """All that is given must hold; ``None`` is "any"."""

    states: frozenset[State]
    codes: frozenset[str] | None = None
    hosts: tuple[str, ...] | None = None
    """Host names, ``*`` as in file names."""
    settled_by: float | None = None
    """Only what was settled at that time, or before it."""

    def wants_host(self, host: str) -> bool:
        return self.hosts is None or any(fnmatchcase(host, pattern) for pattern in self.hosts)


def reopening(
    states: Iterable[State],
    codes: Iterable[str] = (),
    hosts: Iterable[str] = (),
    settled_by: float | None = None,
) -> Reopening:
    """What to reopen by what was given.

    Without a state, a code stands for the states that have it, kept ones aside; without either it
    is ``failed``: what ran out of attempts.
    """
    chosen, causes, patterns = frozenset(states), frozenset(codes), tuple(hosts)
    if not chosen:
        chosen = MAY_END if causes else frozenset({State.FAILED})
    return Reopening(
        chosen,
        causes or None,
        tuple(pattern.lower() for pattern in patterns) or None,
        settled_by,
    )


def kept_among(states: Iterable[State]) -> list[State]:
    """The states that are reopened only where that is said outright, in their order."""
    return [state for state in State if state in KEPT and state in set(states)]

"""What to lease: enough that no host group runs out of work, and no more than there is room for.

A group may hold its quota (``groups.quota``), and is short of assets at half of that; but not if it
is dry: the manifest had no more for it when last asked. Those that hold nothing count as strangers,
as all those do that are not known yet: they are not named, and may get as much each. Once the
manifest has nothing for strangers either, those that are known are named instead.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from fetcher.model import LeaseRequest
from fetcher.policy.groups import Group


class Demand:
    """Of ``groups``, by name, which hold at most ``capacity`` assets together; ``stranger`` is how
    many a group that is not known yet may hold.
    """

    __slots__ = (
        "_capacity",
        "_groups",
        "_short",
        "_stirred_since_asked",
        "_stranger",
        "_strangers_dry",
        "held",
    )

    def __init__(self, groups: Mapping[str, Group], *, capacity: int, stranger: int) -> None:
        self._groups = groups
        self._capacity = capacity
        self._stranger = stranger
        self.held = 0
        """Assets that all groups hold."""
        self._short = True
        self._strangers_dry = False
        self._stirred_since_asked = False

    @property
    def unmet(self) -> bool:
        """Whether ``request`` has something to ask for."""
        return self._short and self.held < self._capacity

    def request(self) -> LeaseRequest | None:
        """What to lease, or ``None`` while there is enough of everything."""
        if not self.unmet:
            return None
        self._stirred_since_asked = False
        return LeaseRequest(
            limit=self._capacity - self.held,
            room={
                group.name: group.room()
                for group in self._groups.values()
                if group.held or group.dry or self._strangers_dry
            },
            default_room=0 if self._strangers_dry else self._stranger,
        )

    def answered(self, asked: LeaseRequest, brought: Iterable[str], *, exhausted: bool) -> None:
        """What ``asked`` for came, an asset of each group in ``brought``, and is held by now.

        ``exhausted`` is whether the manifest looked everywhere, so that what is missing to
        ``asked.limit`` is not there.
        """
        got = Counter(brought)
        # What was stirred up meanwhile may have come too late for this lease.
        if exhausted and got.total() < asked.limit and not self._stirred_since_asked:
            for name, room in asked.room.items():
                if got[name] < room:
                    self._groups[name].dry = True
            self._strangers_dry = got.keys() <= asked.room.keys()
        self._short = (
            self._stirred_since_asked
            or self._short_of_strangers()
            or any(group.short() for group in self._groups.values())
        )

    def stirred(self) -> None:
        """The manifest may have assets again that it had not."""
        for group in self._groups.values():
            group.dry = False
        self.strangers_stirred()

    def strangers_stirred(self) -> None:
        """The same of groups that hold nothing."""
        self._strangers_dry = False
        self._stirred_since_asked = self._short = True

    def entered(self, group: Group) -> None:
        """It holds an asset more."""
        group.held += 1
        self.held += 1
        if group.short() or self._short_of_strangers():
            self._short = True

    def left(self, group: Group) -> None:
        """It holds an asset less."""
        group.held -= 1
        self.held -= 1
        if group.short() or self._short_of_strangers():
            self._short = True

    def _short_of_strangers(self) -> bool:
        return not self._strangers_dry and 2 * self.held <= self._capacity

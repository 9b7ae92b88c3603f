"""What the questions of a report share: the value, and the pieces of SQL."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from msgspec import Struct

from fetcher.model import State
from fetcher.policy.codes import CODES

SHOWN: Final = 25
"""Rows of a table whose length depends on the list; what is beyond is one row more."""

EXAMPLES: Final = 3

OTHERS: Final = "(others)"

NONE: Final = "(none)"

PRESENT: Final = (State.VERIFIED, State.UNVERIFIED, State.ALIVE)

LOST: Final = tuple(state for state in State if state not in (*PRESENT, State.PENDING))


class Question(Struct, frozen=True):
    name: str
    sql: str


def quoted(text: str) -> str:
    """An SQL string. NUL would end the statement early, and no name has one."""
    return "'" + text.replace("\0", "").replace("'", "''") + "'"


def within(values: Iterable[object]) -> str:
    return "(" + ", ".join(str(value) for value in values) + ")"


def states_within(states: Iterable[State]) -> str:
    return within(quoted(state) for state in states)


def share(part: str, whole: str, digits: int = 2) -> str:
    return f"round(100.0 * coalesce({part}, 0) / max(1, coalesce({whole}, 0)), {digits})"


def indented(sql: str) -> str:
    return "\n".join(f"    {line}" for line in sql.splitlines())


def of_state(state: State) -> str:
    names = [quoted(info.code) for info in CODES.values() if info.state is state]
    if state is State.FAILED:  # also what this version does not know
        known = [
            quoted(info.code)
            for info in CODES.values()
            if info.state not in {State.FAILED, State.PENDING}
        ]
        return f"c.name IS NOT NULL AND c.name NOT IN {within(known)}"
    return f"c.name IN {within(names)}"

"""The numbers that states have in the manifest. Codes get theirs as they come; these are fixed."""

from __future__ import annotations

from typing import Final

from fetcher.model import State

STATE_IDS: Final[dict[State, int]] = {
    State.PENDING: 0,
    State.VERIFIED: 1,
    State.UNVERIFIED: 2,
    State.ALIVE: 3,
    State.MISMATCHED: 4,
    State.GONE: 5,
    State.DENIED: 6,
    State.FAILED: 7,
    State.INVALID: 8,
}
STATES: Final[dict[int, State]] = {number: state for state, number in STATE_IDS.items()}

PENDING: Final = STATE_IDS[State.PENDING]
VERIFIED: Final = STATE_IDS[State.VERIFIED]
FOUND: Final = tuple(STATE_IDS[s] for s in (State.VERIFIED, State.UNVERIFIED, State.ALIVE))
"""States of images that are there; without a path, nobody has kept them."""
IS_FOUND: Final = f"state BETWEEN {min(FOUND)} AND {max(FOUND)}"
"""The same in SQL; ``found_not_stored`` is an index for just these words."""

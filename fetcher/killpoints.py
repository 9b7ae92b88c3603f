"""Points at which a test may have this process killed, as by ``kill -9``: between any two steps
from an image's first byte to its committed row, and around whatever else changes what lies in DIR.

``FETCHER_KILL_AT=POINT`` or ``POINT:N`` in the environment kills the process when it passes the
point for the first or the N-th time. It is read once, when this module is loaded; only tests set
it, and without it ``reached`` is a function that does nothing. A process that is started by another
one inherits it and counts for itself; ``POINT:N:group`` takes all of its process group along.

The end is a real one: SIGKILL, no handler, no ``finally``, nothing flushed.
"""

from __future__ import annotations

import itertools
import os
import signal
from collections.abc import Callable
from enum import StrEnum
from typing import Final

VARIABLE: Final = "FETCHER_KILL_AT"
_GROUP: Final = "group"


class Point(StrEnum):
    """In the order in which a run first passes them. The value is the point's name."""

    # Opening the manifest, and its end are each several steps on several files.
    PLACE_MADE = "place-made"
    LOCKED = "locked"
    LOG_AHEAD = "log-ahead"
    MIGRATING = "migrating"
    MIGRATED = "migrated"
    RUN_BEGUN = "run-begun"

    # Lists: each of these in the manifest, and the first two for each batch of rows.
    SOURCE_BEGUN = "source-begun"
    ROWS_WRITTEN = "rows-written"
    ROWS_COMMITTED = "rows-committed"
    SOURCE_FINISHED = "source-finished"
    LIST_FINISHED = "list-finished"
    IMPORT_FINISHED = "import-finished"

    # An image on its way.
    BEFORE_LEASE = "before-lease"
    LEASED = "leased"
    BYTES_TAKEN = "bytes-taken"
    """From the network; the first of its passes is the first byte of the first image."""
    PART_SPOOLED = "part-spooled"
    PART_KEPT = "part-kept"
    """The beginning of a body that broke off is on disk, for a later attempt."""
    BODY_WHOLE = "body-whole"
    HASHED = "hashed"
    TEMPORARY_OPENED = "temporary-opened"
    TEMPORARY_WRITTEN = "temporary-written"
    TEMPORARY_CLOSED = "temporary-closed"
    FILES_SYNCED = "files-synced"
    RENAMED = "renamed"
    """One file of the batch; the N-th pass is within a batch, too."""
    DIRECTORIES_SYNCED = "directories-synced"
    SHARD_MADE = "shard-made"
    SHARD_WRITTEN = "shard-written"
    """A batch lies in a shard; it may not be on the disk yet."""
    SHARD_COMMITTED = "shard-committed"
    """It is, and will not be taken back."""
    LANDED = "landed"
    """Stored; the event loop does not know yet."""
    DELIVERED = "delivered"
    """The event loop knows; the manifest does not."""
    SETTLING = "settling"
    """The transaction has begun."""
    ATTEMPTS_WRITTEN = "attempts-written"
    ASSETS_WRITTEN = "assets-written"
    TALLIES_WRITTEN = "tallies-written"
    SETTLED = "settled"
    """The transaction is committed; nobody has been told."""
    TOLD = "told"
    """The event loop knows that it is committed."""

    # After a killed run: what it left is looked through.
    TAIL_CUT = "tail-cut"
    """Of a shard, at the end of a run as well."""
    FOUND = "found"
    """Files that were published are proven; they are not known to be durable yet."""
    CONFIRMED = "confirmed"
    """They are; their rows do not say so yet."""

    # The end.
    SWEPT = "swept"
    """Temporary files are removed."""
    GIVEN_BACK = "given-back"
    RUN_ENDED = "run-ended"
    LOG_FOLDED = "log-folded"
    """The manifest is one file again, still open and locked."""
    CLOSED = "closed"
    """The lock file is removed, the lock still held."""


def _nothing(point: Point) -> None:
    pass


def armed(order: str | None) -> Callable[[Point], None]:
    """What ``reached`` is, if ``order`` is the variable's value. Raises ``ValueError`` for one that
    makes no sense: a misspelt point would make a test pass that tested nothing.
    """
    if not order:
        return _nothing
    name, ordinal, whom, *more = [*order.split(":"), "", ""][: max(3, order.count(":") + 1)]
    chosen, last = Point(name), int(ordinal or 1)
    if last < 1 or whom not in {"", _GROUP} or more:
        raise ValueError(f"{VARIABLE}={order}: not POINT, POINT:N or POINT:N:{_GROUP}, N from 1")
    passes = itertools.count(1)  # one step of it cannot be divided by threads

    def kill_at_last(point: Point) -> None:
        if point is chosen and next(passes) == last:
            if whom:
                os.killpg(0, signal.SIGKILL)
            os.kill(os.getpid(), signal.SIGKILL)

    return kill_at_last


reached: Final = armed(os.environ.get(VARIABLE))

"""From an input that breaks a law to a short one that breaks it in the same way."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator
from typing import Final

_TRIALS: Final = 5_000
_PLAINEST: Final = b"0"


def failure(run: Callable[[bytes], None], data: bytes) -> str | None:
    """What ``data`` breaks, as the kind of exception and where it was raised; ``None``: nothing."""
    try:
        run(data)
    except Exception as error:  # noqa: BLE001  any is a finding
        last = traceback.extract_tb(error.__traceback__)[-1]
        return f"{type(error).__name__} at {last.filename}:{last.lineno}"
    return None


def shrink(run: Callable[[bytes], None], data: bytes) -> bytes:
    """Leaves out what it can, in ever smaller pieces, then makes bytes plain; a failure that is
    another one does not count.
    """
    wanted = failure(run, data)
    trials = 0
    again = wanted is not None
    while again:
        again = False
        for smaller in _simpler(data):
            trials += 1
            if trials > _TRIALS:
                return data
            if failure(run, smaller) == wanted:
                data, again = smaller, True
                break
    return data


def _simpler(data: bytes) -> Iterator[bytes]:
    size = len(data)
    while size:
        for at in range(0, len(data), size):
            yield data[:at] + data[at + size :]
        size //= 2
    for at in range(len(data)):
        if data[at : at + 1] != _PLAINEST:
            yield data[:at] + _PLAINEST + data[at + 1 :]

"""How the soak's mirror is set up: slow enough for what else the machine does, and impatient."""

from __future__ import annotations

from typing import Any, Final

from scripts.proofs.mischief import HOST, SPOOLED, STALLED, TOTAL

RATE: Final = 10
"""Requests per second to each web."""
BURST: Final = 5
WEBS: Final = 4
CONFIG: Final[dict[str, Any]] = {
    "fetch": {
        "processes": 2,
        "concurrency": 32,
        "spool_above": SPOOLED,
        "timeout": {"connect": "2s", "stall": STALLED, "total": TOTAL},
    },
    "hosts": {
        # As many broken answers as there are here would slow adapting hosts down to a tenth; the
        # more requests, the more there is to grow by. One host shows what adapting holds.
        "default": {"rate": RATE, "burst": BURST, "concurrency": 8, "adapt": False},
        "groups": {"adapting": {"match": [HOST.format(WEBS - 1)], "adapt": True}},
    },
    "retry": {"attempts": 5, "first_delay": "2s", "max_delay": "20s"},
    "consent": {"robots": True},
}
SETTLING: Final = (
    *("--set", "hosts.default.rate=unlimited", "--set", "hosts.default.concurrency=16"),
    *("--set", "retry.first_delay=50ms", "--set", "retry.max_delay=200ms"),
    *("--set", "retry.patience=0"),
    *("--set", "retry.max_retry_after=50ms", "--set", "hosts.groups.adapting.adapt=false"),
)
"""Options of the last runs, which need not be polite."""
PATIENCE: Final = 300.0
"""Seconds after which a process that does not end hangs."""

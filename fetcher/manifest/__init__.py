"""SQLite: schema and migrations, bulk import, leases, batched settling, tallies.

``ManifestThread`` is what a run works with, ``ManifestReader`` what looks on; both stand on the
synchronous parts beside them. No module outside of this package knows that it is SQLite. What is
named here is loaded when it is asked for: who looks on does without what a run works with.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fetcher.manifest.auditing import Audit, AuditTerms
    from fetcher.manifest.figures import Grouping
    from fetcher.manifest.reader import ManifestReader
    from fetcher.manifest.runs import RunInfo
    from fetcher.manifest.thread import ManifestThread
else:

    def __getattr__(name):  # noqa: ANN001, ANN202  to mypy there are the names above
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


_HOMES = {
    "Audit": "auditing",
    "AuditTerms": "auditing",
    "Grouping": "figures",
    "ManifestReader": "reader",
    "ManifestThread": "thread",
    "RunInfo": "runs",
}

__all__ = ["Audit", "AuditTerms", "Grouping", "ManifestReader", "ManifestThread", "RunInfo"]

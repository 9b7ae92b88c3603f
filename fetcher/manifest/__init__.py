"""SQLite: schema and migrations, bulk import, leases, batched settling, tallies.

``ManifestThread`` is what a run works with, ``ManifestReader`` what looks on; both stand on the
synchronous parts beside them. No module outside of this package knows that it is SQLite. What is
named here is loaded when it is asked for: who looks on does without what a run works with.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fetcher.lazy import attach

if TYPE_CHECKING:
    from fetcher.manifest.auditing import Audit, AuditTerms
    from fetcher.manifest.figures import Grouping
    from fetcher.manifest.reader import ManifestReader
    from fetcher.manifest.runs import RunInfo
    from fetcher.manifest.thread import ManifestThread
else:
    __getattr__ = attach(
        __name__,
        {
            "auditing": ["Audit", "AuditTerms"],
            "figures": ["Grouping"],
            "reader": ["ManifestReader"],
            "runs": ["RunInfo"],
            "thread": ["ManifestThread"],
        },
    )

__all__ = ["Audit", "AuditTerms", "Grouping", "ManifestReader", "ManifestThread", "RunInfo"]

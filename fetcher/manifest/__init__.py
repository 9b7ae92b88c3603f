"""SQLite: schema and migrations, bulk import, leases, batched settling, tallies.

``ManifestThread`` is what a run works with, ``ManifestReader`` what looks on; both stand on the
synchronous parts beside them. No module outside of this package knows that it is SQLite.
"""

from __future__ import annotations

from fetcher.manifest.auditing import Audit, AuditTerms
from fetcher.manifest.figures import Grouping
from fetcher.manifest.reader import ManifestReader
from fetcher.manifest.runs import RunInfo
from fetcher.manifest.thread import ManifestThread

__all__ = ["Audit", "AuditTerms", "Grouping", "ManifestReader", "ManifestThread", "RunInfo"]

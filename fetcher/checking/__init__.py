"""Checking what is stored: files re-hashed against the manifest, and the manifest against files.

``Check`` goes over both; ``Workers`` are the processes that read and hash. Like the engine, this
package sees ports and never adapters: where files lie and what is recorded of them it is told.
"""

from fetcher.checking.check import Check, Ended, Progress
from fetcher.checking.workers import Workers

__all__ = ["Check", "Ended", "Progress", "Workers"]

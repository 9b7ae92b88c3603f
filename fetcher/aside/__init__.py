"""Lists read by a process of their own: the meeting of ``source`` and ``manifest`` outside of a
run, as ``cli`` is within one.
"""

from fetcher.aside.process import ReadingProcess

__all__ = ["ReadingProcess"]

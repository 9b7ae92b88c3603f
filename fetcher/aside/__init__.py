"""Lists read by a process of their own: the meeting of ``source`` and ``manifest`` outside of a
run, as ``cli`` is within one.

    process   the run's end of it
    life      the other end
    link      what is between them
"""

from fetcher.aside.process import ReadingProcess

__all__ = ["ReadingProcess"]

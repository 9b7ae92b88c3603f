"""The last run before a check began: if there is another since, images may have come and gone.

Not told by the time, as clocks are set back.
"""

from __future__ import annotations

from typing import Final

STATEMENTS: Final = ("ALTER TABLE checks ADD COLUMN after_run INTEGER",)

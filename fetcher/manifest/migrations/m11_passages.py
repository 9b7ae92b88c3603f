"""Passages of lists: what neighbouring rows say besides, kept together as it is written.

Assets that came in one after the other, from one line after the other, need no row each for where
they are from. An asset that has a row in ``details`` as well is what that says: it was met again
since, elsewhere or with something else.
"""

from __future__ import annotations

from typing import Final

STATEMENTS: Final = (
    # ``text`` is that of ``fetcher.manifest.passages``. The column ``apart``, if there is one, is
    # not in it: ``said`` is the number of its text in ``texts``, or a JSON array of such numbers,
    # one for each row, where not all say the same.
    """CREATE TABLE passages (
        first_asset INTEGER PRIMARY KEY REFERENCES assets (asset_id),
        assets INTEGER NOT NULL,
        source_id INTEGER NOT NULL REFERENCES sources (id),
        first_line INTEGER NOT NULL,
        layout_id INTEGER NOT NULL REFERENCES layouts (id),
        apart INTEGER,
        said ANY,
        text TEXT NOT NULL
    ) STRICT""",
)

"""What proofs take for a mirror has to be one, however many images it has."""

from __future__ import annotations

import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path

from scripts.proofs import stored


def test_every_image_of_a_made_mirror_is_settled(tmp_path: Path) -> None:
    """More of them than one part of a lease has, and than one batch."""
    directory, _, images = stored.build(tmp_path, 2_100)

    with closing(sqlite3.connect(directory / "manifest.sqlite")) as manifest:
        settled = manifest.execute("SELECT image_id, state, path FROM images ORDER BY 1").fetchall()
    assert settled == sorted((one.row.image_id, str(one.state), one.path) for one in images)
    assert len(Counter(state for _, state, _ in settled)) == 3

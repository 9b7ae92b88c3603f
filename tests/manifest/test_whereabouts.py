"""A manifest whose folder is taken away under it."""

from __future__ import annotations

from pathlib import Path

import pytest

from fetcher.errors import ManifestError
from fetcher.manifest.database import Database
from fetcher.manifest.runs import RunInfo


def test_a_file_in_the_place_of_its_folder_is_told_as_a_manifest_that_was_moved(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    database = Database.open(folder / "manifest.sqlite", command="mirror", group_of=str)
    folder.rename(tmp_path / "elsewhere")
    folder.write_text("no folder any more")
    with pytest.raises(ManifestError, match="was moved, removed or replaced"):
        database.begin_run(RunInfo("mirror", "0", "{}"))
    database.close()
    assert {entry.name for entry in (tmp_path / "elsewhere").iterdir()} >= {"manifest.sqlite"}
    assert folder.read_text() == "no folder any more"

"""What is remembered of directories, and that memory is bounded."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fetcher.store import directories
from fetcher.store.directories import Directories
from tests.fakes.system import Recorder

FOLDER = "images/train/000"


def test_a_known_directory_costs_no_call(tmp_path: Path) -> None:
    recorder = Recorder()
    tree = Directories(str(tmp_path), recorder.system())
    tree.enter(FOLDER)
    recorder.calls.clear()
    tree.enter(FOLDER)
    tree.enter("images/train/001")
    assert tree.exists(FOLDER)
    assert recorder.calls == [("mkdir", str(tmp_path / "images/train/001"))]


def test_parents_are_to_be_synced_until_they_were(tmp_path: Path) -> None:
    tree = Directories(str(tmp_path), Recorder().system())
    tree.enter(FOLDER)
    chain = [tmp_path / FOLDER, tmp_path / "images/train", tmp_path / "images", tmp_path]
    # A second thread, before the first has synced, must not rely on it.
    for _ in range(2):
        assert sorted(tree.to_sync([FOLDER])) == sorted(map(str, chain))
    tree.synced([FOLDER])
    assert tree.to_sync([FOLDER]) == [str(tmp_path / FOLDER)]
    tree.enter("images/train/001")
    both = [str(tmp_path / "images/train"), str(tmp_path / "images/train/001")]
    assert sorted(tree.to_sync(["images/train/001"])) == both


def test_a_forgotten_directory_is_looked_at_again(tmp_path: Path) -> None:
    tree = Directories(str(tmp_path), Recorder().system())
    tree.enter(FOLDER)
    tree.synced([FOLDER])
    tree.forget(FOLDER)
    assert len(tree.to_sync([FOLDER])) == 4


def test_a_missing_directory_is_not_made_by_asking(tmp_path: Path) -> None:
    tree = Directories(str(tmp_path), Recorder().system())
    assert not tree.exists(FOLDER)
    assert list(tmp_path.iterdir()) == []


def test_a_file_is_no_directory(tmp_path: Path) -> None:
    (tmp_path / "images").write_bytes(b"")
    tree = Directories(str(tmp_path), Recorder().system())
    assert not tree.exists("images")
    with pytest.raises(NotADirectoryError):
        tree.enter(FOLDER)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    folders=st.lists(
        st.lists(st.sampled_from("abc"), min_size=1, max_size=3).map("/".join), max_size=30
    )
)
def test_memory_is_bounded_and_costs_only_a_second_look(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folders: list[str]
) -> None:
    monkeypatch.setattr(directories, "MEMORY", 4)
    tree = Directories(str(tmp_path), Recorder().system())
    for folder in folders:
        tree.enter(folder)
        assert (tmp_path / folder).is_dir()
        assert str(tmp_path / folder) in tree.to_sync([folder])
        tree.synced([folder])
        assert tree.remembered <= 4

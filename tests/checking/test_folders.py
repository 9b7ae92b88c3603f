"""Going through folders: each name once, in an order that can be taken up anywhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from fetcher.checking import folders
from fetcher.checking.folders import behind, walk

NOTHING: frozenset[str] = frozenset()
TREE = {
    "top": ["1", "2.jpg"],
    "top/a": ["x.jpg"],
    "top/a-b": ["x.jpg", "y.jpg", "z.jpg"],
    "top/a/b": [],
    "top/a/c": ["deep.jpg"],
    "top/skipped": ["no.jpg"],
    "top/é": ["ü.jpg"],
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for folder, names in TREE.items():
        (tmp_path / folder).mkdir(parents=True, exist_ok=True)
        for name in names:
            (tmp_path / folder / name).touch()
    (tmp_path / "top/link").symlink_to(tmp_path / "top/a")
    return tmp_path


def every() -> list[str]:
    return sorted(
        [
            f"{folder}/{name}"
            for folder, names in TREE.items()
            for name in names
            if "sk" not in folder
        ]
        + ["top/link"]
    )


@pytest.mark.parametrize("piece", [1, 2, 3, 100])
def test_every_name_once_and_links_as_names(
    piece: int, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folders, "PIECE", piece)
    pieces = list(walk(str(root), "top", skip=frozenset({"top/skipped"}), wanted=lambda _: True))
    names = [name for part in pieces for name in part.names]
    assert sorted(name.path for name in names) == every()
    assert {name.path for name in names if not name.regular} == {"top/link"}
    assert all(len(part.names) <= piece for part in pieces)
    assert {name.stem for name in names} >= {"", "2", "deep", "ü"}


@pytest.mark.parametrize("piece", [1, 2, 3, 100])
def test_taken_up_behind_any_piece_nothing_is_left_out(
    piece: int, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folders, "PIECE", piece)
    skip = frozenset({"top/skipped"})
    seen: list[str] = []
    through: str | None = None
    for part in walk(str(root), "top", skip=skip, wanted=lambda _: True):
        seen += [name.path for name in part.names]
        through = part.through or through
        rest = walk(str(root), "top", skip=skip, wanted=lambda folder: behind(folder, through))  # noqa: B023
        names = {name.path for more in rest for name in more.names}
        assert names | set(seen) == set(every())


def test_a_top_that_is_none(root: Path) -> None:
    (walked,) = walk(str(root), "nowhere", skip=NOTHING, wanted=lambda _: True)
    assert walked == ([], None, [])

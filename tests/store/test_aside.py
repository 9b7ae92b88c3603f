"""What is put aside is all there afterwards, and nothing was in its way."""

from __future__ import annotations

from pathlib import Path

import pytest

from fetcher.errors import StoreError
from fetcher.store.aside import Aside

PATH = "images/train/abc/abcdef.jpg"
HERE = f"mismatched/.damaged/3/{PATH}"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / PATH).parent.mkdir(parents=True)
    (tmp_path / PATH).write_bytes(b"one")
    return tmp_path


def test_a_file_keeps_its_path_below(root: Path) -> None:
    assert Aside(str(root), 3).put(PATH) == HERE
    assert (root / HERE).read_bytes() == b"one"
    assert not (root / PATH).exists()
    assert Aside(str(root), 3).put(PATH) is None


def test_nothing_is_put_onto_something_else(root: Path) -> None:
    aside = Aside(str(root), 3)
    aside.put(PATH)
    for n, data in enumerate((b"two", b"three"), 2):
        (root / PATH).write_bytes(data)
        assert aside.put(PATH) == f"{HERE}.{n}"
        assert (root / f"{HERE}.{n}").read_bytes() == data
    assert (root / HERE).read_bytes() == b"one"


def test_a_link_on_the_way_is_moved_and_not_followed(root: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    (root / "images/train").rename(elsewhere)
    (root / "images/train").symlink_to(elsewhere)
    assert Aside(str(root), 3).put(PATH) == "mismatched/.damaged/3/images/train"
    assert (root / "mismatched/.damaged/3/images/train").is_symlink()
    assert (elsewhere / "abc/abcdef.jpg").read_bytes() == b"one"


def test_giving_back_never_replaces(root: Path) -> None:
    aside = Aside(str(root), 3)
    (root / "images/there.jpg").write_bytes(b"there")
    assert not aside.give_back(PATH, "images/there.jpg")
    assert (root / "images/there.jpg").read_bytes() == b"there"
    assert aside.give_back(PATH, "images/new/place.jpg")
    assert (root / "images/new/place.jpg").read_bytes() == b"one"


def test_a_link_in_place_of_the_quarantine_is_refused(root: Path, tmp_path: Path) -> None:
    (root / "mismatched").symlink_to(tmp_path)
    with pytest.raises(StoreError):
        Aside(str(root), 3).put(PATH)
    assert (root / PATH).read_bytes() == b"one"


@pytest.mark.parametrize(
    "way_out", ["../out.jpg", "images/../../out.jpg", "..", "/out.jpg", "a//b"]
)
def test_nothing_outside_is_touched(root: Path, tmp_path: Path, way_out: str) -> None:
    inner = root / "mirror"
    (inner / PATH).parent.mkdir(parents=True)
    (inner / PATH).write_bytes(b"inner")
    (tmp_path / "out.jpg").write_bytes(b"out")
    aside = Aside(str(inner), 3)
    for act in (
        lambda: aside.put(way_out),
        lambda: aside.take_out(f"{way_out}/x", (0, 1)),
        lambda: aside.give_back(way_out, "images/new.jpg"),
        lambda: aside.give_back(PATH, way_out),
    ):
        with pytest.raises(ValueError, match="not below"):
            act()
    assert (tmp_path / "out.jpg").read_bytes() == b"out"
    assert (inner / PATH).read_bytes() == b"inner"

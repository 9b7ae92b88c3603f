"""An image's path is in its folder, is its own, and is one that a file system takes."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from fetcher.policy.paths import id_fault, relative_path

GOOD = (
    "000b29ae4b9f2d01",
    "a",
    "photo_1-b.v2",
    "-rf",
    "two words",
    "café",
    "写真",
    "a:b*c?",
    "CON",
    "a..",
    "x" * 200,
    "é" * 100,
)

BAD = (
    ("", "empty"),
    ("a/b", "slash"),
    ("/", "slash"),
    ("../../etc/passwd", "slash"),
    ("a\\b", "backslash"),
    (".", "dot"),
    ("..", "dot"),
    (".hidden", "dot"),
    ("a\0", "control"),
    ("a\nb", "control"),
    ("a\x7f", "control"),
    ("a\x85b", "control"),
    ("a\u2028b", "control"),
    ("a\ud800", "control"),
    (" a", "white space"),
    ("a ", "white space"),
    ("a\u00a0", "white space"),
    ("x" * 201, "longer"),
    ("é" * 101, "longer"),
)


@pytest.mark.parametrize("image_id", GOOD)
def test_names_of_files(image_id: str) -> None:
    assert id_fault(image_id) is None


@pytest.mark.parametrize(("image_id", "says"), BAD)
def test_what_is_no_name(image_id: str, says: str) -> None:
    fault = id_fault(image_id)
    assert fault is not None
    assert says in fault


@given(st.text(min_size=1, max_size=120))
def test_what_passes_is_a_file_name(image_id: str) -> None:
    assume(id_fault(image_id) is None)
    assert image_id not in {".", ".."}
    assert not set(image_id) & {"/", "\0", "\n"}
    assert len(f"{image_id}.jpeg.part-00000000".encode()) <= 255


names = st.builds(str.__add__, st.sampled_from("a1é"), st.text("a. é", max_size=4)).filter(
    lambda name: id_fault(name) is None
)
images = st.tuples(st.just("") | names, names, st.sampled_from(["jpg", "png"]))


@given(images)
def test_paths_stay_in_their_folder(image: tuple[str, str, str]) -> None:
    subset, image_id, extension = image
    path = PurePosixPath(relative_path("images", subset, image_id, extension))
    assert not path.is_absolute()
    assert ".." not in path.parts
    assert path.parts[0] == "images"
    assert len(path.parts) == (4 if subset else 3)


@given(images, images)
def test_paths_never_meet(one: tuple[str, str, str], other: tuple[str, str, str]) -> None:
    """Neither as files, nor as one's file and another's folder."""
    assume(one != other)
    first = PurePosixPath(relative_path("images", *one))
    second = PurePosixPath(relative_path("images", *other))
    assert first != second
    assert first not in second.parents


def test_shape() -> None:
    assert relative_path("images", "train", "000b29ae4b9f2d01", "jpg") == (
        "images/train/000/000b29ae4b9f2d01.jpg"
    )
    assert relative_path("mismatched", "", "ab", "png") == "mismatched/ab/ab.png"


@pytest.mark.parametrize("image_id", [name for name in GOOD if "/" not in name])
def test_a_file_system_takes_them(tmp_path: Path, image_id: str) -> None:
    path = tmp_path / relative_path("images", "train", image_id, "jpeg")
    path.parent.mkdir(parents=True)
    path.write_bytes(b"x")
    assert path.read_bytes() == b"x"

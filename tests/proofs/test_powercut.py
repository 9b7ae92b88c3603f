"""The judge of traces: the right order passes, and every other order is found out."""

from __future__ import annotations

import hashlib
import sqlite3
from base64 import b64encode
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Final

import pytest

from scripts.proofs import powercut
from scripts.proofs.trace import Call

DIR: Final = Path("/place/mirror")
TEMPORARY: Final = f"{DIR}/.partial/1"
FINAL: Final = f"{DIR}/images/a/1.jpg"
BYTES: Final = b"the image"


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A file with a view ``images`` that says that the image is kept."""
    path = tmp_path_factory.mktemp("made") / "manifest.sqlite"
    md5 = b64encode(hashlib.md5(BYTES, usedforsecurity=False).digest()).decode()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(
            "CREATE VIEW images AS SELECT 'images/a/1.jpg' AS path, 'verified' AS state, "
            f"{len(BYTES)} AS actual_size, '{md5}' AS actual_md5"
        )
    return path.read_bytes()


def steps(manifest: bytes) -> dict[str, tuple[str, tuple[str, ...], bytes, tuple[str, ...]]]:
    """Calls by what they are for, in the right order."""
    row = f"{DIR}/manifest.sqlite"
    return {
        "make DIR": ("mkdir", (f"{DIR}",), b"", ("0755",)),
        "sync place": ("fsync", (f"{DIR.parent}",), b"", ()),
        "make .partial": ("mkdir", (f"{DIR}/.partial",), b"", ("0755",)),
        "open": ("openat", (TEMPORARY,), b"", ("O_WRONLY|O_CREAT",)),
        "write": ("write", (TEMPORARY,), BYTES[:4], ()),
        "write the rest": ("write", (TEMPORARY,), BYTES[4:], ()),
        "sync": ("fsync", (TEMPORARY,), b"", ()),
        "make images": ("mkdir", (f"{DIR}/images",), b"", ("0755",)),
        "make folder": ("mkdir", (f"{DIR}/images/a",), b"", ("0755",)),
        "rename": ("rename", (TEMPORARY, FINAL), b"", ()),
        "sync folder": ("fsync", (f"{DIR}/images/a",), b"", ()),
        "sync images": ("fsync", (f"{DIR}/images",), b"", ()),
        "sync DIR": ("fsync", (f"{DIR}",), b"", ()),
        "open manifest": ("openat", (row,), b"", ("O_RDWR|O_CREAT",)),
        "row": ("pwrite64", (row,), manifest, (str(len(manifest)), "0")),
    }


def judged(manifest: bytes, order: Iterable[str]) -> tuple[str, ...]:
    known = steps(manifest)
    calls = [
        Call(name, paths, data, words, len(data), n, n)
        for n, (name, paths, data, words) in enumerate(known[step] for step in order)
    ]
    return powercut.judge(calls, DIR).breaches


def moved(manifest: bytes, step: str, behind: str) -> list[str]:
    order = [name for name in steps(manifest) if name != step]
    order.insert(order.index(behind) + 1, step)
    return order


BYTES_LATE: Final = "law 2: images/a/1.jpg is in the manifest before its bytes are durable"
NAME_LATE: Final = "law 2: images/a/1.jpg is in the manifest before its name is durable"
NAMED_EARLY: Final = "law 3: images/a/1.jpg is named before its bytes are durable"


def test_the_right_order(manifest: bytes) -> None:
    assert judged(manifest, steps(manifest)) == ()


@pytest.mark.parametrize("step", ["sync place", "sync folder", "sync images", "sync DIR"])
def test_a_row_before_any_name_above_it_is_durable(step: str, manifest: bytes) -> None:
    assert judged(manifest, moved(manifest, step, "row")) == (NAME_LATE,)


@pytest.mark.parametrize(
    ("step", "behind", "found"),
    [
        ("write the rest", "sync", {NAMED_EARLY, BYTES_LATE}),
        ("sync folder", "make folder", {NAME_LATE}),
        ("sync images", "make images", {NAME_LATE}),
        ("sync DIR", "make DIR", {NAME_LATE}),
    ],
)
def test_a_sync_that_comes_too_early(
    step: str, behind: str, found: set[str], manifest: bytes
) -> None:
    assert set(judged(manifest, moved(manifest, step, behind))) == found


def test_a_name_before_the_bytes(manifest: bytes) -> None:
    without = [step for step in steps(manifest) if step != "sync"]
    assert set(judged(manifest, without)) == {NAMED_EARLY, BYTES_LATE}


@pytest.mark.parametrize("everything", [True, False])
def test_a_sync_covers_what_had_ended_when_it_began(everything: bool, manifest: bytes) -> None:  # noqa: FBT001  a case
    order = list(steps(manifest))
    known = steps(manifest)
    calls = []
    for n, step in enumerate(order):
        name, paths, data, words = known[step]
        if step == "sync" and everything:
            name, paths = "syncfs", (str(DIR),)
        began = n - 1.5 if step == "sync" else n  # before the rest was written
        calls.append(Call(name, paths, data, words, len(data), int(2 * began), 2 * n))
    assert NAMED_EARLY in powercut.judge(calls, DIR).breaches


def test_a_sync_that_ends_later_but_began_before_takes_nothing_back(manifest: bytes) -> None:
    """Two threads: syncfs begins when half is written, and ends after the other's fsync."""
    calls = []
    for n, (name, paths, data, words) in enumerate(steps(manifest).values()):
        calls.append(Call(name, paths, data, words, len(data), 2 * n, 2 * n))
    half, whole = (list(steps(manifest)).index(step) for step in ("write", "sync"))
    calls.append(Call("syncfs", (str(DIR),), b"", (), 0, 2 * half + 1, 2 * whole + 1))
    assert powercut.judge(calls, DIR).breaches == ()


def test_what_an_earlier_run_left_is_not_durable_until_it_is_synced(manifest: bytes) -> None:
    before: dict[str, bytes | None] = {"images": None, "images/a": None, "images/a/1.jpg": BYTES}
    known = steps(manifest)
    file = ("fsync", (FINAL,), b"", ())
    folders = [known[step] for step in ("sync folder", "sync images", "sync DIR")]
    rest = [known[step] for step in ("open manifest", "row")]
    for made, found in (
        ([file, *folders, *rest], ()),
        ([*folders, *rest], (BYTES_LATE,)),
        ([file, *rest], (NAME_LATE,)),
    ):
        calls = [
            Call(name, paths, data, words, len(data), n, n)
            for n, (name, paths, data, words) in enumerate(made)
        ]
        assert powercut.judge(calls, DIR, before).breaches == found


def test_a_call_that_is_not_understood_is_no_proof() -> None:
    calls = [Call("fallocate", (FINAL,), b"", (), 0, 0, 0)]
    assert powercut.judge(calls, DIR).breaches == (
        "fallocate of images/a/1.jpg: not known what that does",
    )

"""A result is there whole or not at all, and never inside of DIR."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from fetcher.errors import Exit, StoreError, UsageError
from fetcher.report.output import STDOUT, refuse_inside, whole_file


def test_a_file_appears_when_it_is_whole(tmp_path: Path) -> None:
    target = tmp_path / "report.html"
    target.write_text("old")
    with whole_file(target) as file:
        file.write(b"new")
        assert target.read_text() == "old"
    assert target.read_text() == "new"
    assert list(tmp_path.iterdir()) == [target]
    mask = os.umask(0)
    os.umask(mask)
    assert target.stat().st_mode & 0o777 == 0o666 & ~mask


def test_what_fails_leaves_the_old_one(tmp_path: Path) -> None:
    target = tmp_path / "report.html"
    target.write_text("old")

    def fail() -> None:
        with whole_file(target) as file:
            file.write(b"half of")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_folder_that_is_not_there_is_a_clear_error(tmp_path: Path) -> None:
    with (
        pytest.raises(StoreError, match="cannot be written: No such file"),
        whole_file(tmp_path / "no" / "report.html"),
    ):
        pass


@pytest.mark.parametrize("name", ["report.html", "images/x.csv", "manifest.sqlite", "../mirror/x"])
def test_nothing_is_written_inside_of_dir(name: str, tmp_path: Path) -> None:
    directory = tmp_path / "mirror"
    directory.mkdir()
    manifest = tmp_path / "m.sqlite"
    with pytest.raises(UsageError, match="lies inside"):
        refuse_inside(directory, manifest, directory / name)
    (tmp_path / "link").symlink_to(directory)
    with pytest.raises(UsageError, match="lies inside"):
        refuse_inside(directory, manifest, tmp_path / "link" / "x.csv")
    with pytest.raises(UsageError, match="is the manifest"):
        refuse_inside(directory, manifest, directory / ".." / "m.sqlite")
    refuse_inside(directory, manifest, tmp_path / "mirror.html")
    refuse_inside(directory, manifest, STDOUT)


def test_standard_output_gets_bytes(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    for binary in (False, True):
        with whole_file(STDOUT, binary=binary) as file:
            file.write(b"\x00\xff")
    assert capfdbinary.readouterr().out == b"\x00\xff" * 2


def test_a_terminal_is_shown_nothing_that_it_would_act_upon(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    with whole_file(STDOUT) as file:
        file.write("a\tb\x1b[2J\u202e ä\n".encode())
    assert capsys.readouterr().out == "a\tb\\x1b[2J\\u202e ä\n"
    with pytest.raises(UsageError, match="terminal"), whole_file(STDOUT, binary=True):
        pass


def test_a_reader_that_leaves_ends_it_quietly(monkeypatch: pytest.MonkeyPatch) -> None:
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "w") as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        with pytest.raises(SystemExit) as ended, whole_file(STDOUT) as file:
            file.write(b"x" * 100_000)
        monkeypatch.undo()
    assert ended.value.code == Exit.STOPPED

"""Traces are read whole, call by call, or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts.proofs.trace import Call, TraceError, read


def hexed(text: str) -> str:
    return "".join(f"\\x{byte:02x}" for byte in text.encode())


A, B, CWD = hexed("/d/a"), hexed('/d/b "ü"'), hexed("/d")


@pytest.mark.parametrize(
    ("line", "call"),
    [
        (
            f'7 openat(AT_FDCWD<{CWD}>, "{hexed("a")}", O_WRONLY|O_CREAT|O_EXCL, 0644) = 3<{A}>',
            Call("openat", ("/d/a",), b"", ("O_WRONLY|O_CREAT|O_EXCL", "0644"), 3, 0, 0),
        ),
        (
            f'7 openat(AT_FDCWD<{CWD}>, "{B}", O_RDONLY) = 3<{B}>',
            Call("openat", ('/d/b "ü"',), b"", ("O_RDONLY",), 3, 0, 0),
        ),
        (
            f'7 pwrite64(3<{A}>, "{hexed("1)=,")}", 4, 4096) = 4',
            Call("pwrite64", ("/d/a",), b"1)=,", ("4", "4096"), 4, 0, 0),
        ),
        (
            f'7 writev(3<{A}>, [{{iov_base="{hexed("1")}"}}, {{iov_base="{hexed("23")}"}}], 2) = 3',
            Call(
                "writev", ("/d/a",), b"123", ("[{iov_base=", "}", "{iov_base=", "}]", "2"), 3, 0, 0
            ),
        ),
        (
            f'7 rename("{A}", "{B}") = 0',
            Call("rename", ("/d/a", '/d/b "ü"'), b"", (), 0, 0, 0),
        ),
        (
            f'7 renameat(3<{CWD}>, "{hexed("a")}", AT_FDCWD<{CWD}>, "{B}") = 0',
            Call("renameat", ("/d/a", '/d/b "ü"'), b"", (), 0, 0, 0),
        ),
        (f"7 fsync(3<{A}>)    = 0", Call("fsync", ("/d/a",), b"", (), 0, 0, 0)),
        (f"7 close(3<{A}>(deleted)) = 0", Call("close", ("/d/a",), b"", (), 0, 0, 0)),
        (f"7 ftruncate(3<{A}>, 10) = 0", Call("ftruncate", ("/d/a",), b"", ("10",), 0, 0, 0)),
    ],
)
def test_a_call(line: str, call: Call) -> None:
    assert list(read([line])) == [call]


@pytest.mark.parametrize(
    "line",
    [
        f'7 mkdir("{A}", 0755) = -1 EEXIST (File exists)',
        f"7 fsync(3<{A}>) = ?",
        "7 +++ killed by SIGKILL +++",
        "7 --- SIGCHLD {si_signo=SIGCHLD} ---",
    ],
)
def test_what_changed_nothing_is_left_out(line: str) -> None:
    assert list(read([line])) == []


def test_halves_are_put_together_and_calls_come_in_the_order_of_their_ends() -> None:
    lines = [
        f"7 fsync(3<{A}> <unfinished ...>",
        f'8 write(4<{B}>, "{hexed("xy")}", 2 <unfinished ...>',
        f"9 close(5<{A}>) = 0",
        "8 <... write resumed>)  = 2",
        "7 <... fsync resumed>)  = 0",
    ]
    assert [(call.name, call.began, call.ended) for call in read(lines)] == [
        ("close", 2, 2),
        ("write", 1, 3),
        ("fsync", 0, 4),
    ]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (f'7 write(3<{A}>, "{hexed("x")}"..., 9) = 9', "was cut"),
        ("7 <... fsync resumed>) = 0", "had not begun"),
        (f"7 fsync(3<{A}>", "has no result"),
        ("strace: something", "no call"),
    ],
)
def test_what_cannot_be_read_is_no_proof(line: str, words: str) -> None:
    with pytest.raises(TraceError, match=words):
        list(read([line]))


def test_a_trace_that_ends_in_the_middle_of_a_call(tmp_path: Path) -> None:
    """A killed process: what it was in may or may not have happened."""
    path = tmp_path / "trace"
    path.write_text(f"7 fsync(3<{A}> <unfinished ...>\n7 +++ killed by SIGKILL +++\n")
    with path.open() as lines:
        assert list(read(lines)) == []

"""System calls of a traced process, read from what ``strace -f -y -xx`` wrote.

``-xx`` writes every string in hex, so no byte of a path or of data can be taken for punctuation;
``-y`` writes the path behind each descriptor. A call that others came in between is written in two
halves, which are put together again: when it began and when it ended are two different moments.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

CALLS: Final = (
    *("open", "openat", "creat", "mkdir", "mkdirat", "rmdir", "unlink", "unlinkat"),
    *("write", "pwrite64", "writev", "pwritev", "pwritev2", "copy_file_range", "sendfile"),
    *("ftruncate", "truncate", "fallocate"),
    *("rename", "renameat", "renameat2", "link", "linkat", "symlink", "symlinkat"),
    *("fsync", "fdatasync", "sync", "syncfs", "sync_file_range"),
)
"""Everything that changes files and names, or says when they are on the disk."""
_LONGEST: Final = 1 << 20
"""Bytes of a string, beyond which strace would cut it."""
_OPTIONS: Final = (
    *("-f", "--seccomp-bpf", "-y", "-xx", "-s", str(_LONGEST)),
    *("-e", f"trace={','.join(CALLS)}"),
)

_HEX: Final = r"(?:\\x[0-9a-f]{2})*"
_BEGIN: Final = re.compile(r"(\d+) +(\w+)\((.*?)( <unfinished \.\.\.>)?$")
_RESUME: Final = re.compile(r"(\d+) +<\.\.\. (\w+) resumed>(.*)$")
_END: Final = re.compile(rf"(.*)\) += (-?\d+|\?)(?:<({_HEX})>)?.*$")
_ARGUMENT: Final = re.compile(
    rf'\s*(?:"(?P<text>{_HEX})"(?P<cut>\.\.\.)?|\w+<(?P<path>{_HEX})>(?:\(deleted\))?'
    r'|(?P<word>[^",<]+))'
)


class TraceError(ValueError):
    """A line that cannot be what it seems to be: nothing may be concluded from such a trace."""


@dataclass(frozen=True, slots=True)
class Call:
    """One call that succeeded. ``began`` and ``ended`` are line numbers: an order, not a time."""

    name: str
    paths: tuple[str, ...]
    """Of descriptors and of path arguments, in the order in which they were given."""
    data: bytes
    words: tuple[str, ...]
    """The arguments that are neither: numbers and flags."""
    result: int
    began: int
    ended: int


def why_not() -> str | None:
    """Why nothing can be traced here, if so."""
    strace = shutil.which("strace")
    if strace is None:
        return "strace is not installed"
    tried = subprocess.run(  # noqa: S603  found in the path
        [strace, *_OPTIONS, "-o", "/dev/null", "true"], check=False, capture_output=True, text=True
    )
    return f"strace may not trace: {tried.stderr.strip()}" if tried.returncode else None


def command(output: Path) -> list[str]:
    """What to put before a command, so that it is traced into ``output``."""
    return ["strace", *_OPTIONS, "-o", str(output)]


def read(lines: Iterable[str]) -> Iterator[Call]:
    """The calls that succeeded, in the order in which they ended. Raises ``TraceError``."""
    begun: dict[str, tuple[int, str, str]] = {}
    for number, raw in enumerate(lines):
        line = raw.rstrip("\n")
        if (resumed := _RESUME.match(line)) is not None:
            thread, name, rest = resumed.groups()
            began, first, arguments = begun.pop(thread, (0, "", ""))
            if first != name:
                raise TraceError(f"line {number + 1}: {name} ends, and had not begun")
            yield from _ended(name, arguments + rest, began, number)
        elif (match := _BEGIN.match(line)) is not None:
            thread, name, arguments, unfinished = match.groups()
            if unfinished:
                begun[thread] = (number, name, arguments)
            else:
                yield from _ended(name, arguments, number, number)
        elif not re.match(r"\d+ +(\+\+\+|---) ", line):
            raise TraceError(f"line {number + 1} is no call: {line[:80]}")


def _ended(name: str, text: str, began: int, ended: int) -> Iterator[Call]:
    match = _END.match(text)
    if match is None:
        raise TraceError(f"line {ended + 1}: {name} has no result")
    arguments, result, _ = match.groups()
    if result == "?" or int(result) < 0:  # killed in it, or refused
        return
    paths: list[str] = []
    data: list[bytes] = []
    words: list[str] = []
    for found in _ARGUMENT.finditer(arguments):
        if found["cut"]:
            raise TraceError(f"line {ended + 1}: the data of {name} was cut")
        if found["path"] is not None:
            paths.append(_bytes(found["path"]).decode())
        elif found["text"] is not None:
            data.append(_bytes(found["text"]))
        elif word := found["word"].strip():
            words.append(word)
    if "write" not in name:  # then strings are paths
        paths, data = _resolved(paths, data), []
    yield Call(name, tuple(paths), b"".join(data), tuple(words), int(result), began, ended)


def _resolved(directories: Sequence[str], names: Sequence[bytes]) -> list[str]:
    """Path arguments, each below the descriptor of its ``…at`` call unless it is absolute; or the
    descriptors' own paths where there are no others.
    """
    if not names:
        return list(directories)
    below = [*directories, *[""] * len(names)]
    return [str(Path(base, name.decode())) for base, name in zip(below, names, strict=False)]


def _bytes(escaped: str) -> bytes:
    return bytes.fromhex(escaped.replace("\\x", ""))

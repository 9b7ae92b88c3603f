"""What a power cut could leave at any moment of a traced run: laws 2 and 3, against the worst disk
that POSIX allows.

A trace is played back on two pictures of the same place. ``now`` is what a process sees.
``durable`` is what must be on the disk: the bytes of a file as they were when the last fsync of it,
or syncfs, began, and the names in a directory as they were when the directory's own began. All else
may or may not be there after a power cut, in any combination. So the worst case is the newest
manifest over the oldest files, and that is what is looked at, at every write to the manifest:

    every image that the manifest says is kept has its bytes and its name, with the names of all
    directories above it, among what is durable; and no file is given its final name before its
    bytes are.

That is the order write -> sync -> rename -> sync of the directory -> row, and nothing weaker. When
a call takes effect is taken against us, too: what is written for the manifest counts from the
call's beginning, what is written for an image from its end, and a sync covers what had ended when
it began.
"""

from __future__ import annotations

import hashlib
import sqlite3
import tempfile
from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from scripts.proofs.trace import Call

KEPT: Final = ("images/", "mismatched/")
_MANIFEST: Final = "manifest.sqlite"
_APART: Final = ("-shm", ".lock")
"""Files beside the manifest that hold none of it."""
_SYNCS: Final = frozenset({"fsync", "fdatasync", "syncfs", "sync"})
_WRITES: Final = frozenset({"write", "pwrite64"})
_LEAST_PAGE: Final = 512
"""Bytes. What is less is the header of a frame in the log, which says nothing without its page."""
_LOOKED_AT: Final = (
    "SELECT path, actual_size, actual_md5 FROM images "
    "WHERE path IS NOT NULL AND state IN ('verified', 'unverified', 'mismatched')"
)


@dataclass(eq=False, slots=True)
class Node:
    """A file or a directory, under whatever name."""

    is_directory: bool
    data: bytearray = field(default_factory=bytearray)
    durable: bytes | None = None
    """``None``: never synced; its bytes may be anything."""
    as_of: int = -1
    """When the sync began that ``durable`` is of; one that began before and ended later has nothing
    newer to say."""


@dataclass(frozen=True, slots=True)
class Report:
    breaches: tuple[str, ...]
    images: int
    """That the manifest said were kept, in the end."""
    moments: int
    """At which the manifest was looked at."""
    files: dict[str, bytes]
    """What the place holds at the end, by the trace; relative to DIR."""


def standing(directory: Path) -> dict[str, bytes | None]:
    """What lies in DIR, relative to it: the bytes of files, ``None`` for directories."""
    return {
        str(path.relative_to(directory)): None if path.is_dir() else path.read_bytes()
        for path in directory.rglob("*")
    }


def judge(
    calls: Iterable[Call], directory: Path, before: Mapping[str, bytes | None] | None = None
) -> Report:
    """Play ``calls`` back. ``directory`` is DIR, and ``before`` what was ``standing`` there when
    the traced run began; of that nothing but DIR itself is taken to be durable.
    """
    disk = _Disk(str(directory), before)
    found: list[str] = []
    for _, call, begins in _moments(calls):
        found += disk.begin(call) if begins else disk.end(call)
    return Report(tuple(dict.fromkeys(found)), len(disk.said), disk.looks, disk.files())


def _moments(calls: Iterable[Call]) -> list[tuple[int, Call, bool]]:
    """Beginnings and ends in the order of the trace; a call that nothing came between, as both."""
    moments = []
    for call in calls:
        moments += [(2 * call.began, call, True), (2 * call.ended + 1, call, False)]
    return sorted(moments, key=lambda moment: moment[0])


class _Disk:
    """Both pictures of DIR and of its name; whatever happens elsewhere is left out."""

    def __init__(self, root: str, before: Mapping[str, bytes | None] | None) -> None:
        self._root = root
        self._names: dict[str, Node] = {}
        self._durable_names: dict[str, Node] = {}
        self._names_as_of: dict[str, int] = {}
        if before is not None:
            self._names[root] = self._durable_names[root] = Node(is_directory=True)
            for name, data in before.items():
                self._names[f"{root}/{name}"] = Node(data is None, bytearray(data or b""))
        self._covered: dict[int, tuple[dict[Node, bytes], dict[str, Node], set[str]]] = {}
        """By a sync under way: bytes, names, and the directories whose names it covers."""
        self.said: set[str] = set()
        """Paths that the manifest has said are kept."""
        self.looks = 0

    def files(self) -> dict[str, bytes]:
        return {
            path.removeprefix(f"{self._root}/"): bytes(node.data)
            for path, node in self._names.items()
            if not node.is_directory
        }

    # What each call does, at its beginning and at its end.

    def begin(self, call: Call) -> Iterator[str]:
        if call.name in _SYNCS:
            self._begin_sync(call)
        elif call.name in _WRITES and self._of_manifest(call.paths[0]):
            self.wrote(call.paths, call)
            if len(call.data) >= _LEAST_PAGE:
                yield from self._look()
        elif call.name.startswith("rename") and self._kept(call.paths[1]):
            node = self._names.get(call.paths[0])
            if node is None or node.durable != bytes(node.data):
                yield f"law 3: {self._short(call.paths[1])} is named before its bytes are durable"

    def end(self, call: Call) -> Iterator[str]:
        if call.name in _SYNCS:
            self._end_sync(call)
            return
        paths = [path for path in call.paths if self._is_ours(path)]
        change = _CHANGES.get(call.name)
        if not paths or self._is_told_apart(paths[0], call):
            return
        if change is None:
            yield f"{call.name} of {self._short(paths[0])}: not known what that does"
        else:
            change(self, paths, call)

    def _is_told_apart(self, path: str, call: Call) -> bool:
        """What is written to the manifest was taken in at the call's beginning."""
        return call.name in _WRITES and self._of_manifest(path)

    def opened(self, paths: Sequence[str], call: Call) -> None:
        path = paths[-1]
        flags = call.words[0].split("|")
        if path not in self._names and "O_CREAT" in flags:
            self._names[path] = Node(is_directory=False)
        if "O_TRUNC" in flags:
            self._names[path].data.clear()

    def made(self, paths: Sequence[str], _: Call) -> None:
        self._names[paths[0]] = Node(is_directory=True)

    def renamed(self, paths: Sequence[str], _: Call) -> None:
        self._names[paths[1]] = self._names.pop(paths[0])

    def removed(self, paths: Sequence[str], _: Call) -> None:
        self._names.pop(paths[0], None)

    def cut(self, paths: Sequence[str], call: Call) -> None:
        self._resize(self._names[paths[0]], int(call.words[0]))

    def wrote(self, _: Sequence[str], call: Call) -> None:
        node = self._names[call.paths[0]]
        data = call.data[: call.result]
        # Whoever writes without an offset has just opened the file, or goes on at its end.
        at = int(call.words[-1]) if call.name == "pwrite64" else len(node.data)
        self._resize(node, max(len(node.data), at))
        node.data[at : at + len(data)] = data

    def _resize(self, node: Node, size: int) -> None:
        del node.data[size:]
        node.data.extend(bytes(size - len(node.data)))

    def _begin_sync(self, call: Call) -> None:
        everything = call.name in {"sync", "syncfs"}
        node = None if everything else self._names.get(call.paths[0])
        nodes = self._names.values() if everything else [node] if node is not None else []
        data = {each: bytes(each.data) for each in nodes}
        if everything:
            folders = {_above(path) for path in [*self._names, *self._durable_names]}
        else:
            folders = {call.paths[0]}
        names = {path: each for path, each in self._names.items() if _above(path) in folders}
        self._covered[call.began] = (data, names, folders)

    def _end_sync(self, call: Call) -> None:
        data, names, folders = self._covered.pop(call.began)
        for node, content in data.items():
            if node.as_of < call.began:
                node.durable, node.as_of = content, call.began
        newer = {folder for folder in folders if self._names_as_of.get(folder, -1) < call.began}
        self._names_as_of.update(dict.fromkeys(newer, call.began))
        for path in [path for path in self._durable_names if _above(path) in newer]:
            if path not in names:
                del self._durable_names[path]
        self._durable_names |= {path: each for path, each in names.items() if _above(path) in newer}

    # The law.

    def _look(self) -> Iterator[str]:
        for path, size, md5 in self._rows():
            self.said.add(path)
            full = f"{self._root}/{path}"
            node = self._durable_names.get(full)
            if node is None or not self._stands(_above(full)):
                yield f"law 2: {path} is in the manifest before its name is durable"
            elif node.durable is None or (len(node.durable), _md5(node.durable)) != (size, md5):
                yield f"law 2: {path} is in the manifest before its bytes are durable"

    def _stands(self, folder: str) -> bool:
        while folder != self._root:
            if folder not in self._durable_names:
                return False
            folder = _above(folder)
        return self._root in self._durable_names

    def _rows(self) -> list[tuple[str, int, str]]:
        """What the manifest says is kept, if all that was written of it reaches the disk."""
        self.looks += 1
        with tempfile.TemporaryDirectory() as place:
            for path, node in self._names.items():
                if self._of_manifest(path):
                    Path(place, Path(path).name).write_bytes(node.data)
            with closing(sqlite3.connect(Path(place, _MANIFEST))) as connection:
                if not connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]:
                    return []
                return connection.execute(_LOOKED_AT).fetchall()

    def _is_ours(self, path: str) -> bool:
        return path == self._root or path.startswith(f"{self._root}/")

    def _of_manifest(self, path: str) -> bool:
        return path.startswith(f"{self._root}/{_MANIFEST}") and not path.endswith(_APART)

    def _kept(self, path: str) -> bool:
        return self._is_ours(path) and self._short(path).startswith(KEPT)

    def _short(self, path: str) -> str:
        return path.removeprefix(f"{self._root}/")


_CHANGES: Final[dict[str, Callable[[_Disk, Sequence[str], Call], None]]] = {
    "open": _Disk.opened,
    "openat": _Disk.opened,
    "write": _Disk.wrote,
    "pwrite64": _Disk.wrote,
    "ftruncate": _Disk.cut,
    "mkdir": _Disk.made,
    "mkdirat": _Disk.made,
    "rename": _Disk.renamed,
    "renameat": _Disk.renamed,
    "renameat2": _Disk.renamed,
    "unlink": _Disk.removed,
    "unlinkat": _Disk.removed,
    "rmdir": _Disk.removed,
}
"""What is not here is not understood, and no proof."""


def _above(path: str) -> str:
    return path.rpartition("/")[0]


def _md5(data: bytes) -> str:
    return b64encode(hashlib.md5(data, usedforsecurity=False).digest()).decode()

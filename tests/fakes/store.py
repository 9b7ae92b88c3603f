"""A store in memory, which can be told to fail.

Spool files are the exception: a transport writes them, so they are real files in ``root``.
"""

from __future__ import annotations

import errno
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

from fetcher.errors import StoreError
from fetcher.model import Asset, Body, Receipt
from fetcher.ports import Staged
from fetcher.store.names import PARTIAL, check_key, check_name
from fetcher.store.trouble import store_error, wrong_length

DISK_FULL = errno.ENOSPC


class MemoryStore:
    """``files`` by key, ``temporaries`` by path, ``batches`` of keys as they were published.

    ``fail(at, number)``: the ``at``-th call of ``stage`` and ``publish`` from now on, counted from
    0, fails with that errno.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.files: dict[str, bytes] = {}
        self.temporaries: dict[Path, bytes] = {}
        self.batches: list[tuple[str, ...]] = []
        self._failures: dict[int, int] = {}
        self._calls = 0
        self._lock = threading.Lock()
        (root / PARTIAL).mkdir(parents=True, exist_ok=True)

    def fail(self, at: int, number: int = DISK_FULL) -> None:
        self._failures[self._calls + at] = number

    def spool_path(self, name: str) -> Path:
        check_name(name)
        return self.root / PARTIAL / name

    def stage(
        self, key: str, body: Body, *, name: str, about: tuple[Asset, Receipt] | None = None
    ) -> Staged:
        del about
        check_key(key)
        check_name(name)
        path = body.path if body.path is not None else self.spool_path(name)
        if body.path is not None:
            self._own(path)
        with self._lock:
            try:
                self._call(path)
                self.temporaries[path] = self._bytes(body)
            except StoreError:
                self._drop(path)
                raise
        return Staged(str(path), key, body.size)

    def publish(self, batch: Sequence[Staged]) -> None:
        if not batch:
            return
        with self._lock:
            try:
                self._call(self.root)
            except StoreError:
                for staged in batch:
                    self._drop(Path(staged.temporary))
                raise
            for staged in batch:
                self.files[staged.key] = self.temporaries[Path(staged.temporary)]
                self._drop(Path(staged.temporary))
            self.batches.append(tuple(staged.key for staged in batch))

    def confirm(self, keys: Sequence[str]) -> None:
        missing = [key for key in keys if key not in self.files]
        if missing:
            raise store_error(FileNotFoundError(errno.ENOENT, ""), missing[0])

    def find(self, key: str) -> Path | None:
        check_key(key)
        return self.root / key if key in self.files else None

    def discard(self, path: Path) -> None:
        self._own(path)
        with self._lock:
            self._drop(path)

    def leftovers(self) -> Iterator[Path]:
        yield from sorted({*self.temporaries, *(self.root / PARTIAL).iterdir()})

    def is_fresh(self) -> bool:
        return not any(key.startswith("images/") for key in self.files)

    def _call(self, path: Path) -> None:
        call, self._calls = self._calls, self._calls + 1
        if (number := self._failures.pop(call, None)) is not None:
            raise store_error(OSError(number, ""), str(path))

    def _bytes(self, body: Body) -> bytes:
        if body.path is None:
            if body.data is None or len(body.data) != body.size:
                raise ValueError("a body has its data or its path, and says its size")
            return bytes(body.data)
        data = self.temporaries.get(body.path)
        if data is None:
            try:
                data = body.path.read_bytes()
            except OSError as error:
                raise store_error(error, str(body.path)) from error
        if len(data) != body.size:
            raise wrong_length(str(body.path), len(data), body.size)
        return data

    def _own(self, path: Path) -> None:
        if path.parent != self.root / PARTIAL:
            raise ValueError(f"{path} is not a temporary file of this store")

    def _drop(self, path: Path) -> None:
        self.temporaries.pop(path, None)
        path.unlink(missing_ok=True)

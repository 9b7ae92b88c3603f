"""``ports.Store`` in memory: every step can fail, and every step can be the last.

After a kill, what was written is there, and what was being written is torn. After a power cut, what
was not synced is lost, torn, or there: chance decides.
"""

from __future__ import annotations

import errno
import io
import random
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PosixPath
from types import SimpleNamespace
from typing import Any

from fetcher.model import Asset, Body, Receipt
from fetcher.ports import Staged
from fetcher.store.names import PARTIAL, check_key, check_name
from fetcher.store.trouble import store_error, wrong_length
from tests.simulation.life import Life, WorkerLife
from tests.simulation.trace import Trace

ROOT = "/dir"
SPOOLS = f"{ROOT}/{PARTIAL}"
NUMBERS = {"disk-full": errno.ENOSPC, "disk-error": errno.EIO}


class DiskPath(PosixPath):
    """A path that reads this disk instead of the machine's."""

    disk: Disk

    def stat(self, *, follow_symlinks: bool = True) -> Any:
        del follow_symlinks
        return SimpleNamespace(st_size=len(self.disk.read(str(self), "stat")))

    def open(self, *_: Any, **__: Any) -> Any:
        return io.BytesIO(self.disk.read(str(self), "open"))


class Disk:
    """``files`` by key; ``temporaries``, spool files included, by path."""

    def __init__(self, trace: Trace, chance: random.Random) -> None:
        self.files: dict[str, bytes] = {}
        self.temporaries: dict[str, bytes] = {}
        self._unsynced: set[str] = set()
        """Temporaries, and keys of names that were given and not synced yet."""
        self._torn: dict[str, bytes] = {}
        self._trace = trace
        self._chance = chance
        self._life = Life.none()

    def begin(self, life: Life) -> None:
        """Another run begins."""
        self._life = life
        self._unsynced = set(self.temporaries)

    def path(self, text: str) -> DiskPath:
        path = DiskPath(text)
        path.disk = self
        return path

    # For spooled bodies.

    def read(self, text: str, step: str = "read") -> bytes:
        """Raises ``OSError``."""
        self._step(step, text)
        if text.startswith(f"{SPOOLS}/"):
            found = self.temporaries.get(text)
        else:
            found = self.files.get(text.removeprefix(f"{ROOT}/"))
        if found is None:
            raise FileNotFoundError(errno.ENOENT, "no such file", text)
        return found

    def spool(self, text: str, data: bytes) -> None:
        """Raises ``OSError``, and then nothing of it is left."""
        try:
            self._write(text, data)
        except OSError:
            self.temporaries.pop(text, None)
            raise

    def remove(self, text: str) -> None:
        self._life.check()
        self.temporaries.pop(text, None)

    def tear(self, text: str, data: bytes) -> None:
        """What a body that was being spooled leaves behind when the run is cut off."""
        self.temporaries[text] = data

    def lose(self) -> None:
        """The power fails: what was not synced may be whole, torn, or gone."""
        for name in sorted(self._unsynced):
            place = self.temporaries if name in self.temporaries else self.files
            data = place.pop(name, None)
            if data is None:
                continue
            match self._chance.randrange(3):
                case 0:
                    place[name] = data
                case 1 if place is self.temporaries:
                    place[name] = data[: self._chance.randint(0, len(data))]
                case _:
                    pass

    # ports.Store

    def spool_path(self, name: str) -> Path:
        check_name(name)
        return self.path(f"{SPOOLS}/{name}")

    def stage(
        self, key: str, body: Body, *, name: str, about: tuple[Asset, Receipt] | None = None
    ) -> Staged:
        del about
        check_key(key)
        check_name(name)
        path = str(body.path) if body.path is not None else f"{SPOOLS}/{name}"
        try:
            if body.data is not None:
                self._write(path, bytes(body.data))
            size = len(self.read(path, "stage"))
        except OSError as error:
            self.temporaries.pop(path, None)
            raise store_error(error, path) from error
        if size != body.size:
            self.temporaries.pop(path, None)
            raise wrong_length(path, size, body.size)
        return Staged(str(self.path(path)), key, body.size)

    def publish(self, batch: Sequence[Staged]) -> None:
        if not batch:
            return
        placed: list[str] = []
        try:
            self._step("sync", len(batch))
            self._unsynced.difference_update(staged.temporary for staged in batch)
            for staged in batch:
                self._step("rename", staged.key)
                self._place(staged)
                placed.append(staged.key)
            self._step("sync names", len(batch))
            self._unsynced.difference_update(placed)
        except OSError as error:
            for staged in batch:
                self.temporaries.pop(staged.temporary, None)
            for key in placed:
                self.files.pop(key, None)
            raise store_error(error, ROOT) from error

    def _place(self, staged: Staged) -> None:
        temporary = staged.temporary
        self.files[staged.key] = self.temporaries.pop(temporary)
        self._unsynced.add(staged.key)

    def confirm(self, keys: Sequence[str]) -> None:
        if not keys:
            return
        try:
            self._step("confirm", len(keys))
        except OSError as error:
            raise store_error(error, ROOT) from error
        missing = [key for key in keys if key not in self.files]
        if missing:
            raise store_error(FileNotFoundError(errno.ENOENT, ""), missing[0])
        self._unsynced.difference_update(keys)

    def find(self, key: str) -> Path | None:
        check_key(key)
        self._life.check()
        return self.path(f"{ROOT}/{key}") if key in self.files else None

    def discard(self, path: Path) -> None:
        try:
            self._step("discard", path)
        except OSError as error:
            raise store_error(error, str(path)) from error
        self.temporaries.pop(str(path), None)

    def leftovers(self) -> Iterator[Path]:
        self._life.check()
        yield from [self.path(text) for text in sorted(self.temporaries)]

    def is_fresh(self) -> bool:
        return not any(key.startswith("images/") for key in self.files)

    # Steps.

    def _write(self, path: str, data: bytes) -> None:
        self._unsynced.add(path)
        if self._last_step():
            # Killed in the middle of writing.
            self.temporaries[path] = data[: self._chance.randint(0, len(data))]
        self._step("write", path, len(data))
        self.temporaries[path] = data

    def _last_step(self) -> bool:
        return self._life.last_step("disk")

    def _step(self, step: str, *what: Any) -> None:
        """One system call: raises ``OSError`` if it fails, ``Killed`` if it is never made."""
        kind = self._life.step("disk")
        if kind is not None:
            self._trace.note("disk fails", step, kind)
            self._life.disk_failed = kind
            raise OSError(NUMBERS[kind], kind)
        if step in {"write", "rename", "confirm"}:
            self._trace.note(step, *what)


class WorkersDisk(Disk):
    """The same disk, as a worker uses it: its steps may be that worker's last."""

    __slots__ = ("_hand",)

    def __init__(self, disk: Disk, hand: WorkerLife) -> None:
        self.__dict__ = disk.__dict__  # all that it holds
        self._hand = hand

    def remove(self, text: str) -> None:
        self._hand.check()
        super().remove(text)

    def _last_step(self) -> bool:
        return self._hand.last_step() or super()._last_step()

    def _step(self, step: str, *what: Any) -> None:
        self._hand.step()
        super()._step(step, *what)


def whole(files: Iterable[bytes], known: set[bytes]) -> bool:
    """Law 3: each is a body that the web has shown whole."""
    return all(data in known for data in files)

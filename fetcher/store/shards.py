"""A directory of tar shards as a store: images are appended, everything else is as in files.

    stage     a place behind all that the thread has staged before; nothing is written
    publish   each shard: one write -> one sync -> (a new one: its directory) -> committed

A file system makes some thousand files a second and appends hundreds of megabytes, so what an image
costs here is its bytes. What a kill leaves in a shard is at most a tail that the manifest does not
know of: ``fetcher.store.tails`` cuts it off. Quarantined bytes are files under ``mismatched/``, as
always: they are few, and are looked at one by one.

A shard has one writer at a time. A thread borrows one for a batch, so there are about as many as
threads that were busy at once, for each subset; names are given by O_EXCL, so that neither threads
nor processes meet. A shard that is not full is gone on with in the next run.

Images that no member can hold (8 GiB) are files, too.
"""

from __future__ import annotations

import json
import os
import stat
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from fetcher.errors import StoreError
from fetcher.killpoints import Point, reached
from fetcher.model import Asset, Body, Receipt
from fetcher.policy import tar, urls
from fetcher.ports import Staged
from fetcher.store.durability import Mode
from fetcher.store.local import LocalStore
from fetcher.store.names import check_key, check_name
from fetcher.store.shard import Entry, Shard
from fetcher.store.system import System
from fetcher.store.trouble import store_error

FOLDER: Final = "shards"
NAME: Final = tar.SHARD
_IMAGES: Final = "images/"
KEPT_OPEN: Final = 32
"""Free shards that stay open."""
_AROUND: Final = 6 * tar.BLOCK
"""What an image takes up besides its bytes and its JSON's, with the end of the archive."""


class ShardStore(LocalStore):
    """``ports.Store`` over the directory ``root``. ``shard_size`` is in bytes; a shard that would
    grow beyond it is followed by another. ``begun``: when the run began (seconds since the epoch);
    shards that were written to since then belong to another process of it.
    """

    def __init__(
        self,
        root: Path,
        *,
        shard_size: int,
        begun: float = 0.0,
        durability: Mode = "batch",
        min_free: int = 0,
        system: System | None = None,
    ) -> None:
        super().__init__(root, durability=durability, min_free=min_free, system=system)
        self._most = shard_size
        self._begun = begun
        self._lock = threading.Lock()
        self._staged: dict[str, tuple[Shard, Entry]] = {}
        """By temporary name: what was staged and not published."""
        self._lent: dict[tuple[int, str], Shard] = {}
        """By thread and folder."""
        self._free: dict[str, list[Shard]] = {}
        """By folder."""
        self._open: dict[Shard, None] = {}
        """Of the free ones, with the longest unused first."""
        self._unfinished: dict[str, list[str]] = {}
        """Names of shards of earlier runs, by folder."""
        self._numbers: dict[str, int] = {}

    def close(self) -> None:
        for shard in {*self._lent.values(), *(s for free in self._free.values() for s in free)}:
            with suppress(OSError):
                shard.close()
        self._lent, self._free, self._open = {}, {}, {}
        super().close()

    def is_fresh(self) -> bool:
        return super().is_fresh() and not any(size for _, size in shards_in(self._root))

    def stage(
        self, key: str, body: Body, *, name: str, about: tuple[Asset, Receipt] | None = None
    ) -> Staged:
        if not key.startswith(_IMAGES) or body.size > tar.LARGEST:
            return super().stage(key, body, name=name, about=about)
        check_key(key)
        check_name(name)
        temporary = self._taken_over(body, name)
        _, *subset, _, file = key.split("/")
        member = tar.member_of(file)
        text = tar.described(_facts(file, *(about or (None, None))))
        self._room.take(body.size + _AROUND)
        shard = self._borrowed("/".join([FOLDER, *subset]), body.size + len(text) + _AROUND)
        entry = shard.append(member, body, text)
        with self._lock:
            stale = self._staged.get(temporary)
            self._staged[temporary] = shard, entry
        if stale is not None:
            stale[1].dead = True
        return Staged(temporary, f"{shard.key}/{member}", body.size, entry.slot)

    def publish(self, batch: Sequence[Staged]) -> None:
        files = [staged for staged in batch if staged.slot is None]
        taken = self._take(batch)
        shards = dict.fromkeys(shard for shard, _ in taken)
        try:
            if shards:
                self._write(list(shards))
            super().publish(files)
        except StoreError:
            for shard in shards:
                shard.withdraw()
            for staged in batch:
                self._remove(staged.temporary)
            self._give_back(shards)
            raise
        for shard in shards:
            shard.commit()
        reached(Point.SHARD_COMMITTED)
        for _, entry in taken:
            if entry.body.path is not None:
                self._remove(str(entry.body.path))
        self._give_back(shards)

    def discard(self, path: Path) -> None:
        with self._lock:
            staged = self._staged.pop(str(path), None)
        if staged is not None:
            staged[1].dead = True
        super().discard(path)

    # Staging.

    def _taken_over(self, body: Body, name: str) -> str:
        """The temporary name of ``body``, which is as long as it says."""
        if body.path is not None:
            path = self._own(body.path)
            try:
                self._take_over(path, body.size)
            except StoreError:
                self._remove(path)
                raise
            return path
        if body.data is None or len(body.data) != body.size:
            raise ValueError("a body has its data or its path, and says its size")
        return f"{self._partial}/{name}"

    def _borrowed(self, folder: str, size: int) -> Shard:
        """The shard that this thread puts ``size`` bytes into. Raises ``StoreError``."""
        mine = (threading.get_ident(), folder)
        with self._lock:
            shard = self._lent.pop(mine, None)
            if shard is not None:
                shard.tidy()
                if shard.length and shard.length + size > self._most:
                    # What is staged in it is published still, and then it is closed.
                    if not shard.busy:
                        self._free.setdefault(folder, []).append(shard)
                    shard = None
            if shard is None:
                shard = self._free_one(folder, size)
            self._lent[mine] = shard
        return shard

    def _free_one(self, folder: str, size: int) -> Shard:
        free = self._free.setdefault(folder, [])
        while free:
            shard = free.pop()
            self._open.pop(shard, None)
            if shard.length + size > self._most:
                with suppress(OSError):
                    shard.close()
                continue
            try:
                shard.wake()
            except OSError as error:
                raise store_error(error, shard.path) from error
            return shard
        try:
            self._directories.enter(folder)
            if folder not in self._numbers:
                self._look_around(folder)
            return self._unfinished_one(folder, size) or self._new_one(folder)
        except OSError as error:
            raise store_error(error, error.filename or f"{self._root}/{folder}") from error

    def _look_around(self, folder: str) -> None:
        with os.scandir(f"{self._root}/{folder}") as entries:
            found = sorted(entry.name for entry in entries if NAME.fullmatch(entry.name))
        self._unfinished[folder] = found[::-1]
        self._numbers[folder] = max((int(name[:-4]) for name in found), default=-1) + 1

    def _unfinished_one(self, folder: str, size: int) -> Shard | None:
        names = self._unfinished[folder]
        while names:
            key = f"{folder}/{names.pop()}"
            path = f"{self._root}/{key}"
            if self._system.lstat(path).st_size + size <= self._most:
                shard = Shard.take_up(key, path, self._system, before=self._begun)
                if shard is not None:
                    return shard
        return None

    def _new_one(self, folder: str) -> Shard:
        while True:
            key = f"{folder}/{self._numbers[folder]:06}.tar"
            self._numbers[folder] += 1
            with suppress(FileExistsError):  # another process's
                return Shard.make(key, f"{self._root}/{key}", self._system)

    # Publishing.

    def _take(self, batch: Sequence[Staged]) -> list[tuple[Shard, Entry]]:
        with self._lock:
            taken = [
                self._staged.pop(staged.temporary) for staged in batch if staged.slot is not None
            ]
        for shard in {shard for shard, _ in taken}:
            shard.keep_only([entry for _, entry in taken])
        return taken

    def _write(self, shards: Sequence[Shard]) -> None:
        at = self._root
        try:
            self._room.look()
            for shard in shards:
                at = shard.path
                shard.write()
                reached(Point.SHARD_WRITTEN)
            at = self._root
            self._durability.sync_files([shard.path for shard in shards])
            reached(Point.FILES_SYNCED)
            new = [shard.key for shard in shards if shard.fresh]
            if new:
                self._sync_names(new)
            reached(Point.DIRECTORIES_SYNCED)
        except OSError as error:
            raise store_error(error, error.filename or at) from error

    def _give_back(self, shards: Sequence[Shard] | dict[Shard, None]) -> None:
        """They are free for any thread."""
        with self._lock:
            lent = {shard: mine for mine, shard in self._lent.items()}
            for shard in shards:
                mine = lent.get(shard)
                if mine is not None:
                    del self._lent[mine]
                if mine is not None and not shard.spoilt:
                    self._free.setdefault(mine[1], []).append(shard)
                    self._open[shard] = None
                else:
                    with suppress(OSError):
                        shard.close()
            while len(self._open) > KEPT_OPEN:  # a list may have any number of subsets
                shard = next(iter(self._open))
                del self._open[shard]
                with suppress(OSError):
                    shard.park()


def _facts(file: str, asset: Asset | None, receipt: Receipt | None) -> dict[str, Any]:
    """What the JSON beside an image says; names are those of the manifest's view ``images``."""
    if asset is None or receipt is None:
        return {"image_id": file.rpartition(".")[0]}
    return {
        "image_id": asset.image_id,
        "subset": asset.subset,
        "url": urls.drop_credentials(asset.url),
        "final_url": urls.drop_credentials(receipt.final_url),
        "content_type": receipt.content_type,
        "expected_size": asset.expected.size,
        "expected_md5": asset.expected.md5,
        "actual_size": receipt.size,
        "actual_md5": receipt.md5,
        "listed": json.loads(asset.extra) if asset.extra else {},
    }


def shards_in(root: str) -> Iterator[tuple[str, int]]:
    """Path and size of every shard: in ``shards/``, and in the folders of subsets in it."""
    for folder in _folders(root):
        try:
            with os.scandir(f"{root}/{folder}") as entries:
                for entry in entries:
                    if NAME.fullmatch(entry.name) and entry.is_file(follow_symlinks=False):
                        size = entry.stat(follow_symlinks=False).st_size
                        yield f"{folder}/{entry.name}", size
        except OSError as error:
            raise store_error(error, f"{root}/{folder}") from error


def _folders(root: str) -> list[str]:
    try:
        if not stat.S_ISDIR(os.lstat(f"{root}/{FOLDER}").st_mode):
            return []
        with os.scandir(f"{root}/{FOLDER}") as entries:
            below = [e.name for e in entries if e.is_dir(follow_symlinks=False)]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise store_error(error, f"{root}/{FOLDER}") from error
    return [FOLDER, *(f"{FOLDER}/{name}" for name in sorted(below))]

"""A directory as a store: laws 2 and 3 are its claim.

    stage     .partial/NAME: open (new, no links), write, check the length, close
    publish   all bytes reach the disk -> all renames -> all directories reach the disk

A final name therefore never shows a torn file, whatever was killed when; and when ``publish``
returns, neither a kill nor a power cut takes the files away. How "reach the disk" is done is
``fetcher.store.durability``. Temporary and spool files share ``.partial`` below DIR, as a rename
must not cross file systems; what a killed run left there is listed by ``leftovers``.

A small image costs four system calls (open, write, close, rename) and its share of the batch's:
each one gives the GIL away beside a busy event loop, so fewer calls is what makes it fast.

Nothing here judges bytes, names assets or retries. The model is restic's local backend.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from fetcher.errors import StoreError, UsageError
from fetcher.killpoints import Point, reached
from fetcher.model import Asset, Body, Receipt
from fetcher.ports import Staged
from fetcher.store.directories import Directories
from fetcher.store.durability import Durability, Mode, RenameOnly, durability
from fetcher.store.names import PARTIAL, check_key, check_name
from fetcher.store.room import Room
from fetcher.store.system import Bytes, System
from fetcher.store.trouble import store_error, wrong_length

_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE_MODE: Final = 0o644
_DIRECTORY_MODE: Final = 0o755
_PLACE: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_IMAGES: Final = "images"


class LocalStore:
    """``ports.Store`` over the directory ``root``; call ``prepare`` before anything is written.

    ``min_free`` is in bytes. All methods may be called from several threads at once; two bodies
    must not be staged under one name at a time. A key or name that would leave ``root`` is a bug of
    the caller's, as is a path that is not the store's: ``ValueError``.
    """

    def __init__(
        self,
        root: Path,
        *,
        durability: Mode = "batch",
        min_free: int = 0,
        system: System | None = None,
    ) -> None:
        # DIR itself may be a link, as the user's word; what is below it may not.
        self._root = os.path.realpath(root)
        self._partial = f"{self._root}/{PARTIAL}"
        self._mode: Mode = durability
        self._system = system or System()
        self._room = Room(self._root, min_free, self._system)
        self._directories = Directories(self._root, self._system)
        self._durability: Durability = RenameOnly()

    def prepare(self) -> None:
        """Make DIR, if its parent is there, and the place for temporary files.

        Raises ``UsageError`` for a DIR that cannot be one, ``StoreError`` for a disk that is full
        or broken. What an earlier run left is not touched.
        """
        try:
            made = self._make_root()
            self._room.take(0)
            self._make_partial()
            reached(Point.PLACE_MADE)
            self._durability = durability(self._mode, self._root, self._system)
            if made:
                self._durability.sync_directories([os.path.dirname(self._root)])  # noqa: PTH120  a str
        except OSError as error:
            raise store_error(error, self._root) from error

    def attach(self) -> None:
        """Work in a DIR that another process has prepared, and will close.

        Raises ``StoreError``.
        """
        try:
            self._durability = durability(self._mode, self._root, self._system)
        except OSError as error:
            raise store_error(error, self._root) from error

    def close(self) -> None:
        """Remove the place for temporary files, unless something is left in it or it is locked: a
        run that could not begin must not take it from one that is on. Who holds the lock removes it
        with that.
        """
        self._durability.close()
        self._durability = RenameOnly()
        with suppress(OSError):  # not empty: a later run may use it. Or gone: all the better
            place = os.open(self._partial, _PLACE)
            try:
                if not _is_locked(place):
                    os.rmdir(self._partial)  # noqa: PTH106  paths are str here throughout
            finally:
                os.close(place)

    def is_fresh(self) -> bool:
        """See ``ports.Store``. Told by the folder of images, so ask before one is published."""
        try:
            return not self._directories.exists(_IMAGES)
        except OSError as error:
            raise store_error(error, self._root) from error

    def leftovers(self) -> Iterator[Path]:
        """See ``ports.Store``. During a run it lists this run's own too.

        What is no file of ours is removed instead: a link, a pipe, or a file that has another name
        somewhere else, which would be written to under that name as well.
        """
        try:
            with os.scandir(self._partial) as entries:
                for entry in entries:
                    if _is_plain(entry):
                        yield Path(entry.path)
                    elif not entry.is_dir(follow_symlinks=False):
                        self._remove(entry.path)
        except FileNotFoundError:
            return
        except OSError as error:
            raise store_error(error, self._partial) from error

    @property
    def is_quick(self) -> bool:
        """Whether ``publish`` waits for no disk; known once it is prepared or attached."""
        return isinstance(self._durability, RenameOnly)

    @property
    def root(self) -> str:
        return self._root

    @property
    def spool_directory(self) -> str:
        """Where ``spool_path`` puts things: for callers that make many such paths."""
        return self._partial

    def spool_path(self, name: str) -> Path:
        check_name(name)
        return Path(f"{self._partial}/{name}")

    def stage(
        self,
        key: str,
        body: Body,
        *,
        name: str,
        about: tuple[Asset, Receipt] | None = None,  # noqa: ARG002  for stores that write it down
    ) -> Staged:
        """See ``ports.Store``. On an error nothing of ``body`` is left, a spool file included."""
        check_key(key)
        check_name(name)
        if body.path is not None:
            path = self._own(body.path)
            try:
                self._take_over(path, body.size)
            except StoreError:
                self._remove(path)
                raise
            return Staged(path, key, body.size)
        if body.data is None or len(body.data) != body.size:
            raise ValueError("a body has its data or its path, and says its size")
        self._room.take(body.size)
        path = f"{self._partial}/{name}"
        try:
            self._write_new(path, body.data)
        except OSError as error:
            self._remove(path)
            raise store_error(error, path) from error
        return Staged(path, key, body.size)

    def publish(self, batch: Sequence[Staged]) -> None:
        """See ``ports.Store``. On an error the whole batch is withdrawn: no temporary file is left,
        and no final name that this call made. (A file that one of them replaced is gone, then.)
        """
        if not batch:
            return
        temporaries = [self._own(staged.temporary) for staged in batch]
        keys = [staged.key for staged in batch]
        at, placed = self._root, 0
        try:
            self._room.look()
            self._durability.sync_files(temporaries)
            reached(Point.FILES_SYNCED)
            for at, key in zip(temporaries, keys, strict=True):
                self._place(at, key)
                placed += 1
                reached(Point.RENAMED)
            at = self._root
            self._sync_names(keys)
            reached(Point.DIRECTORIES_SYNCED)
        except OSError as error:
            self._withdraw(temporaries[placed:], keys[:placed])
            raise store_error(error, error.filename or at) from error

    def confirm(self, keys: Sequence[str]) -> None:
        """Make durable what ``find`` found: a killed run may have named a file and not synced it.

        Until then its row must not say ``verified`` (law 2). On an error the files stay.
        """
        if not keys:
            return
        try:
            self._durability.sync_files([f"{self._root}/{key}" for key in keys])
            self._sync_names(keys)
        except OSError as error:
            raise store_error(error, error.filename or self._root) from error
        reached(Point.CONFIRMED)

    def find(self, key: str) -> Path | None:
        check_key(key)
        path = f"{self._root}/{key}"
        try:
            if not self._directories.exists(_folder(key)):
                return None
            found = self._system.lstat(path)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise store_error(error, path) from error
        return Path(path) if stat.S_ISREG(found.st_mode) else None

    def discard(self, path: Path) -> None:
        """See ``ports.Store``. Raises ``StoreError`` if it is there and cannot be removed."""
        own = self._own(path)
        try:
            self._system.unlink(own)
        except FileNotFoundError:
            return
        except OSError as error:
            raise store_error(error, own) from error

    # Making places.

    def _make_root(self) -> bool:
        """Whether DIR had to be made."""
        hint = "Choose another directory with --to."
        try:
            self._system.mkdir(self._root, _DIRECTORY_MODE)
        except FileExistsError:
            if not os.path.isdir(self._root):  # noqa: PTH112  paths are str here throughout
                raise UsageError(f"{self._root} is not a directory.", hint=hint) from None
            return False
        except (FileNotFoundError, NotADirectoryError):
            raise UsageError(
                f"{self._root} cannot be made: its parent is no directory.",
                hint="Make the parent first; only DIR itself is made for you.",
            ) from None
        except OSError as error:
            if error.errno in _REFUSED:
                raise UsageError(
                    f"{self._root} cannot be made: {error.strerror}.", hint=hint
                ) from None
            raise
        return True

    def _make_partial(self) -> None:
        hint = "Choose another directory with --to, or change its permissions."
        try:
            self._directories.enter(PARTIAL)
        except OSError as error:
            if error.errno in _REFUSED:
                sentence = f"{self._root} cannot be written to: {error.strerror}."
                raise UsageError(sentence, hint=hint) from None
            if error.errno == errno.ENOTDIR:
                raise store_error(error, self._partial) from error
            raise
        if not os.access(self._partial, os.W_OK | os.X_OK):
            raise UsageError(f"{self._partial} cannot be written to.", hint=hint)

    # Staging.

    def _write_new(self, path: str, data: Bytes) -> None:
        descriptor = self._open_new(path)
        reached(Point.TEMPORARY_OPENED)
        try:
            written = self._system.write(descriptor, data)
            while written < len(data):  # a nearly full disk, or more than 2 GiB
                more = self._system.write(descriptor, memoryview(data)[written:])
                if more == 0:
                    raise OSError(errno.EIO, os.strerror(errno.EIO))
                written += more
            reached(Point.TEMPORARY_WRITTEN)
        finally:
            self._system.close(descriptor)
        reached(Point.TEMPORARY_CLOSED)

    def _open_new(self, path: str) -> int:
        try:
            return self._system.open(path, _NEW, _FILE_MODE)
        except FileExistsError:  # of a killed run
            self._system.unlink(path)
            return self._system.open(path, _NEW, _FILE_MODE)

    def _take_over(self, path: str, size: int) -> None:
        self._room.take(0)  # its bytes are on the disk already
        try:
            found = self._system.lstat(path)
        except OSError as error:
            raise store_error(error, path) from error
        if not stat.S_ISREG(found.st_mode):
            raise store_error(OSError(errno.ELOOP, ""), path)
        if found.st_size != size:
            raise wrong_length(path, found.st_size, size)

    def _own(self, path: Path | str) -> str:
        text = str(path)
        folder, _, name = text.rpartition("/")
        if folder != self._partial:
            raise ValueError(f"{path} is not a temporary file of this store")
        check_name(name)
        return text

    # Publishing.

    def _place(self, temporary: str, key: str) -> None:
        folder, path = _folder(key), f"{self._root}/{key}"
        self._directories.enter(folder)
        try:
            self._system.rename(temporary, path)
        except FileNotFoundError:  # the directory was removed under us: once is enough
            self._directories.forget(folder)
            self._directories.enter(folder)
            self._system.rename(temporary, path)

    def _sync_names(self, keys: Sequence[str]) -> None:
        folders = {_folder(key) for key in keys}
        self._durability.sync_directories(self._directories.to_sync(folders))
        self._directories.synced(folders)

    def _withdraw(self, temporaries: Sequence[str], keys: Sequence[str]) -> None:
        for temporary in temporaries:
            self._remove(temporary)
        for key in keys:
            self._remove(f"{self._root}/{key}")

    def _remove(self, path: str) -> None:
        """Best effort, on the way out with an error that is the one to report."""
        with suppress(OSError):
            self._system.unlink(path)


_REFUSED: Final = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})


def _is_plain(entry: os.DirEntry[str]) -> bool:
    """A regular file under no other name."""
    try:
        return (
            entry.is_file(follow_symlinks=False) and entry.stat(follow_symlinks=False).st_nlink == 1
        )
    except FileNotFoundError:
        return False


def _is_locked(descriptor: int) -> bool:
    """By a run: see ``fetcher.manifest.lock``. Where there are no locks, nothing is."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def _folder(key: str) -> str:
    return key.rpartition("/")[0]

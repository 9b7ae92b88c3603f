"""Where results go: standard output, or a file that is there whole or not at all."""

from __future__ import annotations

import io
import os
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Final

from fetcher.errors import Exit, StoreError, UsageError
from fetcher.report.text import printable

STDOUT: Final = Path("-")


def refuse_inside(directory: Path, manifest: Path, target: Path) -> None:
    """DIR holds what was mirrored and nothing else, and a command that reads changes nothing in it.

    Raises ``UsageError`` for a target inside of it, or in the place of its manifest; and for one
    that can be no file, as long manifests are read for minutes before the first byte is written.
    """
    if target == STDOUT:
        return
    found = target.resolve()
    if found.is_relative_to(directory.resolve()):
        raise UsageError(
            f"{target} lies inside of {directory}, where this command changes nothing.",
            hint="Name a file elsewhere.",
        )
    if found == manifest.resolve():
        raise UsageError(f"{target} is the manifest.", hint="Name another file.")
    if target.is_dir():
        raise UsageError(f"{target} is a folder.", hint="Name a file in it.")
    if not target.parent.is_dir():
        raise UsageError(f"There is no folder {target.parent}.", hint="Make it, or name another.")


def refuse_lists(lists: Iterable[str], target: Path) -> None:
    """What a mirror reads is not written over: ``UsageError`` for one of ``lists``."""
    if target == STDOUT:
        return
    for path in lists:
        with suppress(OSError):  # one of the two is not there
            if target.samefile(path):
                raise UsageError(
                    f"{target} is an image list of this mirror.", hint="Name another file."
                )


@contextmanager
def whole_file(target: Path, *, binary: bool = False) -> Iterator[IO[bytes]]:
    """A file of bytes that takes its name when the block ends without an error.

    ``-`` is standard output, which is not taken back; what is ``binary`` goes there when it is
    whole, and to a terminal not at all: ``UsageError``. Raises ``StoreError`` if the file cannot be
    written; if whoever reads standard output has left, the block ends with ``SystemExit``.
    """
    if target == STDOUT:
        with _standard_output() as stream:
            if not binary:
                yield stream
                return
            if sys.stdout.isatty():
                raise UsageError("A terminal cannot show Parquet.", hint="Name a file for it.")
            with tempfile.TemporaryFile() as file:
                yield file
                file.seek(0)
                shutil.copyfileobj(file, stream)
        return
    with _translated(target):
        descriptor, name = tempfile.mkstemp(
            dir=target.parent, prefix=f".{target.name}.", suffix=".partial"
        )
        try:
            with os.fdopen(descriptor, "wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            mask = os.umask(0)
            os.umask(mask)
            Path(name).chmod(0o666 & ~mask)
            Path(name).replace(target)
        except BaseException:
            with suppress(OSError):
                Path(name).unlink()
            raise


class _Terminal(io.RawIOBase):
    """Text for a terminal, which must not act upon what it shows: titles are anyone's."""

    def writable(self) -> bool:
        return True

    def write(self, data: object, /) -> int:
        taken = bytes(data)  # type: ignore[call-overload]  # any buffer
        text = taken.decode("utf-8", "replace")
        sys.stdout.write("".join(c if c in "\n\t" else printable(c) for c in text))
        return len(taken)


@contextmanager
def _standard_output() -> Iterator[IO[bytes]]:
    try:
        yield _Terminal() if sys.stdout.isatty() else sys.stdout.buffer  # type: ignore[misc]
        sys.stdout.flush()
    except BrokenPipeError:
        # As `| head` does. The interpreter would complain once more when it closes the stream.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(Exit.STOPPED) from None


@contextmanager
def _translated(target: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreError(
            f"{target} cannot be written: {error.strerror or error}.",
            fault_code="disk-error",
            hint="Check its folder, and the room that is left.",
        ) from error

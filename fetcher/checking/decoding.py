"""Decoding pictures that nobody vouches for, in a process that may die of it.

What a decoder does with hostile bytes is not ours to promise. So it works in a child process with
limits of its own: memory, processor time, no new files, no core. Only formats whose decoders are
widely used are tried (none that runs another program), the dimensions are read and capped before a
pixel is, and a child that dies or takes too long is a value, and another one takes its place.
"""

from __future__ import annotations

import hashlib
import importlib.util
import multiprocessing
import os
import resource
import warnings
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any, Final, Self

from fetcher.checking.bytes import Bytes
from fetcher.checking.endings import lacks_end
from fetcher.errors import MissingExtraError
from fetcher.policy.triage import TAIL, THUMBNAIL, Kind, Picture, Undecoded, breaks_off

MAX_PIXELS: Final = 100_000_000
"""Some 300 MB of pixels at a time."""
PATIENCE: Final = 60.0
"""Seconds for one picture."""
_MEMORY: Final = 3 << 30
"""Bytes of address space of a child: decoded and turned pixels, and the program itself."""
_PROCESSOR: Final = 30
"""Seconds of processor time that a child may use on one picture."""
_FORMATS: Final = ("JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF")
_OF_FRAMES: Final = frozenset({"GIF", "PNG", "WEBP", "TIFF"})
"""Formats of animations and pages. (What a JPEG has besides are previews and depth.)"""
_ORIENTATION: Final = 0x0112  # EXIF 2.32 section 4.6.4

Decoded = Picture | Undecoded


class Decoder:
    """A context manager around a child. Raises ``MissingExtraError`` without Pillow."""

    def __init__(
        self,
        *,
        max_pixels: int = MAX_PIXELS,
        patience: float = PATIENCE,
        work: Callable[[Connection, int], None] | None = None,
    ) -> None:
        if importlib.util.find_spec("PIL") is None:
            raise MissingExtraError("Looking at mismatched images", extra="triage")
        self._max_pixels = max_pixels
        self._patience = patience
        self._work = work or _work
        self._context = multiprocessing.get_context("spawn")
        self._child: tuple[Any, Connection] | None = None

    def decode(self, at: Bytes) -> Decoded:
        """The picture there; links are not followed."""
        process, pipe = self._child or self._begin()
        try:
            pipe.send(at)
            if pipe.poll(self._patience):
                found: Decoded = pipe.recv()
                return found
            why = f"not done after {self._patience:g} s"
        except (EOFError, OSError):
            process.join(1.0)
            why = f"the decoder died of it (exit code {process.exitcode})"
        self._end()
        return Undecoded(Kind.UNDECODABLE, why)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end()

    def _begin(self) -> tuple[Any, Connection]:
        ours, theirs = self._context.Pipe()
        process = self._context.Process(
            target=self._work, args=(theirs, self._max_pixels), name="fetcher-decoder", daemon=True
        )
        process.start()
        theirs.close()
        self._child = process, ours
        return self._child

    def _end(self) -> None:
        if self._child is not None:
            process, pipe = self._child
            self._child = None
            pipe.close()
            process.kill()
            process.join()


def _work(pipe: Connection, max_pixels: int) -> None:
    """A child's life."""
    for limit, value in (
        (resource.RLIMIT_AS, _MEMORY),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(limit, (value, value))
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    with suppress(EOFError, KeyboardInterrupt):
        while True:
            at = pipe.recv()
            used = sum(os.times()[:2])
            resource.setrlimit(resource.RLIMIT_CPU, (int(used) + _PROCESSOR, hard))
            pipe.send(picture(at, max_pixels))


def picture(at: Bytes, max_pixels: int) -> Decoded:
    """In this process, without its limits: for the child, and for bytes that are trusted."""
    from PIL import Image, UnidentifiedImageError  # noqa: PLC0415  an extra

    Image.MAX_IMAGE_PIXELS = None  # the cap is ours, and no warning
    try:
        with (
            warnings.catch_warnings(action="ignore"),
            at.open() as file,
            Image.open(file, formats=_FORMATS) as image,
        ):
            if image.width * image.height > max_pixels:
                seen = f"{image.format}, {image.width} x {image.height}"
                return Undecoded(Kind.NOT_DECODED, f"{seen}: over {max_pixels:,} pixels")
            return _measured(image, at)
    except UnidentifiedImageError:
        if _breaks_off(at):
            return Undecoded(Kind.TRUNCATED, "it ends before its head does, or soon after")
        tried = ", ".join(_FORMATS)
        return Undecoded(Kind.NOT_DECODED, f"none of {tried}, or its head is damaged")
    except MemoryError:
        return Undecoded(Kind.NOT_DECODED, "it takes too much memory")
    except Exception as error:  # noqa: BLE001  decoders raise anything; its text has no secrets
        kind = Kind.TRUNCATED if _breaks_off(at) else Kind.UNDECODABLE
        return Undecoded(kind, " ".join(f"{type(error).__name__}: {error}".split())[:200])


def _breaks_off(at: Bytes) -> bool:
    with at.open() as file:
        head = file.read(TAIL)
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - TAIL))
        return breaks_off(head, size, file.read(TAIL))


def _measured(image: Any, at: Bytes) -> Picture:
    from PIL import Image  # noqa: PLC0415  an extra

    kind, orientation = image.format, _orientation(image)
    shown = _in_eight_bits(image) if image.mode[0] in "IF" else image.convert("RGB")
    # Equal pixels are so in their whole depth, and as transparent.
    pixels = image if image.mode[0] in "IF" else _seen_through(image) or shown
    digests = [_digest(pixels)]
    digests += [_digest(pixels.transpose(way)) for way in Image.Transpose]
    small = shown.convert("L").resize((THUMBNAIL, THUMBNAIL), Image.Resampling.BOX)
    with at.open() as file:
        cut = lacks_end(kind, file)
    return Picture(
        kind,
        pixels.width,
        pixels.height,
        orientation,
        tuple(digests),
        tuple(small.tobytes()),
        several=kind in _OF_FRAMES and _has_another(image),
        cut=cut,
    )


def _seen_through(image: Any) -> Any:
    """With its transparency, if it has any."""
    if not image.has_transparency_data:
        return None
    clear = image.convert("RGBA")
    return clear if clear.getchannel("A").getextrema()[0] < 255 else None  # noqa: PLR2004  opaque


def _in_eight_bits(image: Any) -> Any:
    """Deep grey (modes I and F): converted as it is, everything above 255 would be white."""
    most = 65_535 if image.mode.startswith("I;16") else image.getextrema()[1]
    whites = (255, 65_535, most) if image.mode[0] == "I" else (1, 255, 65_535, most)
    white = next(white for white in whites if white >= most)
    deep = image if image.mode in ("I", "F") else image.convert("I")
    return deep.convert("F").point(lambda value: value * (255 / white)).convert("L")


def _has_another(image: Any) -> bool:
    """Whether a second frame begins, whatever comes of it; none is decoded any more."""
    try:
        image.seek(1)
    except EOFError:
        return False
    except Exception:  # noqa: BLE001  decoders raise anything
        return True
    return True


def _orientation(image: Any) -> int | None:
    found = image.getexif().get(_ORIENTATION)
    return found if isinstance(found, int) and 1 <= found <= 8 else None  # noqa: PLR2004  as in EXIF


def _digest(pixels: Any) -> str:
    digest = hashlib.sha256(f"{pixels.width}x{pixels.height}\n".encode())
    digest.update(pixels.tobytes())
    return digest.hexdigest()

"""What mismatched bytes are said to be: every kind, in a child process that may die."""

from __future__ import annotations

import io
import os
import struct
import time
import zlib
from base64 import b64encode
from collections.abc import Callable, Iterator
from hashlib import md5
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, PngImagePlugin

from fetcher.checking.bytes import Bytes
from fetcher.checking.decoding import Decoder
from fetcher.checking.files import Record
from fetcher.checking.triage import Mismatch, Triage
from fetcher.policy import triage
from fetcher.policy.triage import Facts, Finding, Kind, Undecoded


def photograph(seed: int = 0) -> Image.Image:
    """Hills of light, which look the same neither turned nor mirrored."""
    values = bytes(
        (x * 3 + y * (seed * 7 + 2) + (x * y * (seed + 1)) // 40) % 256
        for y in range(48)
        for x in range(64)
        for _ in range(3)
    )
    small = Image.frombytes("RGB", (64, 48), values)
    return small.resize((8, 6), Image.Resampling.BOX).resize((320, 240), Image.Resampling.BICUBIC)


def encoded(image: Image.Image, form: str = "PNG", **more: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **more)
    return file.getvalue()


def with_text(image: Image.Image) -> bytes:
    info = PngImagePlugin.PngInfo()
    info.add_text("Comment", "another")
    return encoded(image, pnginfo=info)


def deep(image: Image.Image) -> Image.Image:
    """In grey of 16 bits, black to white."""
    grey = image.convert("L")
    values = b"".join(struct.pack("<H", value * 257) for value in grey.tobytes())
    return Image.frombytes("I;16", grey.size, values)


def animated(image: Image.Image, form: str, **more: Any) -> bytes:
    """It is the first frame."""
    turned = image.transpose(Image.Transpose.ROTATE_180)
    return encoded(image, form, save_all=True, append_images=[turned], **more)


def see_through(image: Image.Image) -> Image.Image:
    clear = image.convert("RGBA")
    clear.putalpha(128)
    return clear


def giant(width: int = 60_000, height: int = 60_000) -> bytes:
    """A few bytes that would be ten gigabytes of pixels."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        )

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = zlib.compress(bytes(1 << 20), 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


LISTED = photograph()
CASES: dict[str, tuple[bytes, Kind]] = {
    "other-metadata": (with_text(LISTED), Kind.SAME_PIXELS),
    "packed-anew": (encoded(LISTED, compress_level=1), Kind.SAME_PIXELS),
    "turned": (encoded(LISTED.transpose(Image.Transpose.ROTATE_90)), Kind.ROTATED),
    "mirrored": (encoded(LISTED.transpose(Image.Transpose.FLIP_LEFT_RIGHT)), Kind.ROTATED),
    "turned-jpeg": (
        encoded(LISTED.transpose(Image.Transpose.ROTATE_270), "JPEG", quality=70),
        Kind.ROTATED,
    ),
    "jpeg": (encoded(LISTED, "JPEG", quality=60), Kind.RE_ENCODED),
    "smaller": (encoded(LISTED.resize((160, 120))), Kind.RE_ENCODED),
    "another": (encoded(photograph(5)), Kind.DIFFERENT),
    "animated-png": (animated(LISTED, "PNG"), Kind.RE_ENCODED),
    "animated-webp": (animated(LISTED, "WEBP", lossless=True), Kind.RE_ENCODED),
    "animated-gif": (animated(LISTED, "GIF"), Kind.RE_ENCODED),
    "animated-and-another": (animated(photograph(5), "PNG"), Kind.DIFFERENT),
    "pages": (animated(LISTED, "TIFF"), Kind.RE_ENCODED),
    "16-bit-png": (encoded(deep(LISTED)), Kind.RE_ENCODED),
    "16-bit-tiff": (encoded(deep(LISTED), "TIFF"), Kind.RE_ENCODED),
    "16-bit-of-another": (encoded(deep(photograph(5))), Kind.DIFFERENT),
    "32-bit-tiff": (encoded(deep(LISTED).convert("I"), "TIFF"), Kind.RE_ENCODED),
    "float-tiff": (encoded(LISTED.convert("F"), "TIFF"), Kind.RE_ENCODED),
    "float-to-1-tiff": (
        encoded(LISTED.convert("F").point(lambda value: value / 255), "TIFF"),
        Kind.RE_ENCODED,
    ),
    "cmyk": (encoded(LISTED.convert("CMYK"), "JPEG", quality=95), Kind.RE_ENCODED),
    "palette-of-all-it-has": (encoded(LISTED.quantize(256), "GIF"), Kind.SAME_PIXELS),
    "opaque": (encoded(LISTED.convert("RGBA")), Kind.SAME_PIXELS),
    "see-through": (encoded(see_through(LISTED)), Kind.RE_ENCODED),
    "something-behind-its-end": (encoded(LISTED) + bytes(5_000), Kind.SAME_PIXELS),
    "something-behind-a-gif": (encoded(LISTED.quantize(256), "GIF") + b"xyz" * 9, Kind.SAME_PIXELS),
    "cut-png": (encoded(LISTED)[:-400], Kind.TRUNCATED),
    "cut-jpeg": (encoded(LISTED, "JPEG")[:2_000], Kind.TRUNCATED),
    **{
        f"{form}-less-{missing}".lower(): (encoded(LISTED, form)[:-missing], Kind.TRUNCATED)
        for form in ("JPEG", "PNG", "GIF", "WEBP", "BMP")
        for missing in (1, 2, 10)
    },
    "animation-less-1": (animated(LISTED, "GIF")[:-1], Kind.TRUNCATED),
    "jpeg-of-3-bytes": (encoded(LISTED, "JPEG")[:3], Kind.TRUNCATED),
    "png-of-8-bytes": (encoded(LISTED)[:8], Kind.TRUNCATED),
    "broken-png": (encoded(LISTED)[:60] + bytes(200) + encoded(LISTED)[260:], Kind.UNDECODABLE),
    "giant": (giant(), Kind.NOT_DECODED),
    "heic": (b"\0\0\0\x18ftypheic\0\0\0\0heicmif1" + bytes(600), Kind.NOT_DECODED),
    "html": (b"<!DOCTYPE html><html></html>", Kind.HTML),
    "xml": (b'<?xml version="1.0"?><Error/>', Kind.XML),
    "svg": (b'<svg xmlns="http://www.w3.org/2000/svg"/>', Kind.XML),
    "text": (b"Sorry, no.\n", Kind.TEXT),
    "empty": (b"", Kind.EMPTY),
    "noise": (b"\x01\x02\x03" * 40, Kind.UNKNOWN_BYTES),
}


@pytest.fixture(scope="module")
def decoder() -> Iterator[Decoder]:
    with Decoder() as one:
        yield one


def record(root: Path, name: str, data: bytes) -> Record:
    (root / name).write_bytes(data)
    digest = b64encode(md5(data, usedforsecurity=False).digest()).decode()
    return Record(name, len(data), digest)


def look(
    root: Path, decoder: Any, data: bytes, *, listed: bytes | None = None, **facts: Any
) -> Finding:
    came = record(root, "came", data)
    kept = record(root, "kept", listed) if listed is not None else None
    return Triage(str(root), decoder).look(Mismatch(1, came.md5, came, Facts(**facts), kept))


@pytest.mark.parametrize("name", CASES)
def test_with_the_listed_picture_at_hand(name: str, tmp_path: Path, decoder: Decoder) -> None:
    data, kind = CASES[name]
    found = look(tmp_path, decoder, data, listed=encoded(LISTED))
    assert found.kind is kind, found


@pytest.mark.parametrize("name", CASES)
def test_without_it_no_more_is_claimed_than_is_known(
    name: str, tmp_path: Path, decoder: Decoder
) -> None:
    data, kind = CASES[name]
    compared = {Kind.SAME_PIXELS, Kind.ROTATED, Kind.RE_ENCODED, Kind.DIFFERENT}
    found = look(tmp_path, decoder, data)
    assert found.kind is (Kind.NOT_COMPARABLE if kind in compared else kind)
    if found.kind is Kind.NOT_COMPARABLE:
        assert found.width is not None
        assert f"{found.width} x {found.height}" in found.detail


def test_a_listed_picture_that_lacks_its_end_itself_is_compared_with(
    tmp_path: Path, decoder: Decoder
) -> None:
    listed = encoded(LISTED)[:-1]
    found = look(tmp_path, decoder, encoded(LISTED, compress_level=1)[:-1], listed=listed)
    assert found.kind is Kind.SAME_PIXELS
    assert look(tmp_path, decoder, encoded(LISTED), listed=listed).kind is Kind.SAME_PIXELS


@pytest.mark.parametrize(
    ("facts", "kind"),
    [
        ({"placeholder": True, "shared_by": 9}, Kind.PLACEHOLDER),
        ({"listed_as": "0123", "shared_by": 9}, Kind.OTHER_LISTED),
        ({"shared_by": triage.SHARED}, Kind.SHARED),
        ({"shared_by": triage.SHARED - 1}, Kind.NOT_COMPARABLE),
    ],
)
def test_known_bytes_need_no_look(
    facts: dict[str, Any], kind: Kind, tmp_path: Path, decoder: Decoder
) -> None:
    assert look(tmp_path, decoder, encoded(LISTED), **facts).kind is kind


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"<!DOCTYPE html><html></html>", Kind.HTML),
        (b'<?xml version="1.0"?><Error/>', Kind.XML),
        (b"Sorry, no.\n", Kind.TEXT),
        (b"", Kind.EMPTY),
        (b"\x01\x02\x03" * 40, Kind.SHARED),
        (encoded(LISTED, "JPEG")[:2_000], Kind.SHARED),
    ],
)
def test_a_page_that_many_got_is_a_page(data: bytes, kind: Kind, tmp_path: Path) -> None:
    shared = Facts(shared_by=triage.SHARED)
    came = record(tmp_path, "came", data)
    mismatch = Mismatch(1, came.md5, came, shared, None)
    assert Triage(str(tmp_path), NoDecoder()).look(mismatch).kind is kind
    (tmp_path / "came").unlink()
    assert Triage(str(tmp_path), NoDecoder()).look(mismatch).kind is Kind.SHARED
    none = Mismatch(1, came.md5, None, shared, None)
    assert Triage(str(tmp_path), NoDecoder()).look(none).kind is Kind.SHARED


class NoDecoder:
    def decode(self, at: Bytes) -> Undecoded:
        raise AssertionError(f"{at} was decoded")


def linked(path: Path) -> None:
    path.rename(path.with_name("elsewhere"))
    path.symlink_to("elsewhere")


def piped(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


@pytest.mark.parametrize(
    "change",
    [
        Path.unlink,
        lambda path: path.write_bytes(b"other"),
        linked,
        piped,
    ],
)
def test_what_is_not_what_arrived_is_not_looked_at(
    change: Callable[[Path], object], tmp_path: Path
) -> None:
    came = record(tmp_path, "came", encoded(LISTED))
    change(tmp_path / "came")
    found = Triage(str(tmp_path), NoDecoder()).look(Mismatch(1, came.md5, came, Facts(), None))
    assert found.kind is Kind.NO_BYTES
    none = Triage(str(tmp_path), NoDecoder()).look(Mismatch(1, came.md5, None, Facts(), None))
    assert none.kind is Kind.NO_BYTES


def test_a_listed_picture_that_has_changed_is_not_compared_with(
    tmp_path: Path, decoder: Decoder
) -> None:
    came = record(tmp_path, "came", encoded(LISTED))
    kept = record(tmp_path, "kept", encoded(LISTED, compress_level=1))
    (tmp_path / "kept").write_bytes(encoded(photograph(5)))
    found = Triage(str(tmp_path), decoder).look(Mismatch(1, came.md5, came, Facts(), kept))
    assert found.kind is Kind.NOT_COMPARABLE


def dies(pipe: Connection, _: int) -> None:
    pipe.recv()
    os._exit(9)


def hangs(pipe: Connection, _: int) -> None:
    pipe.recv()
    time.sleep(3_600)


@pytest.mark.parametrize("work", [dies, hangs])
def test_a_decoder_that_dies_or_hangs_is_an_answer(
    work: Callable[[Connection, int], None], tmp_path: Path
) -> None:
    """And the next picture gets a new one."""
    patience = 0.5 if work is hangs else 60.0
    with Decoder(work=work, patience=patience) as decoder:
        for _ in range(2):
            found = look(tmp_path, decoder, encoded(LISTED))
            assert found.kind is Kind.UNDECODABLE
            assert "died" in found.detail if work is dies else "not done" in found.detail


def test_memory_is_capped(tmp_path: Path) -> None:
    """40,000 x 40,000 pixels that the cap on pixels would let through."""
    with Decoder(max_pixels=10**10) as decoder:
        found = look(tmp_path, decoder, giant(40_000, 40_000))
    assert found.kind in {Kind.NOT_DECODED, Kind.UNDECODABLE}


def test_every_kind_has_a_meaning() -> None:
    assert set(triage.MEANINGS) == set(Kind)

"""Targets: what the manifest packs, against what its view and its readers make of it again."""

from __future__ import annotations

import json
import sqlite3
from functools import cache
from pathlib import Path
from typing import Final

from fetcher.manifest import extras, packing
from fetcher.manifest.names import Names
from fetcher.manifest.schema import migrate
from fetcher.manifest.states import STATE_IDS
from fetcher.model import Expectation, Row, State
from fetcher.policy.paths import id_fault, relative_path
from scripts.fuzzing.laws import PART, Choices, Target, require

_FOLDERS: Final = ("images", "mismatched", "elsewhere", "images/x")
_VERIFIED: Final = STATE_IDS[State.VERIFIED]


@cache
def _manifest() -> sqlite3.Connection:
    """Empty, but for what its migrations put in; each input rolls back what it wrote."""
    connection = sqlite3.connect(":memory:", isolation_level=None)
    migrate(connection, Path("manifest.sqlite"))
    connection.execute("PRAGMA foreign_keys = OFF")
    return connection


def _packing(data: bytes) -> None:
    choices = Choices(data)
    shape = choices.below(6)
    image_id, subset, extension, path = choices.texts(4)
    if "\0" in extension + path:
        return  # which no system has in a path
    if id_fault(image_id) is not None or (subset and id_fault(subset) is not None):
        return
    if shape < len(_FOLDERS):
        path = relative_path(_FOLDERS[shape], subset, image_id, extension or "jpg")
    elif shape == len(_FOLDERS):
        path = f"images/{path}"
    try:
        packed = packing.pack(path, subset, image_id)
    except ValueError:
        require(not path or path[0] in ".!#/", f"{path!r} is refused")
        return
    require(len(packed) <= len(path), "packed, it is longer")
    if path.startswith("images/"):
        require(packing.stored(packed), f"{path!r} does not count as stored")
    require(not packing.stored(packed) or path.startswith("images/"), f"{path!r} is not stored")
    require(_shown(image_id, subset, packed) == (image_id, subset, path), f"{path!r} is lost")


def _shown(image_id: str, subset: str, packed: str) -> tuple[str, str, str]:
    """Id, subset and path, as the view has them of a row."""
    manifest = _manifest()
    manifest.execute("BEGIN")
    try:
        manifest.execute("INSERT INTO subsets (id, name) VALUES (77, ?)", [subset])
        manifest.execute(
            "INSERT INTO assets (asset_id, image_id, subset_id, host_id, url, state, code, "
            "updated_at, path) VALUES (1, ?, 77, 1, '', ?, 0, 0, ?)",
            [image_id, _VERIFIED, packed],
        )
        row: tuple[str, str, str] = manifest.execute(
            "SELECT image_id, subset, path FROM images WHERE image_id = ?", [image_id]
        ).fetchone()
    finally:
        manifest.execute("ROLLBACK")
    return row


def _extras(data: bytes) -> None:
    choices = Choices(data)
    width, copies = choices.below(4) + 1, choices.below(12) + 1
    # No list gives a NUL (``source.text``).
    cells = choices.rest().replace(b"\0", b"\x1a").decode(errors="replace").split(PART.decode())
    cells += [""] * (-len(cells) % width)
    rows = [
        Row(2 + n, f"{n}", "", "", Expectation(), tuple(cells[at : at + width]))
        for n, at in enumerate([*range(0, len(cells), width)] * copies)
    ]
    manifest = _manifest()
    manifest.execute("BEGIN")
    try:
        encoded = extras.encode(rows, Names(manifest, "texts"))
        for row, text in zip(rows, encoded, strict=True):
            (found,) = manifest.execute(
                f"SELECT {extras.DECODED} FROM (SELECT ? AS extra) AS d",  # noqa: S608  a constant
                [text],
            ).fetchone()
            require(json.loads(found) == list(row.extra), f"{row.extra} became {found}")
    finally:
        manifest.execute("ROLLBACK")


TARGETS: Final = (
    Target(
        "packing",
        "only ValueError, for a path that is not relative; else the view gives back what went in",
        _packing,
        (
            b"\0a1b2\x1ftrain\x1fjpg", b"\1a1b2\x1f\x1fpng", b"\2a\x1fx y\x1f", b"\3a.b\x1f.\x1f",
            b"\4abc\x1fs\x1f\x1fs/abc/abc.jpg.x", b"\5a\x1f\x1f\x1f!x",
            b"\5abcd\x1fabc\x1f\x1fimages/abc/", "\x01é雨🚢x\x1fü\x1fj".encode(),
            b"\4a\x1f\x1f\x1fa/a", b"\5a\x1f\x1f\x1fmismatched/a/a.",
            "\x00e\u0301x\x1f\x1f".encode(),
        ),
        (b"images/", b"mismatched/", b".", b"!", b"/", "🚢".encode(), b"%", b"_", b"'"),
        longest=200,
    ),
    Target(
        "extras",
        "nothing is raised, and every further column is what it was",
        _extras,
        (
            b"\0\0a\x1fb", b"\1\x0bhttps://licence.example/\x1fA title", b"\2\x0b1\x1f2\x1f[3]",
            b'\3\5"\x1f\\\x1f\\u0041\x1f\x7f', "\x01\x0b雨\x1f🚢\x1f\u2028".encode(), b"\0\x0ba\0b",
        ),
        (b"\0", b'"', b"\\", b"null", b"1", b"[", b"\xef\xbf\xbe", "\U0010ffff".encode()),
        longest=200,
    ),
)  # fmt: skip

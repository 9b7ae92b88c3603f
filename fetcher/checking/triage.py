"""Looking at mismatched bytes: each file once, to say what kind of mismatch it is.

A file is compared with what was recorded of it before it is looked at, so what is said is said of
the bytes that arrived. Nothing is moved, changed or sent.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import NamedTuple, Protocol

from fetcher.checking.bytes import Bytes
from fetcher.checking.files import Examiner, Record
from fetcher.policy import triage
from fetcher.policy.sniff import HEAD, sniff
from fetcher.policy.triage import Facts, Finding, Kind, Picture, Undecoded


class Mismatch(NamedTuple):
    """An image to look at; ``record`` is ``None`` if no file was kept."""

    asset_id: int
    md5: str | None
    record: Record | None
    facts: Facts
    listed: Record | None
    """A stored image with the listed MD5."""
    rotation: str = ""
    """What the list has in a column of that name, if it says anything."""


class Decoder(Protocol):
    def decode(self, at: Bytes) -> Picture | Undecoded:
        """The picture there; never raises for what is in it."""


class Triage:
    """Files are below ``root``."""

    def __init__(self, root: str, decoder: Decoder) -> None:
        self._root = root
        self._decoder = decoder
        self._examiner = Examiner(root)

    def run(
        self, mismatches: Iterator[Mismatch], stopped: Callable[[], bool]
    ) -> Iterator[tuple[Mismatch, Finding]]:
        for mismatch in mismatches:
            if stopped():
                return
            yield mismatch, self.look(mismatch)

    def look(self, mismatch: Mismatch) -> Finding:
        facts = mismatch.facts if mismatch.md5 is not None else Facts()
        if (found := triage.known(facts)) is not None:
            return found
        shared = triage.shared(facts)
        record = mismatch.record
        if record is None:
            return shared or Finding(Kind.NO_BYTES, "no file was kept")
        amiss = self._examiner.examine(record)
        if amiss is not None:
            why = f"{amiss.kind}: {amiss.detail}" if amiss.detail else amiss.kind
            return shared or Finding(Kind.NO_BYTES, why)
        at = Bytes.of(self._root, record)
        try:
            size, head = at.beginning(HEAD)
        except OSError as error:
            return shared or Finding(Kind.NO_BYTES, os.strerror(error.errno or 0))
        found = triage.no_image(size, sniff(head))
        if shared is not None and (found is None or found.kind is Kind.UNKNOWN_BYTES):
            return shared
        if found is not None:
            return found
        came = self._decoder.decode(at)
        where, listed = self._listed(mismatch.listed) if isinstance(came, Picture) else ("", None)
        found = triage.compare(came, listed, where)
        if mismatch.rotation:
            return Finding(
                found.kind,
                f"{found.detail}; the list says Rotation {mismatch.rotation}",
                found.width,
                found.height,
            )
        return found

    def _listed(self, record: Record | None) -> tuple[str, Picture | None]:
        """The listed picture, if it is stored and is what it was."""
        if record is None or self._examiner.examine(record) is not None:
            return "", None
        picture = self._decoder.decode(Bytes.of(self._root, record))
        return record.path, picture if isinstance(picture, Picture) else None

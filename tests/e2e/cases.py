"""A case of the misbehaviour table: what a host does, and what becomes of it.

A case says what its URL answers, request by request; then the state and code that the image ends
in, the number of requests that this took, and what is kept of the bytes. Every image is listed with
the size and MD5 of the same picture unless the case says otherwise.
"""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, replace
from typing import Final, Literal

from fetcher.demo.images import md5_of
from fetcher.demo.steps import Answer, Body, Close, Picture, Step
from scripts.proofs.mirrors import Row

ATTEMPTS: Final = 3
HTTPS: Final = "https://c1.staticflickr.com"
HTTP: Final = "http://c1.staticflickr.com"
SIZE: Final = 30_000
SHOWN: Final = Picture(SIZE, "the listed one")
LARGE: Final = Picture(300_000, "a large one")
SPOOL_ABOVE: Final = 100_000
MAX_BYTES: Final = 1_000_000
CUT: Final = 10_000
GOOD: Final = Answer(SHOWN)
CUT_SHORT: Final = Answer(SHOWN, end=Close(CUT))

State = Literal["verified", "unverified", "mismatched", "gone", "denied", "failed", "invalid"]


@dataclass(frozen=True)
class Case:
    name: str
    steps: tuple[Step, ...]
    """Of the listed URL; without any, the URL is one that is never asked."""
    state: State
    code: str | None = None
    requests: int = 1
    """To the web, for this image, redirects and all."""
    _: KW_ONLY
    listed: Body = SHOWN
    """What the list says of the bytes."""
    size: str | None = None
    md5: str | None = None
    """Where the list says something else."""
    stored: Body | None = None
    """What lies in quarantine; of a verified image it is what is listed."""
    url: str = ""
    elsewhere: tuple[tuple[str, Step], ...] = ()
    """Further paths, where redirects lead."""
    resumed_at: int | None = None
    """The offset that the second request asks for."""

    @property
    def path(self) -> str:
        return f"/{self.name.replace(' ', '-')}"

    @property
    def image_id(self) -> str:
        return self.name.replace(" ", "-").replace("/", "-")

    @property
    def row(self) -> Row:
        data = self.listed.data()
        size = str(len(data)) if self.size is None else self.size
        listed = md5_of(data) if self.md5 is None else self.md5
        return Row(self.image_id, self.url or HTTPS + self.path, size, listed)

    @property
    def kept(self) -> Body | None:
        return self.listed if self.state in {"verified", "unverified"} else self.stored


def alone(*cases: Case) -> tuple[Case, ...]:
    """Each on a host of its own. Who hangs up unannounced, or says more than he should, would else
    do so to whoever uses his connection next; and that depends on who is faster.
    """
    return tuple(
        case if case.url else replace(case, url=f"http://{_host(case)}.test{case.path}")
        for case in cases
    )


def _host(case: Case) -> str:
    return "".join(letter for letter in case.image_id.lower() if letter.isalnum() or letter == "-")

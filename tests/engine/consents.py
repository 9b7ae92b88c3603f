"""Runs that ask for consent: lists of images, and what their origins' robots.txt answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fetcher.model import Arrival, Body, Fault
from fetcher.policy.consent import ConsentRule
from tests.engine.rig import Rig, picture, row
from tests.fakes.transport import Result, image

ORIGIN = "http://a.test"
FILE = f"{ORIGIN}/robots.txt"
NO_FILE = Fault("http-404", http_status=404)
BROKEN = Fault("http-5xx", http_status=503)
DEAD = Fault("connection-refused", "nobody listens")
DAY = 86_400.0


def says(text: str) -> Arrival:
    data = text.encode()
    return Arrival(Body(len(data), data=data), 200, "text/plain", FILE, received=len(data))


FORBIDS_ALL = says("User-agent: *\nDisallow: /")
FORBIDS_SOME = says("User-agent: *\nDisallow: /no\nAllow: /no/but\n\nUser-agent: x\nDisallow: /")


def rig_of(
    files: dict[str, Sequence[Result]],
    *urls: str,
    also: dict[str, Sequence[Result]] | None = None,
    **options: Any,
) -> Rig:
    """A list of ``urls``, each of which answers with its picture; ``files`` by origin."""
    scripts: dict[str, Sequence[Result]] = {
        url: [image(picture(n), url)] for n, url in enumerate(urls)
    }
    scripts |= {f"{origin}/robots.txt": answers for origin, answers in files.items()}
    options.setdefault("consent", ConsentRule("fetcher"))
    return Rig([row(n, url) for n, url in enumerate(urls)], scripts | (also or {}), **options)


def asked(rig: Rig) -> list[str]:
    return [request.url for request in rig.transport.asked]


def images(count: int, origin: str = ORIGIN) -> list[str]:
    return [f"{origin}/{n}" for n in range(count)]

"""What hosts do, and what becomes of it: one line per case, in two mirror runs.

The tables are ``answers``, ``coded`` and ``wires``; the second run is that of the slow, with short
limits.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, fields, is_dataclass
from enum import Enum
from pathlib import Path
from typing import Any, Final

import pytest

from fetcher.demo import steps
from fetcher.demo.images import md5_of, picture
from fetcher.demo.journal import Served
from fetcher.demo.tls import Authority
from scripts.proofs.beside import serving
from scripts.proofs.laws import Image
from tests.e2e import answers, coded, wires
from tests.e2e.cases import ATTEMPTS, MAX_BYTES, SPOOL_ABOVE, Case
from tests.e2e.conftest import Bench
from tests.e2e.littleweb import LittleWeb

CASES: Final = (*answers.TABLE, *coded.TABLE, *wires.TABLE)
PATIENCE: Final = {"retry": {"attempts": ATTEMPTS, "max_retry_after": "1s"}}
IMPATIENCE: Final = {
    "fetch": {"timeout": {"stall": "1s", "total": "2s"}},
    "retry": {"attempts": wires.TWICE},
}


@dataclass(frozen=True, slots=True)
class Seen:
    """What came of all cases."""

    directory: Path
    images: dict[str, Image]
    requests: dict[str, list[Served]]
    """By path."""


def run(
    place: Path, web: LittleWeb, ca_file: Path, cases: Sequence[Case], *layers: Mapping[str, Any]
) -> Seen:
    bench = Bench(place, web, ca_file)
    for case in cases:
        if case.steps:
            web.serve(case.path, *case.steps)
        for path, step in case.elsewhere:
            web.serve(path, step)
    config = bench.config(
        {
            "fetch": {"max_bytes": MAX_BYTES, "spool_above": SPOOL_ABOVE, "concurrency": 256},
            "hosts": {"default": {"concurrency": 256}},
            "consent": {"robots": True},
            "placeholders": {"digests": [md5_of(picture("sorry", 2_051))]},
        },
        PATIENCE,
        *layers,
    )
    done = bench.mirror(bench.rows(case.row for case in cases), config=config)
    assert done.code == 1, done.err
    requests: dict[str, list[Served]] = {}
    for request in web.requests:
        requests.setdefault(request.path, []).append(request)
    return Seen(bench.directory, bench.images(), requests)


@contextmanager
def other_servers(authority: Authority) -> Iterator[dict[str, str]]:
    """A ``connect_to`` for the hosts of ``wires.CONNECTIONS`` that the little web is none of."""
    expired = authority.server_context(wires.EXPIRED, expired=True)
    stranger = Authority.create().server_context(wires.STRANGER)
    with (
        handshakes(expired) as expired_port,
        handshakes(stranger) as stranger_port,
        handshakes(None) as plain_port,
        socket.create_server(("127.0.0.1", 0)) as nobody,
    ):
        ports = {
            wires.EXPIRED: expired_port,
            wires.STRANGER: stranger_port,
            wires.PLAIN: plain_port,
            wires.NOBODY: nobody.getsockname()[1],
        }
        nobody.close()
        yield {f"{host}:443": f"127.0.0.1:{port}" for host, port in ports.items()}


def handshakes(context: ssl.SSLContext | None) -> AbstractContextManager[int]:
    """The port of a server that says nothing beyond TLS, or HTTP where there is none."""

    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    async def start() -> asyncio.Server:
        # A client that hangs up is what is wanted.
        asyncio.get_running_loop().set_exception_handler(lambda *_: None)
        return await asyncio.start_server(answer, "127.0.0.1", 0, ssl=context)

    return serving(start)


@pytest.fixture(scope="module")
def seen(
    tmp_path_factory: pytest.TempPathFactory, authority: Authority, ca_file: Path
) -> Iterator[Seen]:
    with LittleWeb(tls=authority) as web, other_servers(authority) as others:
        usual = web.connect_to("*.staticflickr.com", "s.yimg.com", "*.test")
        network = {"network": {"connect_to": usual | others, "ca_file": str(ca_file)}}
        yield run(tmp_path_factory.mktemp("bench"), web, ca_file, CASES, network)


@pytest.fixture(scope="module")
def seen_of_the_slow(
    tmp_path_factory: pytest.TempPathFactory, authority: Authority, ca_file: Path
) -> Iterator[Seen]:
    with LittleWeb(tls=authority) as web:
        yield run(tmp_path_factory.mktemp("slow"), web, ca_file, wires.SLOW, IMPATIENCE)


def look_at(case: Case, seen: Seen) -> None:
    image = seen.images[case.image_id]
    paths = {case.path, *(path for path, _ in case.elsewhere)}
    requests = sum(len(seen.requests.get(path, ())) for path in paths)
    assert (image.state, image.code, requests) == (case.state, case.code, case.requests)
    kept = case.kept
    if kept is None:
        assert image.path is None
    else:
        assert image.path is not None
        folder = "mismatched" if case.state == "mismatched" else "images"
        assert image.path.startswith(f"{folder}/train/{case.image_id[:3]}/{case.image_id}.")
        assert (seen.directory / image.path).read_bytes() == kept.data()
        assert (image.actual_size, image.actual_md5) == (len(kept.data()), md5_of(kept.data()))
    if case.resumed_at is not None:
        second = seen.requests[case.path][1].headers
        assert second["range"] == f"bytes={case.resumed_at}-"


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_it_ends_as(case: Case, seen: Seen) -> None:
    look_at(case, seen)


@pytest.mark.parametrize("case", wires.SLOW, ids=lambda case: case.name)
def test_of_the_slow(case: Case, seen_of_the_slow: Seen) -> None:
    look_at(case, seen_of_the_slow)


def test_every_case_has_a_name_and_a_path_of_its_own() -> None:
    for cases in (CASES, wires.SLOW):
        names = Counter(case.image_id for case in cases)
        paths = Counter(
            path for case in cases for path in {case.path, *(path for path, _ in case.elsewhere)}
        )
        assert [name for name, count in (names + paths).items() if count > 1] == []


def vocabulary() -> set[object]:
    """All that a script of the little web can say: kinds of values, members, fields of answers."""
    kinds = {
        thing
        for thing in vars(steps).values()
        if isinstance(thing, type) and thing.__module__ == steps.__name__ and is_dataclass(thing)
    }
    members = {member for choice in (steps.Ranges, steps.Validators) for member in choice}
    return kinds | members | {field.name for field in fields(steps.Answer)}


def spoken(value: object) -> Iterator[object]:
    """What of the vocabulary ``value`` makes use of; a field at its default is not used."""
    if isinstance(value, Enum):
        yield value
    elif isinstance(value, tuple):
        for part in value:
            yield from spoken(part)
    elif is_dataclass(value) and not isinstance(value, type):
        yield type(value)
        default = steps.Answer()
        for field in fields(value):
            part = getattr(value, field.name)
            if isinstance(value, steps.Answer) and part != getattr(default, field.name):
                yield field.name
            yield from spoken(part)


def test_nothing_that_the_little_web_can_do_is_left_out() -> None:
    used = {
        word
        for case in (*CASES, *wires.SLOW)
        for step in (*case.steps, *(step for _, step in case.elsewhere))
        for word in spoken(step)
    }
    assert vocabulary() - used == set()

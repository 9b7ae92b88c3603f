"""No image is asked for before its origin's robots.txt has been, and none against it."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Sequence
from itertools import pairwise

import brotli
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from fetcher.engine import EndReason, consent
from fetcher.errors import ManifestError
from fetcher.model import Arrival, Body, Fault, HostBudget, Redirect, RobotsNote, State
from fetcher.policy import robots
from fetcher.policy.consent import ConsentRule, origin_of
from tests.engine.consents import (
    BROKEN,
    DAY,
    DEAD,
    FILE,
    FORBIDS_ALL,
    FORBIDS_SOME,
    NO_FILE,
    ORIGIN,
    asked,
    images,
    rig_of,
    says,
)
from tests.engine.rig import RETRY, Rig, picture, row
from tests.fakes.clock import EPOCH
from tests.fakes.robots import MemoryRobotsBook
from tests.fakes.transport import Result, image

# What is known.


def test_a_file_is_asked_for_once_and_before_all_else() -> None:
    rig = rig_of({ORIGIN: [NO_FILE]}, *images(40))
    assert rig.run().reason is EndReason.COMPLETE
    assert asked(rig)[0] == FILE
    assert asked(rig).count(FILE) == 1
    others = [request.at for request in rig.transport.asked[1:]]
    assert min(others) >= rig.transport.asked[0].at + rig.latency
    assert set(rig.manifest.states.values()) == {State.VERIFIED}
    assert rig.transport.asked[0].request.cut_at == robots.MAX_BYTES


RULES = b"User-agent: *\nDisallow: /"


def coded(label: str, data: bytes) -> Arrival:
    said = Arrival(Body(len(data), data=data), 200, "text/plain", FILE, received=len(data))
    return structs.replace(said, content_encoding=label)


@pytest.mark.parametrize(
    ("label", "data"),
    [
        ("gzip", gzip.compress(RULES, mtime=0)),
        ("gzip", gzip.compress(RULES + b"\n#" * 10_000, mtime=0)[:-9]),  # cut, where it is long
        ("br", brotli.compress(RULES)),
        ("gzip", RULES),  # it is not
        ("identity", RULES),
        ("gzip", gzip.compress(RULES + b"\n" + bytes(64 << 20), mtime=0)),
    ],
)
def test_a_file_that_came_compressed_is_read(label: str, data: bytes) -> None:
    """An owner who says no is not to be missed for what his server does unasked."""
    rig = rig_of({ORIGIN: [coded(label, data)]}, *images(3))
    rig.run()
    assert set(rig.manifest.states.values()) == {State.DENIED}
    assert asked(rig) == [FILE]
    assert len(rig.book.notes[ORIGIN].rules) < 100


def test_a_file_that_cannot_be_read_may_say_no() -> None:
    rig = rig_of({ORIGIN: [coded("x-own", RULES)] * 9}, *images(3))
    rig.run()
    assert set(rig.manifest.states.values()) == {State.FAILED}
    assert {rig.settled(n).code for n in range(3)} == {"robots-unreachable"}
    assert "x-own" in (rig.settled(0).detail or "")
    assert set(asked(rig)) == {FILE}


def test_what_it_forbids_is_never_asked_for() -> None:
    urls = [f"{ORIGIN}/yes", f"{ORIGIN}/no/1", f"{ORIGIN}/no/but/2"]
    rig = rig_of({ORIGIN: [FORBIDS_SOME]}, *urls)
    assert rig.run().reason is EndReason.COMPLETE
    assert sorted(asked(rig)) == sorted([FILE, urls[0], urls[2]])
    denied = rig.settled(1)
    assert (denied.state, denied.code, denied.attempt) == (State.DENIED, "robots", 1)
    assert denied.detail == "robots.txt line 2: Disallow: /no"
    assert denied.http_status is None
    assert rig.state(0) is rig.state(2) is State.VERIFIED


@pytest.mark.parametrize(
    ("text", "state"),
    [
        ("User-agent: *\nDisallow: /", State.DENIED),
        ("User-agent: fetcher\nDisallow: /", State.DENIED),
        ("User-agent: other\nDisallow: /", State.VERIFIED),
        ("User-agent: *\nDisallow: /\n\nUser-agent: Fetcher\nAllow: /", State.VERIFIED),
    ],
)
def test_it_speaks_to_us_or_to_all(text: str, state: State) -> None:
    rig = rig_of({ORIGIN: [says(text)]}, *images(3))
    rig.run()
    assert set(rig.manifest.states.values()) == {state}


def test_each_scheme_host_and_port_has_its_own() -> None:
    origins = ["http://a.test", "https://a.test", "http://a.test:8080", "http://b.test"]
    files: dict[str, Sequence[Result]] = {
        origin: [FORBIDS_ALL if number % 2 else NO_FILE] for number, origin in enumerate(origins)
    }
    rig = rig_of(files, *(f"{origin}/1" for origin in origins))
    rig.run()
    expected = [State.VERIFIED, State.DENIED, State.VERIFIED, State.DENIED]
    assert [rig.state(n) for n in range(4)] == expected


def test_who_is_exempt_or_not_asked_at_all_is_not_asked() -> None:
    for rule in (ConsentRule("fetcher", exempt=("*.test",)), ConsentRule("f", robots=False), None):
        rig = rig_of({ORIGIN: [FORBIDS_ALL]}, *images(3), consent=rule)
        rig.run()
        assert FILE not in asked(rig)
        assert set(rig.manifest.states.values()) == {State.VERIFIED}


def test_what_is_on_disk_needs_nobodys_consent_any_more() -> None:
    rig = rig_of({ORIGIN: [FORBIDS_ALL]})
    assert rig.run().reason is EndReason.COMPLETE
    assert asked(rig) == []


# Over a day, and over runs.


def test_the_next_run_knows_it() -> None:
    first = rig_of({ORIGIN: [FORBIDS_SOME]}, f"{ORIGIN}/1")
    first.run()
    assert first.book.notes[ORIGIN].rules == "2 Disallow: /no\n3 Allow: /no/but"
    again = rig_of({ORIGIN: [FORBIDS_ALL]}, f"{ORIGIN}/no", f"{ORIGIN}/yes", book=first.book)
    again.run()
    assert asked(again) == [f"{ORIGIN}/yes"]
    assert again.state(0) is State.DENIED


@pytest.mark.parametrize(
    ("age", "times"),
    [(0.0, 0), (DAY - 60, 0), (DAY + 60, 1), (40 * DAY, 1), (-60.0, 0), (-2 * DAY, 1)],
)
def test_for_a_day_and_no_longer(age: float, times: int) -> None:
    rig = rig_of({ORIGIN: [NO_FILE]}, *images(3))
    rig.book.notes[ORIGIN] = RobotsNote(ORIGIN, "fetcher", EPOCH - age, "")
    rig.run()
    assert asked(rig).count(FILE) == times


def test_a_run_of_days_asks_every_day() -> None:
    slow = HostBudget(rate=1 / 2_000, burst=1, concurrency=1)
    rig = rig_of({ORIGIN: [NO_FILE, FORBIDS_ALL]}, *images(90), budget=slow)
    assert rig.run().reason is EndReason.COMPLETE
    first, second = rig.transport.times(FILE)
    assert DAY <= second - first < 1.3 * DAY
    states = [rig.state(n) for n in range(90)]
    assert 40 < states.count(State.VERIFIED) < 60
    assert states.count(State.VERIFIED) + states.count(State.DENIED) == 90


@pytest.mark.parametrize(("bound", "most"), [("MOST_SITES", 2), ("MOST_TEXT", 100)])
def test_few_origins_are_remembered_and_the_manifest_all(
    monkeypatch: pytest.MonkeyPatch, bound: str, most: int
) -> None:
    monkeypatch.setattr(consent, bound, most)
    origins = [f"http://h{n}.test" for n in range(6)]
    urls = [f"{origin}/{n}" for n in range(30) for origin in origins]
    budget = HostBudget(rate=10.0, burst=1, concurrency=1)
    rig = rig_of({origin: [FORBIDS_SOME] for origin in origins}, *urls, budget=budget)
    rig.run()
    assert set(rig.manifest.states.values()) == {State.VERIFIED}
    assert sum(url.endswith("robots.txt") for url in asked(rig)) == 6
    assert len(rig.book.recalled) > 6


# Redirects: of images, and of the file.


def test_an_image_is_not_followed_to_where_it_is_not_allowed() -> None:
    files: dict[str, Sequence[Result]] = {ORIGIN: [NO_FILE], "http://b.test": [FORBIDS_SOME]}
    to = {"no": "http://b.test/no", "yes": "http://b.test/yes"}
    rig = rig_of(
        files,
        f"{ORIGIN}/no",
        f"{ORIGIN}/yes",
        f"{ORIGIN}/no-again",
        also={
            f"{ORIGIN}/no": [Redirect(302, to["no"])],
            f"{ORIGIN}/no-again": [Redirect(302, to["no"])],
            f"{ORIGIN}/yes": [Redirect(302, to["yes"])],
            to["yes"]: [image(picture(1), to["yes"])],
        },
        budget=HostBudget(rate=2.0, burst=1, concurrency=1),
    )
    rig.run()
    assert asked(rig).count("http://b.test/robots.txt") == 1
    assert "http://b.test/no" not in asked(rig)
    assert rig.state(1) is State.VERIFIED
    for n in (0, 2):
        denied = rig.settled(n)
        assert (denied.state, denied.code, denied.attempt) == (State.DENIED, "robots", 1)
        assert denied.final_url == "http://b.test/no"
        assert "robots.txt line 2: Disallow: /no" in str(denied.detail)
    assert rig.frontier.slots_taken == rig.frontier.memory_taken == rig.frontier.held == 0


def chain(length: int) -> dict[str, Sequence[Result]]:
    """Redirects from a file over ``length`` hosts."""
    hops = [f"http://hop{n}.test/robots.txt" for n in range(length)]
    return {hop: [Redirect(301, to)] for hop, to in zip([FILE, *hops], hops, strict=False)} | {
        hops[-1]: [FORBIDS_ALL]
    }


@pytest.mark.parametrize(
    ("length", "state"), [(1, State.DENIED), (5, State.DENIED), (6, State.VERIFIED)]
)
def test_five_redirects_of_a_file_are_followed_over_hosts(length: int, state: State) -> None:
    rig = rig_of({}, *images(2), also=chain(length))
    rig.run()
    assert set(rig.manifest.states.values()) == {state}
    assert rig.book.notes.keys() == {ORIGIN}


@pytest.mark.parametrize(
    "target",
    ["ftp://a.test/robots.txt", "http://gone.test/x", "http:///", "http://a.test/robots.txt"],
)
def test_a_file_that_redirects_to_where_nothing_is_is_none(target: str) -> None:
    secure = "https://a.test"
    rig = rig_of({secure: [Redirect(302, target)]}, f"{secure}/1")
    rig.run()
    assert asked(rig) == [f"{secure}/robots.txt", f"{secure}/1"]


# Law 4, and endings.


def test_the_file_is_charged_to_the_budget() -> None:
    rig = rig_of({ORIGIN: [BROKEN, NO_FILE]}, *images(5), budget=HostBudget(1.0, 1, 8))
    rig.run()
    times = rig.transport.times(ORIGIN)
    assert len(times) == 7
    assert all(later - earlier >= 1 for earlier, later in pairwise(times))


@pytest.mark.parametrize("files", [[BROKEN], [FORBIDS_ALL], [NO_FILE]])
@pytest.mark.parametrize("limit", [1, 5])
def test_a_limit_is_kept(files: list[Result], limit: int) -> None:
    rig = rig_of({ORIGIN: files}, *images(20), limit=limit)
    assert rig.run().reason is EndReason.LIMIT
    assert len(rig.manifest.settled) == limit
    assert not rig.manifest.leased


@pytest.mark.parametrize("when", [0.01, 0.06, 0.3, 0.7])
def test_stopping_returns_those_who_wait(when: float) -> None:
    rig = rig_of({ORIGIN: [BROKEN]}, *images(20), at={when: lambda e: e.stop("SIGINT")})
    assert rig.run().reason is EndReason.STOPPED
    assert not rig.manifest.leased
    assert rig.frontier.held == 0
    assert set(rig.manifest.states.values()) == {State.PENDING}


def test_what_was_learned_while_stopping_is_kept() -> None:
    rig = rig_of({ORIGIN: [FORBIDS_SOME]}, *images(5), latency=1.0, at={0.5: lambda e: e.stop("x")})
    rig.run()
    assert asked(rig) == [FILE]
    assert ORIGIN in rig.book.notes


class SlowBook(MemoryRobotsBook):
    """Says that an earlier run was told that nothing is allowed; but it takes a second."""

    async def recall(self, origins: Sequence[str], token: str) -> dict[str, RobotsNote]:
        await asyncio.sleep(1.0)
        text = "2 Disallow: /"
        return {origin: RobotsNote(origin, token, EPOCH, text) for origin in origins}


@pytest.mark.parametrize("when", [0.5, 1.5])
def test_stopping_while_the_manifest_is_asked_returns_those_who_wait(when: float) -> None:
    """Whom it would refuse then, nobody would settle any more."""
    stop = {when: lambda e: e.stop("x")}
    rig = rig_of({ORIGIN: [NO_FILE]}, *images(5), book=SlowBook(), at=stop)
    rig.run()
    assert asked(rig) == []
    assert not rig.manifest.leased
    settled = set(rig.manifest.states.values())
    assert settled == ({State.PENDING} if when < 1.0 else {State.DENIED})


class BrokenBook(MemoryRobotsBook):
    async def recall(self, origins: Sequence[str], token: str) -> dict[str, RobotsNote]:
        raise ManifestError(f"{token} knows nothing of {origins}")


def test_a_manifest_that_breaks_ends_the_run_with_its_error() -> None:
    with pytest.raises(ManifestError):
        rig_of({ORIGIN: [NO_FILE]}, *images(3), book=BrokenBook()).run()


ANSWERS = st.sampled_from(
    [
        NO_FILE,
        BROKEN,
        DEAD,
        FORBIDS_ALL,
        FORBIDS_SOME,
        Fault("rate-limited", http_status=429, retry_after=7.0),
        Fault("no-route"),
        Fault("dns-not-found"),
        Redirect(302, "http://c.test/robots.txt"),
        Redirect(302, "ftp://c.test/"),
    ]
)
FILES = st.lists(ANSWERS, max_size=4).flatmap(
    lambda some: st.sampled_from([NO_FILE, BROKEN, DEAD, FORBIDS_SOME]).map(
        lambda last: [*some, last]
    )
)
IMAGES = st.lists(
    st.sampled_from(
        [
            Fault("http-5xx", http_status=500),
            Fault("http-404", http_status=404),
            Redirect(302, "http://b.test/no/1"),
            Redirect(302, "http://b.test/yes"),
            Redirect(302, "http://c.test/no/but/1"),
            image(picture(0), "http://a.test/x"),
        ]
    ),
    min_size=1,
    max_size=3,
)
PATHS = st.sampled_from(["no/1", "no/but/1", "yes"])


@given(
    st.lists(FILES, min_size=3, max_size=3),
    st.lists(st.tuples(st.sampled_from("abc"), PATHS, IMAGES), min_size=1, max_size=8),
)
def test_nothing_is_asked_for_before_its_file_or_against_it_and_all_comes_to_an_end(
    files: list[list[Result]], listed: list[tuple[str, str, list[Result]]]
) -> None:
    scripts: dict[str, Sequence[Result]] = {
        f"http://{host}.test/robots.txt": answers
        for host, answers in zip("abc", files, strict=True)
    }
    urls = []
    for number, (host, path, answers) in enumerate(listed):
        urls.append(f"http://{host}.test/{path}?{number}")
        scripts[urls[-1]] = answers
    for target in ("http://b.test/no/1", "http://b.test/yes", "http://c.test/no/but/1"):
        scripts[target] = [image(picture(0), target)]
    rig = Rig(
        [row(n, url, picture(0)) for n, url in enumerate(urls)],
        scripts,
        consent=ConsentRule("fetcher"),
    )
    assert rig.run().reason is EndReason.COMPLETE
    assert all(state.terminal for state in rig.manifest.states.values())
    assert not rig.manifest.leased
    assert rig.frontier.slots_taken == rig.frontier.memory_taken == rig.frontier.held == 0
    for n in range(len(urls)):
        assert len(rig.history(n)) <= RETRY.attempts
    known: set[str] = set()
    for request in rig.transport.asked:
        origin = origin_of(request.url)
        assert origin is not None
        if request.request.cut_at is None:
            assert origin.url in known
            note = rig.book.notes[origin.url]
            assert robots.Robots(note.rules).objection(request.url) is None
        else:
            known.add(origin.url)

"""What hosts do, and what becomes of it: one line per case, all of them in one mirror run.

A case says what its URL answers, request by request; then the state and code that the image ends
in, the number of requests that this took, and what is kept of the bytes. Every image is listed with
the size and MD5 of the same picture unless the case says otherwise.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import Final, Literal

import pytest

from fetcher.demo.images import md5_of, picture
from fetcher.demo.journal import Served
from fetcher.demo.steps import (
    GARBAGE,
    HANG_UP,
    PLACEHOLDER,
    RESET,
    Answer,
    Body,
    Bytes,
    Chunked,
    Close,
    Flipped,
    Gzipped,
    HttpDate,
    Length,
    Picture,
    Ranges,
    Raw,
    Reset,
    Step,
    UntilClose,
    Validators,
    html,
    redirect,
    status,
    throttled,
    xml,
)
from fetcher.demo.tls import Authority
from scripts.proofs.laws import Image
from scripts.proofs.mirrors import Row
from tests.e2e.conftest import Bench
from tests.e2e.littleweb import LittleWeb

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


def tagged(*values: str) -> Answer:
    """The picture, with an X-Robots-Tag for each value."""
    return Answer(SHOWN, headers=tuple(("X-Robots-Tag", value) for value in values))


def hops(count: int) -> tuple[tuple[str, Step], ...]:
    """A chain of ``count`` redirects, the first of which is the listed URL's own."""
    chain = [(f"/chain-{count}-{n}", redirect(f"/chain-{count}-{n + 1}")) for n in range(1, count)]
    return (*chain, (f"/chain-{count}-{count}", GOOD))


ANSWERED: Final[tuple[tuple[int, State, str, int], ...]] = (
    (401, "denied", "http-401", 1),
    (403, "denied", "http-403", 1),
    (451, "denied", "http-451", 1),
    (404, "gone", "http-404", 1),
    (410, "gone", "http-410", 1),
    (400, "failed", "http-4xx", ATTEMPTS),
    (405, "failed", "http-4xx", ATTEMPTS),
    (416, "failed", "http-4xx", ATTEMPTS),
    (500, "failed", "http-5xx", ATTEMPTS),
    (502, "failed", "http-5xx", ATTEMPTS),
    (503, "failed", "http-5xx", ATTEMPTS),
    (204, "failed", "http-unexpected", ATTEMPTS),
    (206, "failed", "http-unexpected", ATTEMPTS),
    (304, "failed", "http-unexpected", ATTEMPTS),
    (302, "failed", "http-unexpected", ATTEMPTS),  # leads nowhere
    (299, "failed", "http-unexpected", ATTEMPTS),
)
STATUSES: Final = tuple(
    Case(f"status {answered}", (status(answered),), state, code, requests)
    for answered, state, code, requests in ANSWERED
)

PASSING: Final = (
    Case("good", (GOOD,), "verified"),
    Case("503 once", (status(503), GOOD), "verified", None, 2),
    Case("500 until the last attempt", (status(500), status(502), GOOD), "verified", None, 3),
    Case("503 an attempt too long", (*[status(503)] * ATTEMPTS, GOOD), "failed", "http-5xx", 3),
    Case("hang up once", (HANG_UP, GOOD), "verified", None, 2),
    Case("hang up always", (HANG_UP,), "failed", "connection-reset", ATTEMPTS),
    Case("reset once", (RESET, GOOD), "verified", None, 2),
    Case("reset always", (RESET,), "failed", "connection-reset", ATTEMPTS),
    Case("garbage once", (GARBAGE, GOOD), "verified", None, 2),
    Case("garbage always", (GARBAGE,), "failed", "protocol-error", ATTEMPTS),
    Case(
        "endless header",
        (Raw(b"HTTP/1.1 200 OK\r\nX-Long: " + b"x" * 100_000 + b"\r\n\r\n"),),
        "failed",
        "protocol-error",
        ATTEMPTS,
    ),
)

RETRY_AFTER: Final = (
    ("seconds", 1),
    ("date", HttpDate(1)),
    ("nothing", None),
    ("zero", 0),
    ("past-date", "Sun, 06 Nov 1994 08:49:37 GMT"),
    ("nonsense", "soon"),
    ("negative", "-5"),
)
THROTTLED: Final = (
    *(
        # A host group each: what one asks for must not hold up the others.
        Case(f"{code}-{name}", (throttled(value, code), GOOD), "verified", None, 2,
             url=f"http://{name}-{code}.test/{code}-{name}")
        for code in (429, 503)
        for name, value in RETRY_AFTER
    ),
    Case("throttled-always", (throttled(),), "failed", "rate-limited", ATTEMPTS,
         url="http://always.test/throttled-always"),
)  # fmt: skip

RESUMED: Final = (
    Case("closed midway", (CUT_SHORT, GOOD), "verified", None, 2, resumed_at=CUT),
    Case("reset midway", (Answer(SHOWN, end=Reset(CUT)), GOOD), "verified", None, 2),
    Case("cut at the first byte", (Answer(SHOWN, end=Close(1)), GOOD), "verified", None, 2,
         resumed_at=1),
    Case("cut before the last byte", (Answer(SHOWN, end=Close(SIZE - 1)), GOOD), "verified", None,
         2, resumed_at=SIZE - 1),
    Case("cut before any byte", (Answer(SHOWN, end=Close(0)), GOOD), "verified", None, 2),
    Case("cut twice",
         (CUT_SHORT, Answer(SHOWN, end=Close(CUT)), GOOD), "verified", None, 3, resumed_at=CUT),
    Case("cut always at nothing", (Answer(SHOWN, end=Close(0)),), "failed", "truncated", ATTEMPTS),
    Case("chunked and cut", (Answer(SHOWN, framing=Chunked(4_096), end=Close(8_192)), GOOD),
         "verified", None, 2, resumed_at=8_192),
    Case("cut without a length", (Answer(SHOWN, framing=UntilClose(), end=Close(CUT)), GOOD),
         "verified", None, 2, resumed_at=CUT),
    Case("cut and spooled", (Answer(LARGE, end=Close(200_000)), Answer(LARGE)),
         "verified", None, 2, listed=LARGE, resumed_at=200_000),
    Case("range ignored", (CUT_SHORT, Answer(SHOWN, ranges=Ranges.IGNORED)), "verified", None, 2,
         resumed_at=CUT),
    Case("range refused", (CUT_SHORT, Answer(SHOWN, ranges=Ranges.REFUSED)), "verified", None, 3),
    Case("range from the first", (CUT_SHORT, Answer(SHOWN, ranges=Ranges.SHIFTED)),
         "verified", None, 3),
    Case("range with the wrong bytes", (CUT_SHORT, Answer(SHOWN, ranges=Ranges.MISLABELLED)),
         "verified", None, 3),
    Case("range without a label", (CUT_SHORT, Answer(SHOWN, ranges=Ranges.UNLABELLED)),
         "verified", None, 3),
    Case("range of another size", (CUT_SHORT, Answer(SHOWN, ranges=Ranges.RESIZED)),
         "verified", None, 3),
    Case("range cut in half", (CUT_SHORT, Answer(SHOWN, ranges=Ranges.SHORT)), "verified", None, 3),
    Case("changed meanwhile", (Answer(Picture(SIZE, "older"), end=Close(CUT)), GOOD),
         "verified", None, 2, resumed_at=CUT),
    Case("changed without a validator",
         (Answer(Picture(SIZE, "older"), end=Close(CUT), validators=Validators.NONE),
          Answer(SHOWN, validators=Validators.NONE)),
         "verified", None, 3, resumed_at=CUT),
    Case("changed with a weak validator",
         (Answer(Picture(SIZE, "older"), end=Close(CUT), validators=Validators.WEAK),
          Answer(SHOWN, validators=Validators.WEAK)),
         "verified", None, 3, resumed_at=CUT),
    Case("a 404 for the rest", (CUT_SHORT, status(404)), "gone", "http-404", 2),
    Case("an error between the parts", (CUT_SHORT, status(503), GOOD), "verified", None, 3),
    Case("one byte rotten in the rest", (CUT_SHORT, Answer(Flipped(SHOWN, SIZE - 5))),
         "mismatched", "md5-mismatch", 3, stored=Flipped(SHOWN, SIZE - 5)),
)  # fmt: skip

LENGTHS: Final = (
    Case("no length", (Answer(SHOWN, framing=UntilClose()),), "verified"),
    Case("chunked", (Answer(SHOWN, framing=Chunked()),), "verified"),
    Case("in chunks of one byte", (Answer(SHOWN, framing=Chunked(1)),), "verified"),
    Case("spooled", (Answer(LARGE),), "verified", listed=LARGE),
    Case("spooled and chunked", (Answer(LARGE, framing=Chunked()),), "verified", listed=LARGE),
    # The 416 to a request for more says that there is no more.
    Case("length too large", (Answer(SHOWN, framing=Length(10)),), "verified", None, 2,
         resumed_at=SIZE),
    Case("length too large and no ranges",
         (Answer(SHOWN, framing=Length(10), ranges=Ranges.IGNORED),),
         "failed", "truncated", ATTEMPTS),
    # What comes after the declared end is no answer, and puts the one before it in doubt.
    Case("length too small", (Answer(SHOWN, framing=Length(-10)),), "failed", "protocol-error",
         ATTEMPTS),
    Case("too large", (Answer(Picture(MAX_BYTES + 1)),), "mismatched", "too-large"),
    Case("too large and chunked", (Answer(Picture(MAX_BYTES + 1), framing=Chunked()),),
         "mismatched", "too-large"),
    Case("as large as may be", (Answer(Picture(MAX_BYTES)),), "verified",
         listed=Picture(MAX_BYTES)),
)  # fmt: skip

BODIES: Final = (
    Case("html", (html(),), "mismatched", "not-an-image", stored=html().body),
    Case("html said to be html", (html("text/html"),), "mismatched", "not-an-image",
         stored=html().body),
    Case("xml", (xml(),), "mismatched", "not-an-image", stored=xml().body),
    Case("empty", (Answer(),), "mismatched", "not-an-image", stored=Bytes(b"")),
    Case("one byte flipped", (Answer(Flipped(SHOWN, 15_000)),), "mismatched", "md5-mismatch",
         stored=Flipped(SHOWN, 15_000)),
    Case("another size", (Answer(Picture(SIZE + 1)),), "mismatched", "size-mismatch",
         stored=Picture(SIZE + 1)),
    Case("another image", (Answer(Picture(SIZE, "other")),), "mismatched", "md5-mismatch",
         stored=Picture(SIZE, "other")),
    Case("gzip unasked", (Answer(Gzipped(SHOWN)),), "mismatched", "not-an-image",
         stored=Gzipped(SHOWN)),
    # What is listed is what counts, whatever it looks like.
    Case("gzip listed", (Answer(Gzipped(SHOWN)),), "verified", listed=Gzipped(SHOWN)),
    Case("html listed", (html(),), "verified", listed=html().body),
    Case("said to be text", (Answer(SHOWN, type="text/plain"),), "verified"),
    Case("png", (Answer(Picture(SIZE, "p", "png")),), "verified", listed=Picture(SIZE, "p", "png")),
    Case("gif", (Answer(Picture(SIZE, "g", "gif")),), "verified", listed=Picture(SIZE, "g", "gif")),
    Case("only the size listed", (GOOD,), "verified", md5=""),
    Case("only the MD5 listed", (GOOD,), "verified", size=""),
    Case("nothing listed", (GOOD,), "unverified", size="", md5=""),
    Case("html and nothing listed", (html(),), "mismatched", "not-an-image", size="", md5="",
         stored=html().body),
    Case("right size and html", (Answer(Bytes(b"<html>" + b" " * (SIZE - 6))),), "mismatched",
         "not-an-image", stored=Bytes(b"<html>" + b" " * (SIZE - 6))),
    Case("known placeholder", (Answer(Picture(2_051, "sorry")),), "gone", "placeholder"),
)  # fmt: skip

REDIRECTS: Final = (
    Case("relative", (redirect("relative-2"),), "verified", None, 2,
         elsewhere=(("/relative-2", GOOD),)),
    Case("absolute path", (redirect("/absolute-2", 307),), "verified", None, 2,
         elsewhere=(("/absolute-2", GOOD),)),
    Case("to another host", (redirect("https://farm2.staticflickr.com/farm", 301),), "verified",
         None, 2, elsewhere=(("/farm", GOOD),)),
    Case("to another group", (redirect("https://s.yimg.com/group", 308),), "verified", None, 2,
         elsewhere=(("/group", GOOD),)),
    Case("with a space", (redirect("/a space", 303),), "verified", None, 2,
         elsewhere=(("/a%20space", GOOD),)),
    Case("with a fragment", (redirect("/fragment#here", 303),), "verified", None, 2,
         elsewhere=(("/fragment", GOOD),)),
    Case("five hops", (redirect("/chain-5-1"),), "verified", None, 6, elsewhere=hops(5)),
    Case("six hops", (redirect("/chain-6-1"),), "failed", "too-many-redirects", 6 * ATTEMPTS,
         elsewhere=hops(6)),
    Case("loop", (redirect("/loop"),), "failed", "too-many-redirects", 6 * ATTEMPTS),
    Case("loop of two", (redirect("/loop-2"),), "failed", "too-many-redirects", 6 * ATTEMPTS,
         elsewhere=(("/loop-2", redirect("/loop-of-two")),)),
    Case("to a 404", (redirect("/missing"),), "gone", "http-404", 2,
         elsewhere=(("/missing", status(404)),)),
    Case("to a 503 once", (redirect("/busy"), redirect("/relative-3")), "verified", None, 4,
         elsewhere=(("/busy", status(503)), ("/relative-3", GOOD))),
    Case("placeholder", (redirect(PLACEHOLDER),), "gone", "placeholder"),
    Case("placeholder large",
         (redirect("https://s.yimg.com/pw/images/en-us/photo_unavailable_l.png"),),
         "gone", "placeholder"),
    Case("placeholder after a hop", (redirect("/moved"),), "gone", "placeholder", 2,
         elsewhere=(("/moved", redirect(PLACEHOLDER)),)),
    Case("to file", (redirect("file:///etc/passwd"),), "invalid", "bad-scheme"),
    Case("to ftp", (redirect("ftp://ftp.invalid/a.jpg"),), "invalid", "bad-scheme"),
    Case("to data", (redirect("data:image/gif;base64,R0lGODlh"),), "invalid", "bad-scheme"),
    Case("to no host", (redirect("https://:443/a.jpg"),), "invalid", "bad-url"),
    Case("to plain http", (redirect(f"{HTTP}/plain"),), "invalid", "insecure-redirect"),
    Case("from plain http", (redirect(f"{HTTPS}/secure"),), "verified", None, 2,
         url=f"{HTTP}/from-plain-http", elsewhere=(("/secure", GOOD),)),
    Case("to a name that is none", (redirect("https://gone.invalid/"),), "gone", "dns-not-found"),
    *(
        Case(f"to {name}", (redirect(f"https://{host}/inside"),), "invalid", "blocked-address")
        for name, host in (
            ("loopback", "127.0.0.1"),
            ("loopback in IPv6", "[::1]"),
            ("mapped loopback", "[::ffff:127.0.0.1]"),
            ("ten", "10.1.2.3"),
            ("link local", "169.254.169.254"),
            ("a local name", "localhost"),
        )
    ),
    # An address to some parsers, and to others a name.
    Case("to a number", (redirect("https://2130706433/"),), "invalid", "bad-url"),
)  # fmt: skip

UNASKED: Final = (
    Case("loopback", (), "invalid", "blocked-address", 0, url="http://127.0.0.1/a.jpg"),
    Case("local name", (), "invalid", "blocked-address", 0, url="http://localhost/a.jpg"),
    Case("private", (), "invalid", "blocked-address", 0, url="http://192.168.1.1/a.jpg"),
    Case("mapped", (), "invalid", "blocked-address", 0, url="http://[::ffff:10.0.0.1]/a.jpg"),
    Case("link local", (), "invalid", "blocked-address", 0, url="http://[fe80::1]/a.jpg"),
    Case("any", (), "invalid", "blocked-address", 0, url="http://0.0.0.0/a.jpg"),
    Case("octal", (), "invalid", "bad-url", 0, url="http://0177.0.0.1/a.jpg"),
    Case("no such name", (), "gone", "dns-not-found", 0, url="https://photos.invalid/a.jpg"),
    Case("a stranger's certificate", (), "failed", "tls-error", 0, url="https://wrong.test/a.jpg"),
)

OPTED_OUT: Final = (
    *(
        Case(f"opted out with {name}", (tagged(*values),), "denied", "opted-out")
        for name, values in (
            ("noai", ("noai",)),
            ("noimageai", ("noimageai",)),
            ("noindex", ("nofollow, noindex",)),
            ("noimageindex", ("NoImageIndex",)),
            ("a second header", ("nofollow", "noai")),
            ("our name", ("fetcher: noindex",)),
            ("a date before it", ("unavailable_after: 25 Jun 2099 15:00:00 GMT, noai",)),
        )
    ),
    Case("somebody else opted out", (tagged("otherbot: noindex, noai"),), "verified"),
    Case("other uses opted out", (tagged("nofollow, nosnippet, max-snippet: 0"),), "verified"),
    Case("opted out after a hop", (redirect("/opted"),), "denied", "opted-out", 2,
         elsewhere=(("/opted", tagged("noai")),)),
    Case("opted out of the rest", (CUT_SHORT, tagged("noai")), "denied", "opted-out", 2,
         resumed_at=CUT),
)  # fmt: skip

URLS: Final = (
    Case("with credentials", (GOOD,), "verified",
         url="http://me:s3cret@c1.staticflickr.com/with-credentials"),
    Case("with a query", (), "verified", url=f"{HTTP}/q?a=1&b=%2F",
         elsewhere=(("/q?a=1&b=%2F", GOOD),)),
    Case("with umlauts", (), "verified", url=f"{HTTP}/ä.jpg", elsewhere=(("/%C3%A4.jpg", GOOD),)),
    Case("in capitals", (GOOD,), "verified", url="HTTP://C1.StaticFlickr.COM/in-capitals"),
    Case("with a dot", (GOOD,), "verified", url="http://c1.staticflickr.com./with-a-dot"),
)  # fmt: skip

CASES: Final = (
    *STATUSES,
    *PASSING,
    *THROTTLED,
    *RESUMED,
    *LENGTHS,
    *BODIES,
    *REDIRECTS,
    *UNASKED,
    *OPTED_OUT,
    *URLS,
)


@dataclass(frozen=True, slots=True)
class Seen:
    """What came of all cases."""

    directory: Path
    images: dict[str, Image]
    requests: dict[str, list[Served]]
    """By path."""


@pytest.fixture(scope="module")
def seen(
    tmp_path_factory: pytest.TempPathFactory, authority: Authority, ca_file: Path
) -> Iterator[Seen]:
    with LittleWeb(tls=authority) as web:
        bench = Bench(tmp_path_factory.mktemp("bench"), web, ca_file)
        for case in CASES:
            if case.steps:
                web.serve(case.path, *case.steps)
            for path, step in case.elsewhere:
                web.serve(path, step)
        config = bench.config(
            {
                "fetch": {"max_bytes": MAX_BYTES, "spool_above": SPOOL_ABOVE, "concurrency": 256},
                "hosts": {"default": {"concurrency": 256}},
                "retry": {"attempts": ATTEMPTS},
                "consent": {"robots": True},
                "placeholders": {"digests": [md5_of(picture("sorry", 2_051))]},
            }
        )
        done = bench.mirror(bench.rows(case.row for case in CASES), config=config)
        assert done.code == 1, done
        requests: dict[str, list[Served]] = {}
        for request in web.requests:
            requests.setdefault(request.path, []).append(request)
        yield Seen(bench.directory, bench.images(), requests)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_it_ends_as(case: Case, seen: Seen) -> None:
    image = seen.images[case.image_id]
    assert (image.state, image.code) == (case.state, case.code)
    paths = {case.path, *(path for path, _ in case.elsewhere)}
    requests = sum(len(seen.requests.get(path, ())) for path in paths)
    assert requests == case.requests
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

"""What hosts answer: HTTP that a server would send, a line for each case."""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

from fetcher.demo.steps import (
    GARBAGE,
    HANG_UP,
    PLACEHOLDER,
    RESET,
    Answer,
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
    Trickle,
    UntilClose,
    Validators,
    html,
    redirect,
    status,
    throttled,
    xml,
)
from tests.e2e.cases import (
    ATTEMPTS,
    CUT,
    CUT_SHORT,
    GOOD,
    HTTP,
    HTTPS,
    LARGE,
    MAX_BYTES,
    SHOWN,
    SIZE,
    Case,
    State,
    alone,
)


def hops(count: int) -> tuple[tuple[str, Step], ...]:
    """A chain of ``count`` redirects, the first of which is the listed URL's own."""
    chain = [(f"/chain-{count}-{n}", redirect(f"/chain-{count}-{n + 1}")) for n in range(1, count)]
    return (*chain, (f"/chain-{count}-{count}", GOOD))


OF_THEIR_OWN: Final[dict[int, tuple[State, str]]] = {
    401: ("denied", "http-401"),
    403: ("denied", "http-403"),
    451: ("denied", "http-451"),
    404: ("gone", "http-404"),
    410: ("gone", "http-410"),
}
OF_A_CLASS: Final = {4: "http-4xx", 5: "http-5xx"}
ANSWERED: Final = sorted(
    {known.value for known in HTTPStatus if known >= HTTPStatus.OK}  # 1xx are no answers
    | {299, 399, 499, 520, 599, 600, 999}
)


def answered(code: int) -> Case:
    """A status alone, redirects without a target among them."""
    name, only = f"status {code}", (status(code),)
    if code in OF_THEIR_OWN:
        return Case(name, only, *OF_THEIR_OWN[code])
    return Case(name, only, "failed", OF_A_CLASS.get(code // 100, "http-unexpected"), ATTEMPTS)


STATUSES: Final = tuple(
    answered(code)
    for code in ANSWERED
    if code not in {HTTPStatus.OK, HTTPStatus.TOO_MANY_REQUESTS}  # they have their own below
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
    ("signed", "+1"),
    ("fraction", "1.5"),
    ("empty", ""),
    ("twice", "1, 1"),
    ("foreign-digits", "\u0661"),
    ("obsolete-date", "Sunday, 06-Nov-94 08:49:37 GMT"),
    ("asctime", "Sun Nov  6 08:49:37 1994"),
    ("date-without-end", "Fri, 31 Dec 9999 23:59:59 GMT"),  # cut to max_retry_after
    ("years", "9" * 400),
    ("half-a-date", "Sun, 06 Nov"),
    ("impossible-date", "Sun, 31 Feb 2099 25:61:61 GMT"),
)
THROTTLED: Final = (
    *(
        # A host group each: what one asks for must not hold up the others.
        Case(f"{code}-{name}", (throttled(value, code), GOOD), "verified", None, 2,
             url=f"http://{name}-{code}.test/{code}-{name}")
        for code in (429, 503)
        for name, value in RETRY_AFTER
    ),
    Case("gone and asked to wait", (status(404, ("Retry-After", "1")),), "gone", "http-404",
         url="http://gone.test/gone-and-asked-to-wait"),
    Case("failed and asked to wait", (status(500, ("Retry-After", "1")), GOOD), "verified", None, 2,
         url="http://failed.test/failed-and-asked-to-wait"),
    Case("throttled-always", (throttled(),), "failed", "rate-limited", ATTEMPTS,
         url="http://always.test/throttled-always"),
)  # fmt: skip

RESUMED: Final = (
    Case("reset before the body", (Answer(SHOWN, end=Reset(0)), GOOD), "verified", None, 2),
    Case("reset always midway", (Answer(SHOWN, end=Reset(CUT), ranges=Ranges.IGNORED),), "failed",
         "connection-reset", ATTEMPTS),
    Case("reset at the first byte", (Answer(SHOWN, end=Reset(1)), GOOD), "verified", None, 2,
         resumed_at=1),
    Case("chunked and reset", (Answer(SHOWN, framing=Chunked(4_096), end=Reset(8_192)), GOOD),
         "verified", None, 2, resumed_at=8_192),
    Case("chunked and cut before its end",
         (Answer(SHOWN, framing=Chunked(), end=Close(SIZE)), GOOD), "verified", None, 2,
         resumed_at=SIZE),
    Case("changed with a date alone",
         (Answer(Picture(SIZE, "older"), end=Close(CUT), validators=Validators.DATE),
          Answer(SHOWN, validators=Validators.DATE)),
         "verified", None, 3, resumed_at=CUT),
    Case("several parts for the rest",
         (CUT_SHORT, Answer(SHOWN, 206, type="multipart/byteranges; boundary=x"), GOOD),
         "verified", None, 3, resumed_at=CUT),
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
    *alone(
    Case("closed after the last byte", (Answer(SHOWN, end=Close()),), "verified"),
    Case("reset after the last byte", (Answer(SHOWN, end=Reset()),), "verified"),
    Case("chunked and closed after it", (Answer(SHOWN, framing=Chunked(), end=Close()),),
         "verified"),
    ),
    Case("paced", (Answer(SHOWN, pace=Trickle(10_000, 0.01)),), "verified"),
    Case("too large without a length",
         (Answer(Picture(MAX_BYTES + 1), framing=UntilClose()),), "mismatched", "too-large"),
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
    # What was declared is the body, however TCP cuts what comes after it.
    Case("length too small", (Answer(SHOWN, framing=Length(-10)),), "mismatched", "size-mismatch",
         stored=Bytes(SHOWN.data()[:-10])),
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
    Case("a byte less", (Answer(Picture(SIZE - 1)),), "mismatched", "size-mismatch",
         stored=Picture(SIZE - 1)),
    Case("json", (Answer(Bytes(b'{"error": "no"}', "application/json")),), "mismatched",
         "not-an-image", stored=Bytes(b'{"error": "no"}')),
    Case("text", (Answer(Bytes(b"no such photo", "image/jpeg")),), "mismatched", "not-an-image",
         stored=Bytes(b"no such photo")),
    Case("empty until it is closed", (Answer(framing=UntilClose()),), "failed", "truncated",
         ATTEMPTS),
    Case("empty and chunked", (Answer(framing=Chunked()),), "mismatched", "not-an-image",
         stored=Bytes(b"")),
    Case("another size", (Answer(Picture(SIZE + 1)),), "mismatched", "size-mismatch",
         stored=Picture(SIZE + 1)),
    Case("another image", (Answer(Picture(SIZE, "other")),), "mismatched", "md5-mismatch",
         stored=Picture(SIZE, "other")),
    # The image is what comes out, unless what came is the listed image already.
    Case("gzip unasked", (Answer(Gzipped(SHOWN)),), "verified"),
    Case("gzip unasked and spooled", (Answer(Gzipped(LARGE)),), "verified", listed=LARGE),
    Case("gzip listed", (Answer(Gzipped(SHOWN)),), "verified", listed=Gzipped(SHOWN)),
    Case("gzip of another image", (Answer(Gzipped(Picture(SIZE, "other"))),), "mismatched",
         "md5-mismatch", stored=Picture(SIZE, "other")),
    Case("gzip of a page", (Answer(Gzipped(html().body)),), "mismatched", "not-an-image",
         stored=Gzipped(html().body)),
    Case("gzip cut, and the rest of it",
         (Answer(Gzipped(SHOWN), end=Close(CUT)), Answer(Gzipped(SHOWN))), "verified", None, 2,
         resumed_at=CUT),
    Case("said to be gzip", (Answer(SHOWN, headers=(("Content-Encoding", "gzip"),)),), "verified"),
    Case("a page said to be gzip",
         (Answer(html().body, headers=(("Content-Encoding", "gzip"),)),), "mismatched",
         "not-an-image", stored=html().body),
    Case("a bomb", (Answer(Gzipped(Bytes(b"\xff\xd8\xff\xe0" + bytes(8 * MAX_BYTES)))),),
         "mismatched", "not-an-image",
         stored=Gzipped(Bytes(b"\xff\xd8\xff\xe0" + bytes(8 * MAX_BYTES)))),
    # What is listed is what counts, whatever it looks like.
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
    Case("without a scheme", (redirect("//farm2.staticflickr.com/schemeless"),), "verified", None,
         2, elsewhere=(("/schemeless", GOOD),)),
    Case("up and down", (redirect("./a/../b/./up-and-down-2"),), "verified", None, 2,
         elsewhere=(("/b/up-and-down-2", GOOD),)),
    Case("a query alone", (redirect("?a=1"),), "verified", None, 2,
         elsewhere=(("/a-query-alone?a=1", GOOD),)),
    Case("an empty target", (redirect(""),), "failed", "too-many-redirects", 6 * ATTEMPTS),
    Case("two targets", (status(302, ("Location", "/two-1"), ("Location", "/two-2")),), "verified",
         None, 2, elsewhere=(("/two-1", GOOD),)),
    Case("not by a status that redirects", (redirect("/nowhere", 300),), "failed",
         "http-unexpected", ATTEMPTS),
    Case("to javascript", (redirect("javascript:alert(1)"),), "invalid", "bad-scheme"),
    Case("to gopher", (redirect("gopher://a.example/1"),), "invalid", "bad-scheme"),
    Case("to credentials", (redirect("https://me:s3cret@farm2.staticflickr.com/mine"),), "verified",
         None, 2, elsewhere=(("/mine", GOOD),)),
    Case("to a long way", (redirect("/" + "x" * 9_000),), "failed", "protocol-error", ATTEMPTS),
    Case("to the unspecified address", (redirect("https://0.0.0.0/inside"),), "invalid",
         "blocked-address"),
    Case("to an octal address", (redirect("https://0177.0.0.1/inside"),), "invalid", "bad-url"),
    Case("to a hexadecimal address", (redirect("https://0x7f.1/inside"),), "invalid", "bad-url"),
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

URLS: Final = (
    Case("with credentials", (GOOD,), "verified",
         url="http://me:s3cret@c1.staticflickr.com/with-credentials"),
    Case("with a query", (), "verified", url=f"{HTTP}/q?a=1&b=%2F",
         elsewhere=(("/q?a=1&b=%2F", GOOD),)),
    Case("with umlauts", (), "verified", url=f"{HTTP}/ä.jpg", elsewhere=(("/%C3%A4.jpg", GOOD),)),
    Case("in capitals", (GOOD,), "verified", url="HTTP://C1.StaticFlickr.COM/in-capitals"),
    Case("with a dot", (GOOD,), "verified", url="http://c1.staticflickr.com./with-a-dot"),
)  # fmt: skip


def tagged(*values: str) -> Answer:
    """The picture, with an X-Robots-Tag for each value."""
    return Answer(SHOWN, headers=tuple(("X-Robots-Tag", value) for value in values))


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

TABLE: Final = (
    *STATUSES,
    *PASSING,
    *THROTTLED,
    *RESUMED,
    *LENGTHS,
    *BODIES,
    *REDIRECTS,
    *UNASKED,
    *URLS,
    *OPTED_OUT,
)

"""What comes over the wire and is no proper HTTP, or no connection at all: a line for each case."""

from __future__ import annotations

from typing import Final

from fetcher.demo.steps import (
    SILENCE,
    Answer,
    Close,
    End,
    Picture,
    Raw,
    Reset,
    Stall,
    Step,
    Trickle,
)
from tests.e2e.cases import ATTEMPTS, GOOD, HTTP, HTTPS, SHOWN, SIZE, Case, alone

DATA: Final = SHOWN.data()
LENGTH: Final = f"Content-Length: {SIZE}"
CHUNKED: Final = "Transfer-Encoding: chunked"
WHOLE: Final = b"%x\r\n%b\r\n0\r\n\r\n" % (SIZE, DATA)
OK: Final = "HTTP/1.1 200 OK"


def said(*lines: str, body: bytes = DATA, end: End = Close()) -> Step:  # noqa: B008  frozen
    """A head of these lines, and a body."""
    return Raw("\r\n".join((*lines, "", "")).encode() + body, end)


def interim(count: int, line: str = "HTTP/1.1 100 Continue\r\n\r\n") -> Step:
    return Raw(line.encode() * count + f"{OK}\r\n{LENGTH}\r\n\r\n".encode() + DATA)


HEADS: Final = alone(
    Case("a proper head", (said(OK, LENGTH),), "verified"),
    Case("closed in the head", (Raw(b"HTTP/1.1 200 OK\r\nContent-"), GOOD), "verified", None, 2),
    Case("reset in the head", (Raw(b"HTTP/1.1 200 OK\r\nContent-", Reset()), GOOD), "verified",
         None, 2),
    Case("reset in the head always", (Raw(b"HTTP/1.1 200 OK\r\nContent-", Reset()),), "failed",
         "connection-reset", ATTEMPTS),
    Case("HTTP 0.9", (Raw(DATA),), "failed", "protocol-error", ATTEMPTS),
    Case("HTTP 1.0 without a length", (said("HTTP/1.0 200 OK"),), "verified"),
    Case("HTTP 1.0 that keeps alive",
         (said("HTTP/1.0 200 OK", LENGTH, "Connection: keep-alive"),), "verified"),
    # What is only old, or careless, is read; the digest has the last word.
    Case("HTTP 2.0", (said("HTTP/2.0 200 OK", LENGTH),), "verified"),
    Case("HTTP 9.9", (said("HTTP/9.9 200 OK", LENGTH),), "failed", "protocol-error", ATTEMPTS),
    Case("another protocol", (Raw(b"220 ftp.example ready\r\n"),), "failed", "protocol-error",
         ATTEMPTS),
    Case("a status of two digits", (said("HTTP/1.1 20 OK", LENGTH),), "failed", "protocol-error",
         ATTEMPTS),
    Case("a status of letters", (said("HTTP/1.1 abc OK", LENGTH),), "failed", "protocol-error",
         ATTEMPTS),
    Case("a status without a reason", (said("HTTP/1.1 200", LENGTH),), "verified"),
    Case("line feeds alone", (Raw(f"{OK}\n{LENGTH}\n\n".encode() + DATA),), "verified"),
    Case("a header without a colon", (said(OK, LENGTH, "nonsense"),), "failed", "protocol-error",
         ATTEMPTS),
    Case("a space before the colon", (said(OK, "Content-Length : 5"),), "failed", "protocol-error",
         ATTEMPTS),
    Case("a NUL in a header", (said(OK, LENGTH, "X: a\0b"),), "failed", "protocol-error", ATTEMPTS),
    Case("a header in two lines", (said(OK, LENGTH, "X: a", " b"),), "verified"),
    Case("a header of 64 KiB", (said(OK, LENGTH, "X: " + "x" * 65_536),), "failed",
         "protocol-error", ATTEMPTS),
    Case("more headers than anyone needs", (said(OK, *["X: y"] * 50_000, LENGTH),), "failed",
         "protocol-error", ATTEMPTS),
    Case("an interim answer", (interim(1),), "verified"),
    Case("early hints", (interim(1, "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"),),
         "verified"),
    Case("as many interim answers as are borne", (interim(16),), "verified"),
    Case("a flood of interim answers", (interim(5_000),), "failed", "protocol-error", ATTEMPTS),
    Case("interim answers alone", (Raw(b"HTTP/1.1 100 Continue\r\n\r\n" * 1_000),), "failed",
         "protocol-error", ATTEMPTS),
    Case("a switch of protocols nobody asked for",
         (said("HTTP/1.1 101 Switching Protocols", "Upgrade: x", "Connection: upgrade"),),
         "failed", "http-unexpected", ATTEMPTS),
)  # fmt: skip

FRAMES: Final = alone(
    Case("the same length twice", (said(OK, LENGTH, LENGTH),), "failed", "protocol-error",
         ATTEMPTS),
    Case("two lengths", (said(OK, LENGTH, "Content-Length: 5"),), "failed", "protocol-error",
         ATTEMPTS),
    Case("a list of lengths", (said(OK, f"{LENGTH}, {SIZE}"),), "failed", "protocol-error",
         ATTEMPTS),
    Case("a negative length", (said(OK, "Content-Length: -5"),), "failed", "protocol-error",
         ATTEMPTS),
    Case("a signed length", (said(OK, f"Content-Length: +{SIZE}"),), "failed", "protocol-error",
         ATTEMPTS),
    Case("a length of letters", (said(OK, "Content-Length: many"),), "failed", "protocol-error",
         ATTEMPTS),
    Case("an empty length", (said(OK, "Content-Length:"),), "failed", "protocol-error", ATTEMPTS),
    Case("a length of 2 to the 63", (said(OK, f"Content-Length: {2**63}"),), "mismatched",
         "too-large"),
    Case("a length beyond all bounds", (said(OK, "Content-Length: " + "9" * 40),), "failed",
         "protocol-error", ATTEMPTS),
    Case("a length and chunks", (said(OK, LENGTH, CHUNKED, body=WHOLE),), "failed",
         "protocol-error", ATTEMPTS),
    Case("proper chunks", (said(OK, CHUNKED, body=WHOLE),), "verified"),
    Case("chunks with extensions",
         (said(OK, CHUNKED, body=b"%x;a=b\r\n%b\r\n0\r\n\r\n" % (SIZE, DATA)),), "verified"),
    Case("chunks with a trailer",
         (said(OK, CHUNKED, body=WHOLE[:-2] + b"X-Sum: 1\r\n\r\n"),), "verified"),
    Case("a chunk size of letters", (said(OK, CHUNKED, body=b"zz\r\n" + DATA),), "failed",
         "protocol-error", ATTEMPTS),
    Case("a negative chunk size", (said(OK, CHUNKED, body=b"-5\r\n" + DATA),), "failed",
         "protocol-error", ATTEMPTS),
    Case("a chunk size beyond all bounds",
         (said(OK, CHUNKED, body=b"f" * 40 + b"\r\n" + DATA),), "failed", "protocol-error",
         ATTEMPTS),
    Case("a chunk longer than it says",
         (said(OK, CHUNKED, body=b"5\r\n" + DATA + b"\r\n0\r\n\r\n"), GOOD), "verified", None, 2),
    Case("chunks that never end", (said(OK, CHUNKED, body=WHOLE[:-5]), GOOD), "verified", None, 2),
    Case("cut in the size of a chunk", (said(OK, CHUNKED, body=b"75"), GOOD), "verified", None, 2),
    # Without chunks, it ends where the connection does (RFC 9112 section 6.3).
    Case("a coding nobody knows", (said(OK, "Transfer-Encoding: rot13"),), "verified"),
    Case("two answers to one request",
         (said(OK, LENGTH, body=DATA + f"{OK}\r\n{LENGTH}\r\n\r\n".encode() + DATA), GOOD),
         "verified"),
    Case("a status without a body and a body",
         (said("HTTP/1.1 204 No Content", LENGTH),), "failed", "http-unexpected", ATTEMPTS),
    Case("not modified and a body",
         (said("HTTP/1.1 304 Not Modified", LENGTH),), "failed", "http-unexpected", ATTEMPTS),
    Case("a part that nobody asked for",
         (said("HTTP/1.1 206 Partial Content", LENGTH, f"Content-Range: bytes 0-9999/{SIZE}"),),
         "failed", "http-unexpected", ATTEMPTS),
)  # fmt: skip

EXPIRED, STRANGER, PLAIN, NOBODY = "expired.test", "stranger.test", "plain.test", "nobody.test"

CONNECTIONS: Final = (
    Case("nobody listens", (), "failed", "connection-refused", 0, url=f"https://{NOBODY}/a.jpg"),
    Case("an expired certificate", (), "failed", "tls-error", 0, url=f"https://{EXPIRED}/a.jpg"),
    Case("an unknown authority", (), "failed", "tls-error", 0, url=f"https://{STRANGER}/a.jpg"),
    Case("no TLS at all", (), "failed", "tls-error", 0, url=f"https://{PLAIN}/a.jpg"),
    # It is their robots.txt that is asked for again and again.
    Case("to nobody", (Answer(status=302, headers=(("Location", f"https://{NOBODY}/"),)),),
         "failed", "connection-refused"),
    Case("to an expired certificate",
         (Answer(status=302, headers=(("Location", f"https://{EXPIRED}/"),)),), "failed",
         "tls-error"),
    Case("over plain HTTP", (GOOD,), "verified", url=f"{HTTP}/over-plain-HTTP"),
    Case("over TLS", (GOOD,), "verified", url=f"{HTTPS}/over-TLS"),
)  # fmt: skip

NEVER: Final = "a gate that nobody opens"

TWICE: Final = 2
"""The attempts of those that take long."""

SLOW: Final = alone(
    Case("silence", (SILENCE,), "failed", "stalled", TWICE),
    Case("silence once", (SILENCE, GOOD), "verified", None, 2),
    Case("stalled in the head", (Raw(b"HTTP/1.1 200 OK\r\nContent-", Stall()),), "failed",
         "stalled", TWICE),
    Case("stalled behind the head", (Answer(SHOWN, end=Stall(0)),), "failed", "stalled", TWICE),
    Case("stalled midway once", (Answer(SHOWN, end=Stall(10_000)), GOOD), "verified", None, 2,
         resumed_at=10_000),
    Case("stalled behind the last byte", (Answer(SHOWN, end=Stall()),), "verified"),
    Case("held for long", (Answer(SHOWN, delay=60),), "failed", "stalled", TWICE),
    Case("held for ever", (Answer(SHOWN, gate=NEVER),), "failed", "stalled", TWICE),
    Case("a trickle", (Answer(Picture(SIZE, "t"), pace=Trickle(1, 0.05)),), "failed",
         "total-timeout", TWICE, listed=Picture(SIZE, "t")),
    Case("interim answers for ever",
         (Raw(b"HTTP/1.1 100 Continue\r\n\r\n" * 1_000, Stall()),), "failed",
         "protocol-error", TWICE),
)  # fmt: skip
"""Where the limits on time decide; those of the run are short."""

TABLE: Final = (*HEADS, *FRAMES, *CONNECTIONS)

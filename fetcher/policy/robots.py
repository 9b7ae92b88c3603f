"""robots.txt: what an origin's file says of a URL, and what it means that there is none (RFC 9309).

An origin's file is hostile input. Protego reads patterns (wildcards, percent-encoding, the longest
match wins), in time that is linear in the rules; but it keeps every agent's rules, so that a file
of many agents and many rules takes memory and time in proportion to their product: 80 kB of it were
measured at 6 s and 570 MB. And to it, ``User-agent: f`` means all that begin with an f. So which
lines are for us is found out here, in one pass over the file, and Protego sees no others.

What is kept of a file is text: its lines that are for us, each with its number in the file, which
is also the evidence. For nearly all origins that is nothing at all, and nothing is ever matched.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable
from enum import Enum, auto
from functools import lru_cache
from typing import Final, NamedTuple

from protego import Protego

from fetcher.model import Fate, Fault
from fetcher.policy import codes

PATH: Final = "/robots.txt"
MAX_BYTES: Final = 500 * 1024
"""Of a file are read, the least that RFC 9309 section 2.5 asks for."""
FRESH: Final = 86_400.0
"""Seconds for which a file may be relied on (section 2.4)."""
MOST_RULES: Final = 5_000
"""For us in one file. A file with more is none that anyone has written for people like us; what it
would allow is not looked for. The limit bounds the time that a hostile one takes for each image."""
EXPLAINED: Final = 500
"""Disallow lines of one file among which the one that decided is looked for."""

LONGEST_SHOWN: Final = 200
"""Characters of a line."""

_FIELDS: Final = re.compile(
    # Spellings that occur; Protego knows the same ones. The colon may be missing.
    r"(?:(?P<agent>user[- ]?agent)|(?P<disallow>diss?all?ow|diasllow|disallaw)|(?P<allow>allow))"
    r"(?:\s*:|\s)\s*(?P<value>.*)",
    re.IGNORECASE,
)
_TOKEN: Final = re.compile(r"[^\s/*(]+")
_EVERYONE: Final = "*"
_MARK: Final = "\N{ZERO WIDTH NO-BREAK SPACE}"
"""Of an encoding, in front of a file, or of one that was joined to another."""
_TOO_MANY: Final = "0 too many rules"


class Rule(NamedTuple):
    """A line of a file. ``text`` is ``Allow: …`` or ``Disallow: …``, as it is written there."""

    line: int
    text: str

    @classmethod
    def read(cls, line: str) -> Rule:
        """Of a line of what ``rules_for`` made."""
        number, text = line.split(" ", 1)
        return cls(int(number), text)

    @property
    def forbids(self) -> bool:
        return self.text.startswith("Disallow")


class Robots:
    """What one file says to us. ``rules`` is what ``rules_for`` made of it."""

    __slots__ = ("_forbidding", "_parsed", "_refuses_all", "rules")

    def __init__(self, rules: str) -> None:
        self.rules = rules
        self._refuses_all = rules == _TOO_MANY
        read = () if self._refuses_all else tuple(map(Rule.read, rules.splitlines()))
        self._forbidding = tuple(rule for rule in read if rule.forbids)
        self._parsed = _parse(rule.text for rule in read) if self._forbidding else None

    def objection(self, url: str) -> str | None:
        """``None`` if ``url`` may be asked for, else the rule that says otherwise, for people."""
        if self._parsed is None:
            return f"robots.txt has more than {MOST_RULES} rules" if self._refuses_all else None
        try:
            if self._parsed.can_fetch(url, _EVERYONE):
                return None
            return self._explain(url)
        except ValueError:
            return None  # no URL to the parser, and so none to the transport, which says why

    def _explain(self, url: str) -> str:
        if len(self._forbidding) > EXPLAINED:
            return f"robots.txt, one of its {len(self._forbidding)} Disallow lines"
        saying = [
            rule for rule in self._forbidding if not _alone(rule.text).can_fetch(url, _EVERYONE)
        ]
        rule = max(saying, key=lambda rule: len(rule.text))
        return f"robots.txt line {rule.line}: {_shown(rule.text)}"


EVERYTHING: Final = Robots("")
"""No file, or none with a rule for us: everything is allowed."""


def rules_for(token: str, body: bytes) -> str:
    """The lines of a file that are for the product ``token``, in the text that ``Robots`` takes.

    These are all groups that name it; only where none does, those of ``*`` (section 2.2.1). Names
    are compared without case and version. A file that only allows, has no rules.
    """
    # To bytes, only CR and LF end a line, as in section 2.2.
    lines = _utf8(body[:MAX_BYTES]).splitlines(keepends=True)
    if len(body) >= MAX_BYTES and lines and not lines[-1].endswith((b"\r", b"\n")):
        lines.pop()  # cut somewhere, it may forbid more than it did
    ours: list[Rule] = []
    everyones: list[Rule] = []
    named = heading = False
    is_ours = is_everyones = False
    for number, line in enumerate(lines, 1):
        text = line.split(b"#", 1)[0].decode(errors="replace")
        match = _FIELDS.fullmatch(text.lstrip(_MARK).strip())
        if match is None:
            continue  # what is no rule does not part groups (section 2.2.4)
        value = match["value"]
        if match["agent"] is not None:
            if not heading:
                is_ours = is_everyones = False
            heading = True
            name = _product(value)
            is_everyones = is_everyones or name == _EVERYONE
            is_ours = is_ours or name == token.lower()
            named = named or is_ours
            continue
        heading = False
        if value and (is_ours or is_everyones):
            verb = "Disallow" if match["disallow"] is not None else "Allow"
            rule = Rule(number, f"{verb}: {value}")
            if is_ours:
                ours.append(rule)
            if is_everyones:
                everyones.append(rule)
    return _text(ours if named else everyones)


def _utf8(body: bytes) -> bytes:
    """What a file that begins with the mark of UTF-16 says: it is none that section 2.3 allows, but
    that is no reason not to hear it.
    """
    if body.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return body.decode("utf-16", errors="replace").encode(errors="replace")
    return body


def _product(value: str) -> str:
    """The product that a User-agent line names, in lower case: of ``Fetcher/1.0``, ``fetcher``."""
    if value.startswith(_EVERYONE):
        return _EVERYONE
    match = _TOKEN.match(value)
    return match[0].lower() if match is not None else ""


def _text(rules: list[Rule]) -> str:
    if not any(rule.forbids for rule in rules):
        return ""
    if len(rules) > MOST_RULES:
        return _TOO_MANY
    # What ends a line for text, and did not for bytes, is escaped as a URL would have it.
    return "\n".join(f"{rule.line} {_ENDS.sub(_escaped, rule.text)}" for rule in rules)


_ENDS: Final = re.compile("[\v\f\x1c-\x1e\x85\u2028\u2029]")


def _escaped(match: re.Match[str]) -> str:
    return "".join(f"%{byte:02X}" for byte in match[0].encode())


def _parse(lines: Iterable[str]) -> Protego:
    return Protego.parse("\n".join((f"User-agent: {_EVERYONE}", *lines)))


@lru_cache(maxsize=1_024)
def _alone(line: str) -> Protego:
    return _parse((line,))


def _shown(text: str) -> str:
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)[
        :LONGEST_SHOWN
    ]


# What it means if no file comes.


class Meaning(Enum):
    """Of a fault that befell the request for an origin's file."""

    UNRESTRICTED = auto()
    """There is none (section 2.3.1.3): everything is allowed."""
    UNREACHABLE = auto()
    """There may be one (section 2.3.1.4): nothing is allowed until that is known."""
    SHARED = auto()
    """It is about the host as such, and so befalls whatever is asked of it."""


_ANSWERED_NO: Final = frozenset({"http-401", "http-403", "http-404", "http-410", "http-451"})
_NO_CONTENT: Final = 204


def meaning(fault: Fault, *, redirected: bool) -> Meaning:
    """What a fault, not of our own side, says. ``redirected``: of the way that redirects led.

    A client error says that there is none, but for 429, which says "not now". What a redirect may
    not lead to, or leads to for ever, is taken for unavailable, as section 2.3.1.2 has it for more
    than five of them.
    """
    if fault.code in _ANSWERED_NO or fault.code == "http-4xx":
        return Meaning.UNRESTRICTED
    if fault.http_status == _NO_CONTENT:
        return Meaning.UNRESTRICTED
    if fault.code == "too-many-redirects":
        return Meaning.UNRESTRICTED
    if codes.fate(fault.code) is not Fate.PERMANENT:
        return Meaning.UNREACHABLE
    return Meaning.UNRESTRICTED if redirected else Meaning.SHARED


def befalls(fault: Fault, origin: str) -> Fault:
    """What an image of ``origin`` ends with whose robots.txt could not be had for ``fault``.

    If the host answered nothing, it is no other than what would have befallen the image itself.
    """
    code = "robots-unreachable" if fault.http_status is not None else fault.code
    seen = f": {fault.detail}" if fault.detail else ""
    status = f" {fault.http_status}" if fault.http_status is not None else ""
    return Fault(code, f"asked for {origin}{PATH}: {fault.code}{status}{seen}")

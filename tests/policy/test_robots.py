"""robots.txt: RFC 9309 as a table and as laws, and files that mean harm."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from protego import Protego

from fetcher.model import Fate, Fault
from fetcher.policy import robots
from fetcher.policy.codes import CODES
from fetcher.policy.robots import Meaning, Robots, rules_for

HOST = "https://example.org"


def said(body: str | bytes, path: str) -> str | None:
    """The line that forbids ``path``, without what stands in front of it."""
    data = body.encode() if isinstance(body, str) else body
    objection = Robots(rules_for("fetcher", data)).objection(HOST + path)
    return objection.removeprefix("robots.txt ") if objection is not None else None


OURS = "User-agent: fetcher\n"
ALL = "User-agent: *\n"


@pytest.mark.parametrize(
    ("body", "path", "objection"),
    [
        # No file, no rule, no rule for us.
        ("", "/a", None),
        ("<!doctype html><title>Not found</title>", "/a", None),
        (ALL + "Disallow:", "/a", None),
        ("User-agent: other\nDisallow: /", "/a", None),
        ("Disallow: /", "/a", None),
        (ALL + "Allow: /", "/a", None),
        # For all, and for us: our own group is the only one, if there is one.
        (ALL + "Disallow: /", "/a", "line 2: Disallow: /"),
        (OURS + "Disallow: /x\n" + ALL + "Disallow: /", "/a", None),
        (OURS + "Disallow:\n" + ALL + "Disallow: /", "/a", None),
        (ALL + "Disallow: /\n" + OURS + "Disallow: /x", "/x/1", "line 4: Disallow: /x"),
        # Marks of an encoding: UTF-8 may have one, also where files were joined; UTF-16 is no
        # text to RFC 9309, but an owner's word.
        ("\ufeff" + ALL + "Disallow: /", "/a", "line 2: Disallow: /"),
        ("\ufeff\ufeff" + ALL + "Disallow: /", "/a", "line 2: Disallow: /"),
        ("# a\n\ufeff" + ALL + "Disallow: /", "/a", "line 3: Disallow: /"),
        ((ALL + "Disallow: /ü").encode("utf-16"), "/%C3%BC", "line 2: Disallow: /ü"),
        (b"\xfe\xff" + (ALL + "Disallow: /").encode("utf-16-be"), "/a", "line 2: Disallow: /"),
        (b"\xff\xfe" + (ALL + "Disallow: /").encode("utf-16-le") + b"a", "/a", None),
        # Names: without case and version, whole, and several over one group.
        ("user-AGENT: FETCHER\nDISALLOW: /", "/a", "line 2: Disallow: /"),
        ("User-agent: fetcher/1.0 (x)\nDisallow: /", "/a", "line 2: Disallow: /"),
        ("User-agent: fetch\nDisallow: /", "/a", None),
        ("User-agent: fetcher-two\nDisallow: /", "/a", None),
        ("User-agent: f\nDisallow: /", "/a", None),
        ("User-agent: other\n" + OURS + "Disallow: /", "/a", "line 3: Disallow: /"),
        (OURS + "User-agent: other\nDisallow: /", "/a", "line 3: Disallow: /"),
        # Groups of one name are one group, wherever they stand.
        (
            OURS + "Disallow: /a\nUser-agent: x\nDisallow: /\n" + OURS + "Disallow: /b",
            "/b",
            "line 6: Disallow: /b",
        ),
        # What is no rule does not part a group's names.
        (OURS + "Crawl-delay: 5\nUser-agent: x\nDisallow: /", "/a", "line 4: Disallow: /"),
        (OURS + "Sitemap: https://x.org/s\n\n# a\n\nDisallow: /", "/a", "line 6: Disallow: /"),
        # The longest match wins; of equals, Allow does.
        (ALL + "Disallow: /\nAllow: /a", "/a/1", None),
        (ALL + "Allow: /a\nDisallow: /a/private", "/a/private/1", "line 3: Disallow: /a/private"),
        (ALL + "Disallow: /a\nAllow: /a", "/a", None),
        (ALL + "Disallow: /\nDisallow: /a/b\nDisallow: /a", "/a/b", "line 3: Disallow: /a/b"),
        # Wildcards and ends.
        (ALL + "Disallow: /*.gif$", "/a.gif", "line 2: Disallow: /*.gif$"),
        (ALL + "Disallow: /*.gif$", "/a.gif?x", None),
        (ALL + "Disallow: /a*/c", "/ab/b/c/d", "line 2: Disallow: /a*/c"),
        (ALL + "Disallow: *", "/a", "line 2: Disallow: *"),
        (ALL + "Disallow: /a$", "/ab", None),
        # Paths are compared with case, queries count, and escapes do not matter.
        (ALL + "Disallow: /A", "/a", None),
        (ALL + "Disallow: /*?size=", "/a?size=9", "line 2: Disallow: /*?size="),
        (ALL + "Disallow: /a b", "/a%20b", "line 2: Disallow: /a b"),
        (ALL + "Disallow: /%7Eme", "/~me/1", "line 2: Disallow: /%7Eme"),
        (ALL + "Disallow: /ü", "/%C3%BC", "line 2: Disallow: /ü"),
        (ALL + "Disallow: /a%2fb", "/a%2Fb", "line 2: Disallow: /a%2fb"),
        (ALL + "Disallow: /a%2Fb", "/a/b", None),
        # Spellings, comments, ends of lines.
        ("Useragent: *\nDissallow: /", "/a", "line 2: Disallow: /"),
        ("User agent *\nDisallow /", "/a", "line 2: Disallow: /"),
        (ALL + "Disallow : /a # not this # one", "/a", "line 2: Disallow: /a"),
        ("\ufeffUser-agent: *\nDisallow: /", "/a", "line 2: Disallow: /"),
        ("User-agent: *\r\nDisallow: /\r\n", "/a", "line 2: Disallow: /"),
        ("User-agent: *\rDisallow: /\r", "/a", "line 2: Disallow: /"),
        (b"User-agent: *\nDisallow: /\xff\xfe\nDisallow: /a", "/a", "line 3: Disallow: /a"),
        ("User-agent: *\nDisallow: /a\x0bDisallow: /b", "/b", None),
        ("User-agent: *\nDisallow: /a\u2028Disallow: /b", "/b", None),
        # It says nothing of itself.
        (ALL + "Disallow: /", "/robots.txt", None),
    ],
)
def test_what_a_file_says(body: str | bytes, path: str, objection: str | None) -> None:
    assert said(body, path) == objection


def test_the_line_is_shown_harmlessly_and_cut() -> None:
    shown = said(
        ALL + "Disallow: /\x1b[31m\nDisallow: *\x07" + "a" * 1_000, "/" + "\x07" + "a" * 1_000
    )
    assert shown is not None
    assert shown.isprintable()
    assert len(shown) < 250


def test_no_more_is_read_than_a_crawler_has_to() -> None:
    rule = b"User-agent: *\nDisallow: /a\n"
    padding = b"#" * (robots.MAX_BYTES - len(rule) - 1) + b"\n"
    assert said(rule + padding, "/a")
    assert said(padding + rule, "/a")
    assert not said(padding + b"\n" + rule, "/a")


def test_a_rule_that_the_limit_cuts_is_not_taken_for_a_shorter_one() -> None:
    head = b"User-agent: *\n#"
    tail = b"\nDisallow: /a"
    body = head + b"#" * (robots.MAX_BYTES - len(head) - len(tail)) + tail
    assert len(body) == robots.MAX_BYTES
    assert not said(body + b"bcdef\n", "/a")
    assert said(body.replace(b"##", b"#", 1) + b"\n", "/a")


def test_the_text_of_most_files_is_nothing() -> None:
    assert rules_for("fetcher", b"User-agent: x\nDisallow: /\n" + ALL.encode()) == ""
    assert rules_for("fetcher", b"User-agent: *\nAllow: /\nDisallow:\n") == ""


# Laws.

PATHS = st.text("ab/", max_size=6).map("/{}".format)
RULES = st.lists(st.tuples(st.booleans(), PATHS), max_size=8)


@given(RULES, PATHS)
def test_the_longest_rule_that_matches_decides(rules: list[tuple[bool, str]], path: str) -> None:
    lines = [f"{'Allow' if allows else 'Disallow'}: {prefix}" for allows, prefix in rules]
    matching = [(len(prefix), allows) for allows, prefix in rules if path.startswith(prefix)]
    allowed = max(matching)[1] if matching else True
    assert (said("\n".join([ALL.strip(), *lines]), path) is None) == allowed


LINES = st.one_of(
    st.sampled_from(["fetcher", "*", "Other", "other"]).map("User-agent: {}".format),
    st.tuples(st.sampled_from(["Allow", "Disallow"]), st.text("ab/*$%2F?=ü ", max_size=8)).map(
        lambda rule: f"{rule[0]}: /{rule[1]}"
    ),
    st.sampled_from(["", "# x", "Disallow:", "Sitemap: https://x.org/"]),
)
URLS = st.text("ab/$?=ü%", max_size=8).map("/{}".format)


@given(st.lists(LINES, max_size=12), URLS)
def test_where_names_are_whole_it_is_what_the_library_says_of_the_file(
    lines: list[str], path: str
) -> None:
    text = "\n".join(lines)
    allowed = Protego.parse(text).can_fetch(HOST + path, "fetcher")
    assert (said(text, path) is None) == allowed


@given(st.lists(LINES, max_size=12), URLS)
def test_an_objection_names_a_line_that_forbids(lines: list[str], path: str) -> None:
    objection = said("\n".join(lines), path)
    if objection is not None:
        number = int(objection.split()[1].rstrip(":"))
        assert lines[number - 1].startswith("Disallow: ")


@given(st.binary(max_size=200))
def test_whatever_comes_is_read_and_kept_as_text(body: bytes) -> None:
    rules = rules_for("fetcher", b"User-agent: *\nDisallow: /a" + body)
    assert Robots(rules).rules == rules
    rules.encode()
    assert rules.splitlines() == (rules.split("\n") if rules else [])


# Files that mean harm: each of these takes minutes, or all memory, if it is read naively.


def test_many_agents_times_many_rules() -> None:
    agents = b"".join(b"User-agent: a%d\n" % n for n in range(14_000))
    rules = b"Disallow: /\n" * 20_000
    assert said(agents + rules, "/a") is None
    assert said(agents + b"User-agent: *\nDisallow: /x\n" + rules[:1_000], "/x")


@pytest.mark.parametrize("filler", [b" ", b"\t", b":", b"*", b"%", b"#", b"\xff", b"a ", b"$"])
def test_lines_without_an_end(filler: bytes) -> None:
    body = filler * (robots.MAX_BYTES // len(filler))
    for field in (b"", b"User-agent", b"User-agent:", b"Disallow", b"User-agent: *\nDisallow: /"):
        said(field + body, "/" + "a" * 2_000)


def test_wildcards_without_end() -> None:
    stars = "*a" * 100_000
    assert said(f"{ALL}Disallow: /{stars}b", "/" + "a" * 100_001) is None
    assert said(f"{ALL}Disallow: /{stars}", "/" + "a" * 100_001)
    rules = "".join(f"Disallow: /*a*a*a*a*b{n}\n" for n in range(robots.MOST_RULES))
    assert said(ALL + rules, "/" + "a" * 2_000) is None


def test_more_rules_than_are_looked_at_allow_nothing() -> None:
    rules = "".join(f"Disallow: /{n}\n" for n in range(robots.MOST_RULES + 1))
    assert said(ALL + rules, "/a") == f"has more than {robots.MOST_RULES} rules"
    assert said(OURS + "Disallow: /x\n" + ALL + rules, "/a") is None


def test_where_the_line_is_not_looked_for_the_file_is_named() -> None:
    rules = "".join(f"Disallow: /{n}\n" for n in range(robots.EXPLAINED + 1))
    objection = Robots(rules_for("fetcher", (ALL + rules).encode())).objection(f"{HOST}/7")
    assert objection == f"robots.txt, one of its {robots.EXPLAINED + 1} Disallow lines"


# What it means if no file comes.


MEANINGS = {
    # There is none.
    "http-401": Meaning.UNRESTRICTED,
    "http-403": Meaning.UNRESTRICTED,
    "http-404": Meaning.UNRESTRICTED,
    "http-410": Meaning.UNRESTRICTED,
    "http-451": Meaning.UNRESTRICTED,
    "http-4xx": Meaning.UNRESTRICTED,
    "too-many-redirects": Meaning.UNRESTRICTED,
    # There may be one.
    "rate-limited": Meaning.UNREACHABLE,
    "http-5xx": Meaning.UNREACHABLE,
    "http-unexpected": Meaning.UNREACHABLE,
    "connect-timeout": Meaning.UNREACHABLE,
    "stalled": Meaning.UNREACHABLE,
    "total-timeout": Meaning.UNREACHABLE,
    "connection-refused": Meaning.UNREACHABLE,
    "connection-reset": Meaning.UNREACHABLE,
    "host-unreachable": Meaning.UNREACHABLE,
    "truncated": Meaning.UNREACHABLE,
    "tls-error": Meaning.UNREACHABLE,
    "dns-failure": Meaning.UNREACHABLE,
    "protocol-error": Meaning.UNREACHABLE,
    # There is no host, or none that may be asked.
    "dns-not-found": Meaning.SHARED,
    "bad-url": Meaning.SHARED,
    "blocked-address": Meaning.SHARED,
}


@pytest.mark.parametrize("code", MEANINGS)
def test_what_a_fault_means(code: str) -> None:
    assert robots.meaning(Fault(code), redirected=False) is MEANINGS[code]


@pytest.mark.parametrize("code", ["dns-not-found", "blocked-address", "bad-url"])
def test_where_redirects_lead_nowhere_there_is_none(code: str) -> None:
    assert robots.meaning(Fault(code), redirected=True) is Meaning.UNRESTRICTED


def test_an_answer_without_content_has_no_rule() -> None:
    fault = Fault("http-unexpected", http_status=204)
    assert robots.meaning(fault, redirected=False) is Meaning.UNRESTRICTED


@pytest.mark.parametrize("code", [c for c, info in CODES.items() if info.fate is Fate.TRANSIENT])
def test_what_may_pass_never_allows_anything(code: str) -> None:
    if MEANINGS.get(code) is not Meaning.UNRESTRICTED:
        assert robots.meaning(Fault(code), redirected=True) is Meaning.UNREACHABLE


def test_what_befell_the_file_befalls_the_image() -> None:
    refused = robots.befalls(Fault("connection-refused", "nobody"), HOST)
    assert refused == Fault(
        "connection-refused", f"asked for {HOST}/robots.txt: connection-refused: nobody"
    )
    broken = robots.befalls(Fault("http-5xx", http_status=503), HOST)
    assert broken == Fault("robots-unreachable", f"asked for {HOST}/robots.txt: http-5xx 503")

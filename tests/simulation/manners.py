"""What a seed draws beside images and troubles: what owners say of their hosts, whether it is an
audit, and how many processes do the work.

It has a chance of its own, so that a seed's world is the same with and without.
"""

from __future__ import annotations

import random
import signal
from collections.abc import Mapping
from dataclasses import replace

from fetcher.model import Method, Row
from fetcher.policy.consent import ConsentRule, origin_of
from tests.simulation.scenario import (
    MAX_BYTES,
    Crash,
    Fleet,
    Head,
    Page,
    Rules,
    Run,
    Scenario,
)

PRODUCT = "fetcher"
DAY = 86_400.0

TEXTS: Mapping[bytes, Rules] = {
    b"": (),
    b"# nothing to say\n": (),
    b"User-agent: *\nDisallow:\n": (),
    b"User-agent: *\nDisallow: /\n": (("/", False),),
    b"User-agent: *\nDisallow: /1\nDisallow: /22/\n": (("/1", False), ("/22/", False)),
    b"User-agent: *\nDisallow: /\nAllow: /1\n\nUser-agent: other\nDisallow: /\n": (
        ("/", False),
        ("/1", True),
    ),
    b"User-agent: other\nDisallow: /\n\nUser-agent: *\nAllow: /\n": (),
    b"User-agent: *\r\nDisallow: /\r\n\r\nUser-agent: Fetcher/1.0\r\nDisallow: /3\r\n": (
        ("/3", False),
    ),
    b"\xef\xbb\xbfuser-agent: fetcher # that is us\nDISALLOW: /2\nAllow: /25/\nDisallow: /251\n": (
        ("/2", False),
        ("/25/", True),
        ("/251", False),
    ),
}
"""Files, and what a person reads in them."""
_SAY_SO = tuple(text for text, rules in TEXTS.items() if rules)


def add(scenario: Scenario) -> Scenario:
    """``scenario`` with its manners."""
    chance = random.Random(f"manners {scenario.seed}")
    kind = chance.random()
    if kind < 0.2:
        scenario = _audit(scenario, chance)
    if chance.random() < 0.4:
        scenario = _consent(scenario, chance)
    if chance.random() < 0.25:
        scenario = _fleet(scenario, chance)
    return scenario


# Audits.


def _audit(scenario: Scenario, chance: random.Random) -> Scenario:
    whole = chance.random() < 0.3
    pages = {
        url: replace(page, head=chance.choice(tuple(Head))) if chance.random() < 0.4 else page
        for url, page in scenario.pages.items()
    }
    return replace(
        scenario,
        method=Method.GET if whole else Method.HEAD,
        measure_only=True,
        pages=pages,
        # What an audit has found is in tables of its own, which the records know nothing of.
        real_database=False,
    )


# Consent.


def _consent(scenario: Scenario, chance: random.Random) -> Scenario:
    pages: dict[str, Page] = {}
    for url, page in scenario.pages.items():
        opted_out = chance.random() < 0.05 and page.location is None
        pages[url] = replace(page, opted_out=opted_out)
    origins: dict[str, str] = {}
    for url, page in scenario.pages.items():
        origin = origin_of(url)
        assert origin is not None
        origins[origin.url] = page.group
    for origin_url, group in origins.items():
        _say(origin_url, group, pages, list(origins.items()), chance)
    exempt = chance.choice(((), (), (), ("h1.*",)))
    return replace(
        scenario,
        consent=ConsentRule(PRODUCT, exempt=exempt),
        pages=pages,
        robots=dict(TEXTS),
        runs=tuple(
            replace(run, rest=chance.choice((0.5, 0.5, DAY / 2, 2 * DAY))) for run in scenario.runs
        ),
    )


def _say(
    origin: str,
    group: str,
    pages: dict[str, Page],
    origins: list[tuple[str, str]],
    chance: random.Random,
) -> None:
    """What ``origin`` answers to the request for its robots.txt."""
    url = f"{origin}/robots.txt"
    text = Page(group, body=chance.choice(_SAY_SO))
    match chance.randrange(16):
        case 0 | 1 | 2 | 3 | 4:
            page = Page(group, status=chance.choice((404, 404, 410, 401, 403, 451, 418, 204)))
        case 5 | 6:
            page = Page(group, body=chance.choice(tuple(TEXTS)))
        case 7 | 8:
            page = text
        case 9:
            page = replace(text, statuses=tuple(chance.choices((500, 503, 429), k=2)))
        case 10:
            page = replace(text, faults=("connection-reset", "connect-timeout", "dns-failure"))
        case 11:
            page = replace(text, older=chance.choice(tuple(TEXTS)))
        case 12:
            page = Page(group, status=chance.choice((500, 429, 408)))
        case 13:
            page = Page(
                group, fault=chance.choice(("dns-not-found", "connection-refused", "tls-error"))
            )
        case 14:
            page = replace(text, cuts=2)
        case _:
            page = _led(group, text, pages, origins, chance)
    pages[url] = page


def _led(
    group: str,
    text: Page,
    pages: dict[str, Page],
    origins: list[tuple[str, str]],
    chance: random.Random,
) -> Page:
    """Redirects to another host's text, to nowhere, or round and round."""
    there, of = chance.choice(origins)
    target = f"{there}/policy.txt"
    pages[target] = replace(text, group=of)
    match chance.randrange(5):
        case 0:
            target = "ftp://h.test/robots.txt"
        case 1:
            target = f"{there}/round"
            pages[target] = Page(of, location=target, status=302)
        case 2:
            pages[target] = Page(of, blocked=True)
        case _:
            pass
    return Page(group, location=target, status=301)


# Workers.

_ENDS = (-signal.SIGSEGV, -signal.SIGABRT, 1, -signal.SIGKILL)
_MOST_CRASHES = 10
"""More of them are of a run in which they come one after another."""


def _fleet(scenario: Scenario, chance: random.Random) -> Scenario:
    delay = chance.choice((0.0, 0.001, 0.2))
    fleet = Fleet(
        workers=chance.choice((1, 2, 2, 3, 5)),
        delay=delay,
        hiring=chance.choice((0.05, 2.0)),
        torn=chance.random() < 0.3,
    )
    scenario = replace(
        scenario,
        fleet=fleet,
        runs=tuple(replace(run, crashes=_crashes(run, fleet, chance)) for run in scenario.runs),
    )
    whole = scenario.method is Method.GET
    return _deadly(scenario, chance) if whole and chance.random() < 0.3 else scenario


def _deadly(scenario: Scenario, chance: random.Random) -> Scenario:
    """One image, or two, end each worker that gets them. Of the others' ends that are by chance
    only a few are left, as too many would say that it is not the images.
    """
    pages = dict(scenario.pages)
    urls = [row.url for row in scenario.versions[0] if isinstance(row, Row)]
    plain = sorted({url for url in urls if url in pages and _is_plain(pages[url])})
    for url in chance.sample(plain, min(len(plain), chance.randint(1, 2))):
        pages[url] = replace(pages[url], deadly=chance.choice(_ENDS))
    runs = tuple(
        run if len(run.crashes) > _MOST_CRASHES else replace(run, crashes=run.crashes[:2])
        for run in scenario.runs
    )
    return replace(scenario, pages=pages, runs=runs)


def _is_plain(page: Page) -> bool:
    return page == Page(page.group, body=page.body, head=page.head) and len(page.body) <= MAX_BYTES


def _crashes(run: Run, fleet: Fleet, chance: random.Random) -> tuple[Crash, ...]:
    """Some workers end, some of those that come for them; in a run that need not come to its end,
    sometimes one after another.
    """
    if not run.calm and chance.random() < 0.1:
        return tuple(Crash(number, after=0.01) for number in range(fleet.workers + 10))
    crashes: list[Crash] = []
    for number in range(fleet.workers + 2):
        if chance.random() < 0.4:
            at = chance.choice((0.5, 5.0, 30.0))
            crashes.append(
                Crash(number, after=chance.uniform(0, at))
                if chance.random() < 0.5
                else Crash(number, step=chance.randint(1, 60))
            )
    return tuple(crashes)

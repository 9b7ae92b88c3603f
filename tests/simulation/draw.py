"""A scenario from a seed. Troubles are drawn apart: some seeds have one, and some have all."""

from __future__ import annotations

import base64
import hashlib
import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import pairwise

from msgspec import structs

from fetcher.model import BadRow, Expectation, HostBudget, Keep, Row
from fetcher.policy.retry import RetryRule
from tests.simulation import manners
from tests.simulation.scenario import (
    MAX_BYTES,
    Form,
    Host,
    Kill,
    Limits,
    Outage,
    Page,
    Ranges,
    Run,
    Scenario,
    Trouble,
)

JPEG = b"\xff\xd8\xff\xe0"
PLACEHOLDER = JPEG + b"this photo is not available" * 3
ONE_HOST = ("connection-refused", "connect-timeout", "connection-reset", "host-unreachable")
ALL_HOSTS = ("no-route", "resolver-unreachable", "out-of-descriptors", "proxy-unreachable")
NETWORK = (*ONE_HOST, "dns-failure", "tls-error", "protocol-error", "stalled")
DISK = ("disk-full", "disk-error")
BOOK = ("disk-full", "disk-error", "busy")
_REALLY = 12
"""One seed in so many has the real database."""


def md5(data: bytes) -> str:
    return base64.b64encode(hashlib.md5(data, usedforsecurity=False).digest()).decode()


def picture(text: str, size: int) -> bytes:
    head = JPEG + text.encode()
    return head + b"." * (size - len(head))


def draw(seed: int) -> Scenario:
    return manners.add(_Drawing(seed).scenario())


@dataclass(slots=True)
class _Drawing:
    seed: int
    chance: random.Random = field(init=False)
    pages: dict[str, Page] = field(default_factory=dict)
    groups: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.chance = random.Random(self.seed)

    def often(self, share: float) -> bool:
        return self.chance.random() < share

    def scenario(self) -> Scenario:
        chance = self.chance
        self.groups = [f"g{n}.test" for n in range(chance.choice((1, 1, 2, 3, 4, 6, 9, 14)))]
        even = self.often(0.2)
        budget, host = self._budget(), self._host()
        budgets = {g: budget if even else self._budget() for g in self.groups}
        hosts = {g: host if even else self._host() for g in self.groups}
        number = chance.choice((3, 12, 25, 40, 60, 90, 150))
        oddity = chance.choice((0.0, 0.2, 0.6))
        first = tuple(self._row(n, oddity) for n in range(number))
        versions = self._versions(self._spoilt(first))
        runs = self._runs(len(versions), number)
        return Scenario(
            seed=self.seed,
            limits=self._limits(),
            retry=RetryRule(
                attempts=chance.randint(1, 5),
                first_delay=chance.choice((0.0, 0.5, 2.0)),
                max_delay=chance.choice((2.0, 30.0)),
                max_retry_after=chance.choice((5.0, 120.0)),
            ),
            budgets=budgets,
            hosts=hosts,
            pages=self.pages,
            versions=versions,
            runs=runs,
            outages=self._outages(),
            batch=chance.choice((7, 30, 1_000)),
            mismatched=chance.choice((Keep.QUARANTINE, Keep.QUARANTINE, Keep.DISCARD, Keep.STORE)),
            landing=chance.choice((0.0, 0.003, 0.2)),
            booking=chance.choice((0.0, 0.002, 0.1)),
            real_database=self.seed % _REALLY == 0,
            placeholder=PLACEHOLDER,
        )

    # Limits and hosts.

    def _limits(self) -> Limits:
        chance = self.chance
        return Limits(
            concurrency=chance.choice((1, 2, 4, 8, 16, 32)),
            memory=chance.choice((500, 4_000, 50_000)),
            capacity=chance.choice((2, 8, 40, 1_000)),
            spool_above=chance.choice((100, 1_000, 100_000)),
            drain=chance.choice((0.0, 0.5, 20.0)),
            first_pause=1.0,
            longest_pause=chance.choice((4.0, 60.0)),
            threads=chance.choice((1, 2)),
            total_timeout=chance.choice((5.0, 60.0)),
            stall_timeout=3.0,
        )

    def _budget(self) -> HostBudget:
        chance = self.chance
        rate = chance.choice((None, None, 0.5, 2.0, 10.0, 50.0))
        return HostBudget(
            rate=rate,
            burst=1 if rate is None else chance.choice((1, 2, 10)),
            concurrency=chance.choice((1, 2, 4, 8)),
            bandwidth=chance.choice((None, None, None, 500.0, 20_000.0)),
        )

    def _host(self) -> Host:
        chance = self.chance
        throttles = self.often(0.25)
        return Host(
            latency=chance.choice((0.001, 0.02, 0.1, 0.5)),
            jitter=chance.choice((0.0, 0.1, 1.0)),
            speed=chance.choice((300.0, 10_000.0, 1e6)),
            loss=chance.choice((0.0, 0.0, 0.0, 0.05, 0.3)),
            stalls=chance.choice((0.0, 0.0, 0.0, 0.1)),
            most=chance.choice((1.0, 5.0, 20.0)) if throttles else None,
            throttles_with=chance.choice((429, 429, 503)),
            form=chance.choice(tuple(Form)),
            asks_for=chance.choice((0.0, 1.0, 20.0, 500.0)),
        )

    # The list and its pages.

    def _row(self, n: int, oddity: float, edition: int = 0) -> Row:
        chance = self.chance
        group = self.groups[int(len(self.groups) * chance.random() ** 1.5)]
        url = f"http://h{n % 3}.{group}/{n}/{edition}"
        size = chance.choice((60, 150, 900, 900, 4_000))
        shown = picture(f"{n}/{edition}", size)
        if self.often(oddity):
            row = self._odd(n, edition, url, group, shown)
        else:
            self.pages[url] = Page(group, body=shown)
            row = _row(n, url, shown)
        return self._vague(row)

    def _vague(self, row: Row) -> Row:
        """Some lists know less."""
        if self.often(0.85):
            return row
        expected = self.chance.choice(
            (
                Expectation(),
                Expectation(row.expected.size),
                Expectation(None, row.expected.md5),
            )
        )
        return structs.replace(row, expected=expected)

    def _odd(self, n: int, edition: int, url: str, group: str, shown: bytes) -> Row:
        chance, row = self.chance, _row(n, url, shown)
        page = Page(group, body=shown)
        ways: tuple[Callable[[], Page], ...] = (
            lambda: replace(page, status=chance.choice((404, 410, 401, 403, 451))),
            lambda: replace(page, status=chance.choice((500, 503, 418, 204, 408))),
            lambda: replace(page, location="http://gone.test/photo.png", status=302),
            lambda: replace(page, body=PLACEHOLDER),
            lambda: replace(page, body=shown + b"more"),
            lambda: replace(page, body=shown[:-1] + b"!"),
            lambda: replace(page, body=b"<html>no</html>" * 8),
            lambda: replace(page, body=shown + b"." * MAX_BYTES),
            lambda: self._flaky(page),
            lambda: self._cut(page),
            lambda: replace(page, fault=chance.choice(("dns-not-found", "tls-error"))),
            lambda: self._redirect(url, page, n, edition),
        )
        if self.often(1 / (len(ways) + 1)):
            bad = chance.choice(("ftp://x.test/1", "http://", "not a url", "http://h:0/"))
            return structs.replace(row, url=bad)
        self.pages[url] = chance.choice(ways)()
        return row

    def _flaky(self, page: Page) -> Page:
        chance = self.chance
        times = chance.randint(1, 3)
        if self.often(0.5):
            return replace(page, faults=tuple(chance.choice(NETWORK) for _ in range(times)))
        return replace(page, statuses=tuple(chance.choice((500, 502, 429)) for _ in range(times)))

    def _cut(self, page: Page) -> Page:
        chance = self.chance
        return replace(
            page,
            cuts=chance.randint(1, 3),
            ranges=chance.choice((Ranges.HONOURED, Ranges.HONOURED, *Ranges)),
            tagged=self.often(0.6),
            older=picture("older", len(page.body)) if self.often(0.25) else None,
        )

    def _redirect(self, url: str, page: Page, n: int, edition: int) -> Page:
        """A way of one or more hops to ``page``, or to nowhere; its first."""
        chance = self.chance
        ways: list[str] = []
        for hop in range(chance.choice((1, 1, 2, 5, 6))):
            group = chance.choice(self.groups)
            ways.append(f"http://r{hop}.{group}/{n}/{edition}/{hop}")
        match chance.randrange(8):
            case 0:
                ways[-1] = "ftp://h.test/1"
            case 1:
                ways[-1] = url
            case 2:
                self.pages[ways[-1]] = Page(_group_of(ways[-1]), blocked=True)
            case 3:
                # http may lead to https, but not back.
                ways[0] = ways[0].replace("http:", "https:")
                self.pages[ways[-1]] = replace(page, group=_group_of(ways[-1]))
            case 4:
                ways[-1] = "http://gone.test/gone.jpg"
            case _:
                self.pages[ways[-1]] = replace(page, group=_group_of(ways[-1]))
        status = chance.choice((301, 302, 303, 307, 308))
        for here, there in pairwise(ways):
            self.pages[here] = Page(_group_of(here), location=there, status=status)
        return Page(page.group, location=ways[0], status=status)

    def _spoilt(self, rows: tuple[Row, ...]) -> tuple[Row | BadRow, ...]:
        """With rows that are repeated, contradict an earlier one, or are none."""
        lines: list[Row | BadRow] = list(rows)
        if self.often(0.3):
            for row in self.chance.sample(rows, len(rows) // 5):
                at = self.chance.randint(0, len(lines))
                lines.insert(
                    at,
                    self.chance.choice(
                        (
                            row,
                            structs.replace(row, expected=Expectation(1)),
                            BadRow(0, "bad", "", "text"),
                        )
                    ),
                )
        return tuple(structs.replace(line, line=n + 2) for n, line in enumerate(lines))

    def _versions(self, first: tuple[Row | BadRow, ...]) -> tuple[tuple[Row | BadRow, ...], ...]:
        versions = [first]
        while self.often(0.25) and len(versions) < 3:
            edition, lines = len(versions), list(versions[-1])
            ids = {line.image_id: n for n, line in enumerate(lines) if isinstance(line, Row)}
            for n in self.chance.sample(sorted(ids.values()), len(ids) // 4):
                lines[n] = self._changed(lines[n], edition)
            more = range(self.chance.randint(0, 5))
            lines += [self._row(1_000 * edition + n, 0.2, edition) for n in more]
            if self.often(0.5):
                del lines[: self.chance.randint(0, 5)]
            versions.append(
                tuple(structs.replace(line, line=n + 2) for n, line in enumerate(lines))
            )
        return tuple(versions)

    def _changed(self, line: Row | BadRow, edition: int) -> Row | BadRow:
        if isinstance(line, BadRow):
            return line
        n = int(line.image_id, 16)
        if self.often(0.3):  # another URL for the same bytes
            old = self.pages.get(line.url)
            if old is not None and old.location is None:
                url = f"{line.url.rpartition('/')[0]}/moved{edition}"
                self.pages[url] = old
                return structs.replace(line, url=url)
        return self._row(n, 0.3, edition)

    # What befalls it.

    def _outages(self) -> tuple[Outage, ...]:
        chance = self.chance
        outages: list[Outage] = []
        if self.often(0.2):
            begin = chance.uniform(0, 10)
            code = chance.choice(ALL_HOSTS)
            outages.append(Outage(begin, begin + chance.choice((0.5, 5.0, 200.0)), code))
        if self.often(0.2):
            begin = chance.uniform(0, 10)
            code, group = chance.choice(ONE_HOST), chance.choice(self.groups)
            end = begin + chance.choice((2.0, 30.0, 1e9))
            outages.append(Outage(begin, end, code, group))
        return tuple(outages)

    def _runs(self, versions: int, number: int) -> tuple[Run, ...]:
        runs: list[Run] = []
        for _ in range(self.chance.choice((0, 0, 1, 1, 2, 5))):
            last = runs[-1].version if runs else 0
            version = min(versions - 1, last + self.often(0.5))
            runs.append(self._troubled(version, number))
        runs.extend(
            Run(version, gaps=self.chance.choice((0.0, 0.5)))
            for version in range(runs[-1].version if runs else 0, versions)
        )
        return tuple(runs)

    def _troubled(self, version: int, number: int) -> Run:
        chance = self.chance
        run = Run(version, gaps=chance.choice((0.0, 0.0, 0.3, 3.0)))
        if self.often(0.3):
            stop = chance.uniform(0, chance.choice((0.0, 1.0, 20.0)))
            again = stop + chance.choice((0.0, 0.01, 1.0))
            run = replace(run, stop=stop, stop_now=again if self.often(0.5) else None)
        if self.often(0.2):
            run = replace(run, limit=chance.randint(1, number))
        if self.often(0.25):
            run = replace(run, disk=(self._trouble(DISK, 3 * number),))
        if self.often(0.1):
            run = replace(run, book=(self._trouble(BOOK, number),))
        if self.often(0.5):
            run = replace(run, kill=self._kill(number))
        return run

    def _trouble(self, kinds: tuple[str, ...], most: int) -> Trouble:
        first = self.chance.randint(0, self.chance.choice((3, most)))
        last = first + self.chance.choice((0, 0, 3, 1_000_000))
        return Trouble(first, last, self.chance.choice(kinds))

    def _kill(self, number: int) -> Kill:
        chance, power = self.chance, self.often(0.3)
        match chance.randrange(3):
            case 0:
                return Kill(time=chance.uniform(0, chance.choice((0.5, 10.0))), power=power)
            case 1:
                return Kill(disk=chance.randint(1, 3 * number), power=power)
            case _:
                return Kill(book=chance.randint(1, chance.choice((8, number))), power=power)


def _row(n: int, url: str, data: bytes) -> Row:
    return Row(n + 2, f"{n:016x}", "train", url, Expectation(len(data), md5(data)))


def _group_of(url: str) -> str:
    return url.split("/")[2].partition(".")[2]

"""Many hosts that take their time: how much of what latency allows is used.

Each host lets one request at a time in and answers it after so much time, so with a request under
way to each of them, nobody can have more than hosts ÷ latency images per second. Beside ``fetcher``
runs the floor's client, which receives and drops: where that one falls short too, it is the
machine, which also has to do the server's work, and not the waiting.

Two rates are compared with it: over all, starting and ending included; and sustained, which is
between the second and the fourth fifth of the answers, as the server gave them.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from scripts.benchmarks import corpus as corpora
from scripts.benchmarks import inputs
from scripts.benchmarks.contenders import FETCHER, FLOOR_PROGRAM, Contender, Task, delivered
from scripts.benchmarks.corpus import Spec
from scripts.benchmarks.inputs import Item
from scripts.benchmarks.measure import Failure, Surroundings, Usage, environment, measure
from scripts.benchmarks.race import Spread, Standing, race, spread
from scripts.benchmarks.settings import Settings
from scripts.benchmarks.slow import slow_web
from scripts.benchmarks.slowweb import MARK, Journal, Options
from scripts.benchmarks.speeds import Entry, enter
from scripts.benchmarks.workplace import Workplace, footprint, workplace

RECEIVED: Final = "floor: received"
_DOMAIN: Final = "invalid"
"""Each name below it is a host group of its own."""


@dataclass(frozen=True, slots=True)
class HostsResult:
    hosts: int
    latency: float
    """Seconds."""
    images: int
    size: int
    """Bytes of all images."""
    standings: tuple[Standing, ...]
    sustained: dict[str, tuple[float, ...]]
    """Images per second, by contender; of each round that was long enough to say."""
    most: dict[str, int]
    """Requests that the server saw at once, at most."""
    served: dict[str, float]
    """CPU seconds that the server took at least."""

    @property
    def limit(self) -> float:
        """Images per second that latency allows."""
        return self.hosts / self.latency

    def overall_share(self, standing: Standing) -> Spread | None:
        if not standing.usages:
            return None
        return spread([self.images / usage.wall / self.limit for usage in standing.usages])

    def sustained_share(self, standing: Standing) -> Spread | None:
        rates = self.sustained.get(standing.name)
        return spread([rate / self.limit for rate in rates]) if rates else None


def hosts(spec: Spec, settings: Settings, *, count: int, latency: float) -> HostsResult:
    """The images of ``spec``, dealt out to ``count`` hosts."""
    need = footprint(spec.size, len(spec.sizes))
    with workplace(need, need, settings.work, settings.disk) as place:
        settings.say(f"making {len(spec.sizes):,} images, {spec.size / 1e6:,.0f} MB")
        corpus = corpora.write(spec, place.inside / "images")
        items = tuple(
            Item(image, f"http://host-{number % count}.{_DOMAIN}/{image.file_name}")
            for number, image in enumerate(corpus.images)
        )
        options = Options(latency=latency, directory=str(corpus.directory))
        field = _Field(place, settings, options)
        entries = {
            contender.name: enter(contender, items, place.inside, f"{number}", settings)
            for number, contender in enumerate(_contenders(count))
        }
        standings = race(
            tuple(entries),
            lambda name, memory: field.attempt(entries[name], memory=memory),
            rounds=settings.rounds,
            warm_up=settings.warm_up,
            say=settings.say,
        )
    return HostsResult(
        count,
        latency,
        len(items),
        spec.size,
        standings,
        {name: tuple(rates) for name, rates in field.sustained.items()},
        field.most,
        field.served,
    )


def sustained(journal: Journal) -> float | None:
    """Images per second in the middle of a run; ``None`` if it was too short to have one."""
    marks = journal.marks
    first, last = len(marks) // 5, len(marks) * 4 // 5
    if last - first < 1 or marks[last] <= marks[first]:
        return None
    return MARK * (last - first) / (marks[last] - marks[first])


class _Field:
    """A server anew for each attempt, and what it saw."""

    def __init__(self, place: Workplace, settings: Settings, options: Options) -> None:
        self._place = place
        self._settings = settings
        self._options = options
        self._surroundings = Surroundings(
            environment(place.inside), place.inside / "command.log", settings.limit
        )
        self.sustained: dict[str, list[float]] = {}
        self.most: dict[str, int] = {}
        self.served: dict[str, float] = {}

    def attempt(self, entry: Entry, *, memory: bool) -> Usage | Failure:
        contender = entry.contender
        with self._place.output() as out, slow_web(self._options) as web:
            where = json.dumps({f"*.{_DOMAIN}:80": web.place})
            options = (f"network.connect_to={where}", *self._settings.options)
            task = Task(entry.program, entry.list, entry.md5sums, out, len(entry.images), options)
            result = measure(contender.command(task), out, self._surroundings, memory=memory)
            if isinstance(result, Failure):
                return result
            journal = web.end()
            wrong = contender.check(task, entry.images)
            if wrong:
                return Failure(wrong)
        self.most[contender.name] = max(self.most.get(contender.name, 0), journal.most_in_flight)
        self.served[contender.name] = min(self.served.get(contender.name, journal.cpu), journal.cpu)
        rate = sustained(journal)
        if rate is not None and not memory:
            self.sustained.setdefault(contender.name, []).append(rate)
        return result


def _contenders(count: int) -> tuple[Contender, ...]:
    return (
        Contender(
            FETCHER.name, FETCHER.tool, True, inputs.open_images_v3, _fetcher(count), delivered
        ),
        Contender(RECEIVED, FETCHER.tool, False, inputs.url_size, _client(count), _counted),
    )


def _counted(_task: Task, _images: object) -> None:
    """It counts its bytes itself."""


def _fetcher(count: int) -> Callable[[Task], tuple[str, ...]]:
    def command(task: Task) -> tuple[str, ...]:
        settings = (
            "hosts.default.rate=unlimited",
            "hosts.default.concurrency=1",
            # This also counts images that are being stored and written down.
            f"fetch.concurrency={2 * count}",
            *task.options,
        )
        sets = (argument for setting in settings for argument in ("--set", setting))
        return (
            str(task.program),
            "mirror",
            str(task.list),
            "--to",
            str(task.out),
            "--quiet",
            *sets,
        )

    return command


def _client(count: int) -> Callable[[Task], tuple[str, ...]]:
    def command(task: Task) -> tuple[str, ...]:
        ((_, place),) = json.loads(task.options[0].partition("=")[2]).items()
        program = (sys.executable, "-P", str(FLOOR_PROGRAM))
        return (*program, "receive", str(task.list), f"{count}", f"*.{_DOMAIN}:80", place)

    return command

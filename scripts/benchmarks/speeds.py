"""``speed``: everybody, on one corpus after the other."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from scripts.benchmarks import corpus as corpora
from scripts.benchmarks import inputs
from scripts.benchmarks.contenders import FETCHER, FLOOR, TIMED, Contender, Task
from scripts.benchmarks.corpus import Corpus, Image, Spec
from scripts.benchmarks.inputs import Listing
from scripts.benchmarks.measure import Failure, Surroundings, Usage, environment, measure
from scripts.benchmarks.race import Spread, Standing, race, spread
from scripts.benchmarks.settings import Settings
from scripts.benchmarks.timed import VARIABLE
from scripts.benchmarks.web import Web, serve
from scripts.benchmarks.workplace import Workplace, footprint, workplace


@dataclass(frozen=True, slots=True)
class Entry:
    """A contender and the list that it is given."""

    contender: Contender
    program: Path
    list: Path
    md5sums: Path
    images: tuple[Image, ...]


@dataclass(frozen=True, slots=True)
class SpeedResult:
    corpus: str
    images: int
    size: int
    """Bytes of all images."""
    in_memory: bool
    """Whether the images were written to memory rather than to a disk."""
    standings: tuple[Standing, ...]

    def named(self, name: str) -> Standing | None:
        return next((standing for standing in self.standings if standing.name == name), None)

    @property
    def floor(self) -> Spread | None:
        """The rounds' ratios of fetcher's CPU to that of all of the floor together."""
        everybody = [self.named(one.name) for one in (FETCHER, *FLOOR)]
        usages = [one.usages for one in everybody if one is not None and one.usages]
        if len(usages) < len(everybody):
            return None
        mine, *floor = usages
        return spread(
            [
                usage.cpu / sum(part.cpu for part in parts)
                for usage, *parts in zip(mine, *floor, strict=True)
            ]
        )

    @property
    def manifest(self) -> Spread | None:
        """The manifest's share of fetcher's CPU."""
        timed = self.named(TIMED.name)
        shares = [
            usage.manifest / usage.cpu
            for usage in (timed.usages if timed is not None else ())
            if usage.manifest is not None
        ]
        return spread(shares) if shares else None


def speed(spec: Spec, contenders: Iterable[Contender], settings: Settings) -> SpeedResult:
    """Everybody whose program was found, on the same corpus."""
    with _set_up(spec, settings) as (place, corpus, web):
        items = inputs.listing(corpus, web)
        entries = {
            contender.name: enter(contender, items, place.inside, f"{number}", settings)
            for number, contender in enumerate(contenders)
            if contender.tool.name in settings.programs
        }
        standings = _race(entries, place, settings)
    return SpeedResult(corpus.name, len(corpus.images), corpus.size, place.in_memory, standings)


@contextmanager
def _set_up(spec: Spec, settings: Settings) -> Iterator[tuple[Workplace, Corpus, Web]]:
    need = footprint(spec.size, len(spec.sizes))
    with workplace(need, need, settings.work, settings.disk) as place:
        settings.say(f"making {len(spec.sizes):,} images, {spec.size / 1e6:,.0f} MB")
        corpus = corpora.write(spec, place.inside / "images")
        nginx = settings.programs["nginx"]
        with serve(nginx, corpus.directory, place.inside / "nginx") as web:
            yield place, corpus, web


def enter(
    contender: Contender, items: Listing, directory: Path, name: str, settings: Settings
) -> Entry:
    entry = Entry(
        contender,
        settings.programs[contender.tool.name],
        directory / f"list-{name}.csv",
        directory / f"md5sums-{name}.txt",
        tuple(item.image for item in items),
    )
    _write(entry.list, contender.prepare(items))
    _write(entry.md5sums, inputs.md5sums(items))
    return entry


def _write(path: Path, lines: Iterable[str]) -> None:
    with path.open("w", encoding="utf-8") as file:
        file.writelines(f"{line}\n" for line in lines)


def _race(
    entries: Mapping[str, Entry], place: Workplace, settings: Settings
) -> tuple[Standing, ...]:
    surroundings = Surroundings(
        {**environment(place.inside), VARIABLE: str(place.inside / "manifest-cpu")},
        place.inside / "command.log",
        settings.limit,
    )
    return race(
        tuple(entries),
        lambda name, memory: _attempt(
            entries[name], place, surroundings, settings.options, memory=memory
        ),
        rounds=settings.rounds,
        warm_up=settings.warm_up,
        say=settings.say,
    )


def _attempt(
    entry: Entry,
    place: Workplace,
    surroundings: Surroundings,
    options: tuple[str, ...],
    *,
    memory: bool,
) -> Usage | Failure:
    """Run once; then look at what arrived, untimed."""
    contender = entry.contender
    with place.output() as out:
        task = Task(entry.program, entry.list, entry.md5sums, out, len(entry.images), options)
        result = measure(contender.command(task), out, surroundings, memory=memory)
        if isinstance(result, Failure):
            return result
        wrong = contender.check(task, entry.images)
        if wrong:
            return Failure(wrong)
        noted = Path(surroundings.environment[VARIABLE])
        if noted.exists():
            result = replace(result, manifest=float(noted.read_text()))
            noted.unlink()
        return result

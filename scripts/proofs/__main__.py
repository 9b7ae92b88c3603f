"""``scripts/prove``: one subcommand for each proof.

Exit code 0: it holds. 1: it does not. 2: the command makes no sense.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import click

from scripts.fuzzing import fuzzing
from scripts.proofs import (
    auditing,
    cutting,
    digesting,
    hashing,
    kill,
    rate,
    reporting,
    simulate,
    soak,
    throttle,
    verifying,
)
from scripts.proofs.sanitizing import NoCompilerError, Report


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
def prove() -> None:
    """Show what takes longer than a test may."""


@prove.command("audit")
@click.argument("image_list", type=click.Path(path_type=Path))
@click.option("--seeds", type=click.IntRange(1), default=2_000, show_default=True)
@click.option("--first", type=click.IntRange(0), default=0, show_default=True)
def prove_audit(*, image_list: Path, seeds: int, first: int) -> None:
    """Intervals from samples of a tenth of IMAGE_LIST cover the truth in 93 % of the seeds."""
    with _place() as place:
        covered = auditing.prove(Path(place), image_list, seeds=seeds, first=first)
    for name, n in covered.by_rate.items():
        share = n / covered.seeds
        click.echo(
            f"{n:5} of {covered.seeds} intervals ({share:.1%}) have the true share of {name}"
        )
    drawn = "the manifest draws what policy does" if covered.alike else "DRAWN OTHERWISE"
    click.echo(f"samples of a tenth of {covered.rows:,} rows; {drawn}")
    _end(holds=covered.holds)


@prove.command("cuts")
@click.option("--examples", type=click.IntRange(1), default=2_000, show_default=True)
@click.option("--seed", type=int, default=1, show_default=True)
def prove_cuts(*, examples: int, seed: int) -> None:
    """Build the extensions for lists with sanitizers; they pass their tests, with many examples."""
    _sanitized(lambda place: cutting.prove(place, examples=examples, seed=seed))


@prove.command("digests")
@click.option("--seconds", type=click.FloatRange(1), default=60, show_default=True)
@click.option("--seed", type=int, default=1, show_default=True)
def prove_digests(*, seconds: float, seed: int) -> None:
    """Build the extension for MD5 with sanitizers; by chance, it says what hashlib says."""
    _sanitized(lambda place: digesting.prove(place, seconds=seconds, seed=seed))


@prove.command("kills")
@click.option("--images", type=click.IntRange(50), default=5_000, show_default=True)
@click.option("--kills", type=click.IntRange(1), default=300, show_default=True)
@click.option("--webs", type=click.IntRange(1, 8), default=3, show_default=True)
@click.option(
    "--target",
    type=click.Choice([str(target) for target in kill.Target]),
    default="any",
    show_default=True,
    help="All processes of the run at once, its parent, or one worker.",
)
@click.option("--seed", type=int, default=1, show_default=True)
@click.argument("options", nargs=-1)
def prove_kills(
    *, images: int, kills: int, webs: int, target: str, seed: int, options: tuple[str, ...]
) -> None:
    """Kill -9 one mirror at random moments; laws 1, 2, 3 and 5 hold after each.

    OPTIONS, after --, are handed to fetcher mirror.
    """
    with _place() as place:
        report = kill.prove(
            Path(place),
            images=images,
            kills=kills,
            seed=seed,
            webs=webs,
            target=kill.Target(target),
            options=options,
        )
    for breach in report.breaches:
        click.echo(breach)
    click.echo(
        f"{report.images:,} images from {webs} webs, {report.kills} kills, {report.unfinished} of "
        f"running mirrors: {report.requests:,} requests ({report.allowed:,} allowed), "
        f"{len(report.breaches)} breaches"
    )
    _end(holds=not report.breaches and report.requests <= report.allowed)


@prove.command("rate")
@click.option("--seconds", type=click.FloatRange(1), default=10, show_default=True)
@click.option("--processes", type=click.IntRange(1), default=1, show_default=True)
@click.option("--slow-connect", is_flag=True, help="Connections take up to a second to stand.")
def prove_rate(*, seconds: float, processes: int, slow_connect: bool) -> None:
    """Mirror with a limit on requests per second; it is kept in every window, and used."""
    with _place() as place:
        report = rate.prove(Path(place), seconds=seconds, processes=processes, slowly=slow_connect)
    click.echo(
        f"{report.requests:,} requests in {report.seconds:.2f} s at {report.limit.rate}/s, "
        f"burst {report.limit.burst}: {report.used:.1%} used, "
        f"worst window {report.worst:+.1f} requests"
    )
    _end(holds=report.holds)


@prove.command("fuzz")
@click.argument("targets", nargs=-1, required=True, metavar="TARGET...|all")
@click.option(
    "--seconds", type=click.FloatRange(1), default=60, show_default=True, help="For each."
)
@click.option("--seed", type=int, default=1, show_default=True, help="Of inputs by chance.")
def prove_fuzz(targets: tuple[str, ...], seconds: float, seed: int) -> None:
    """Feed the readers of other people's bytes with inputs until one breaks its law.

    What does is minimised, and kept under tests/fuzz/corpus for scripts/test.
    """
    try:
        chosen = fuzzing.named(targets)
    except KeyError as unknown:
        known = ", ".join(target.name for target in fuzzing.named(["all"]))
        raise click.UsageError(f"no target {unknown}; there are {known}") from unknown
    guide = "coverage" if fuzzing.is_guided() else "chance alone, as atheris is not installed"
    click.echo(f"inputs are chosen by {guide}")
    reports = []
    for target in chosen:
        click.echo(f"{target.name}: {target.law}")
        report = fuzzing.fuzz(target, seconds=seconds, seed=seed)
        click.echo(f"  {report.inputs:,} inputs in {report.seconds:.0f} s", nl=report.holds)
        if not report.holds:
            click.echo(f": {report.broke}\n  see {report.found}")
        reports.append(report)
    _end(holds=all(report.holds for report in reports))


@prove.command("simulate")
@click.option("--seeds", type=click.IntRange(1), default=1_000, show_default=True)
@click.option("--seed", type=int, default=1, show_default=True, help="The first of them.")
@click.option("--jobs", type=click.IntRange(1), default=1, show_default=True)
def prove_simulate(seeds: int, seed: int, jobs: int) -> None:
    """Run the engine in simulated worlds, one for each seed; every law holds in all of them."""
    report = simulate.prove(seeds=seeds, first=seed, jobs=jobs)
    for text in report.summary.reports:
        click.echo(text)
        click.echo()
    click.echo(report.line())
    if report.summary.failed:
        click.echo(f"seeds: {' '.join(map(str, report.summary.failed[:20]))}")
    _end(holds=report.holds)


@prove.command("verify")
@click.option("--images", type=click.IntRange(500), default=200_000, show_default=True)
@click.option("--in", "parent", type=click.Path(path_type=Path), help="Where; tmpfs is quickest.")
def prove_verify(images: int, parent: Path | None) -> None:
    """Do sixty kinds of harm to stored images; all are named, and a mirror heals them."""
    with tempfile.TemporaryDirectory(prefix="fetcher-prove-", dir=parent) as place:
        report = verifying.prove(Path(place), images=images)
    for breach in report.breaches:
        click.echo(breach)
    click.echo(
        f"{report.images:,} images, {len(report.planted)} places harmed in "
        f"{len(verifying.HARMS)} ways, found in {report.seconds:.1f} s: "
        f"{len(report.breaches)} breaches"
    )
    _end(holds=not report.breaches)


@prove.command("hashing")
@click.option("--files", type=click.IntRange(1), default=2_000, show_default=True)
@click.option("--size", type=click.IntRange(1), default=2_000_000, show_default=True)
@click.option("--rounds", type=click.IntRange(1), default=3, show_default=True)
@click.option("--shards", is_flag=True, help="Verify the same images in tar shards.")
@click.option("--in", "parent", type=click.Path(path_type=Path), help="Where; tmpfs is steadiest.")
def prove_hashing(*, files: int, size: int, rounds: int, shards: bool, parent: Path | None) -> None:
    """Verify as fast as md5sum reads the same files with two processes, less a tenth."""
    with tempfile.TemporaryDirectory(prefix="fetcher-prove-", dir=parent) as place:
        report = hashing.prove(Path(place), files=files, size=size, rounds=rounds, shards=shards)
    for one, other in zip(report.md5sum, report.verify, strict=True):
        click.echo(
            f"md5sum {one.wall:.2f} s ({one.cpu:.2f} s of processors), "
            f"verify {other.wall:.2f} s ({other.cpu:.2f} s): {one.wall / other.wall:.0%}"
        )
    speed = report.bytes / min(spent.wall for spent in report.verify) / 1e6
    click.echo(
        f"{files:,} files, {speed:,.0f} MB/s, {report.ratio:.0%} of md5sum's throughput, "
        f"{report.cpu_ratio:.0%} by processor time"
    )
    _end(holds=report.ratio >= hashing.LEAST)


@prove.command("report")
@click.option("--images", type=click.IntRange(1_000), default=1_000_000, show_default=True)
def prove_report(images: int) -> None:
    """Report on and export a long and a ten times shorter manifest; memory is the same."""
    with _place() as place:
        found = reporting.prove(Path(place), images=images)
    for taken in found:
        click.echo(
            f"{taken.command:32} {taken.seconds:7.1f} s {taken.peak / 1e6:7.0f} MB "
            f"({taken.peak_before / 1e6:.0f} MB for a tenth)"
        )
    _end(holds=all(taken.holds for taken in found))


@prove.command("throttle")
@click.option("--limit", type=click.FloatRange(1), default=50, show_default=True)
@click.option("--burst", type=click.FloatRange(1), default=10, show_default=True)
@click.option("--retry-after", type=click.IntRange(0), help="What 429 answers ask for.")
@click.option("--seconds", type=click.FloatRange(10), default=60, show_default=True)
def prove_throttle(limit: float, burst: float, retry_after: int | None, seconds: float) -> None:
    """Mirror a web that answers 429 above a limit: 85 % of it are used, under 3 % are refused."""
    with _place() as place:
        report = throttle.prove(
            Path(place), rate=limit, burst=burst, retry_after=retry_after, seconds=seconds
        )
    click.echo(
        f"{report.served:,} served, {report.refused:,} refused; in the second half "
        f"{report.used:.1%} of {limit:g}/s used, {report.refused_share:.2%} refused"
    )
    _end(holds=report.holds)


@prove.command("soak")
@click.option("--minutes", type=click.FloatRange(0.1), default=30, show_default=True)
@click.option("--seed", type=int, default=1, show_default=True)
@click.option(
    "--samples", type=click.Path(path_type=Path), help="Also write what was sampled there, as CSV."
)
def prove_soak(minutes: float, seed: int, samples: Path | None) -> None:
    """Mirror under mixed faults for as long; every law holds, memory and descriptors are flat."""
    with _place() as place:
        report = soak.prove(Path(place), seconds=minutes * 60, seed=seed)
    if samples is not None:
        table = soak.csv(report.samples)
        samples.write_text("".join(f"{line}\n" for line in table), encoding="utf-8")
    for line in soak.lines(report):
        click.echo(line)
    _end(holds=report.holds)


def _sanitized(prove: Callable[[Path], Report]) -> None:
    """A proof of extensions that are built for it, in a place of its own."""
    with _place() as place:
        try:
            report = prove(Path(place))
        except NoCompilerError as trouble:
            raise click.UsageError(f"it cannot be built: {trouble}") from trouble
    click.echo(report.output, nl=False)
    _end(holds=report.holds)


def _place() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="fetcher-prove-")


def _end(*, holds: bool) -> None:
    click.echo("holds" if holds else "DOES NOT HOLD")
    sys.exit(0 if holds else 1)


if __name__ == "__main__":
    prove(prog_name="scripts/prove")

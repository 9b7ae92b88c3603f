"""``scripts/prove``: one subcommand for each proof.

Exit code 0: it holds. 1: it does not. 2: the command makes no sense.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import click

from scripts.proofs import kill, rate, throttle


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
def prove() -> None:
    """Show what takes longer than a test may."""


@prove.command("kill")
@click.option("--images", type=click.IntRange(50), default=5_000, show_default=True)
@click.option("--kills", type=click.IntRange(1), default=50, show_default=True)
@click.option("--seed", type=int, default=1, show_default=True)
def prove_kill(images: int, kills: int, seed: int) -> None:
    """Kill -9 one mirror at random moments; laws 1, 2, 3 and 5 hold after each."""
    with _place() as place:
        report = kill.prove(Path(place), images=images, kills=kills, seed=seed)
    for breach in report.breaches:
        click.echo(breach)
    click.echo(
        f"{report.images:,} images, {report.kills} kills: {report.requests:,} requests "
        f"({report.allowed:,} allowed), {len(report.breaches)} breaches"
    )
    _end(holds=not report.breaches and report.requests <= report.allowed)


@prove.command("rate")
@click.option("--seconds", type=click.FloatRange(1), default=10, show_default=True)
def prove_rate(seconds: float) -> None:
    """Mirror with a limit on requests per second; it is kept in every window, and used."""
    with _place() as place:
        report = rate.prove(Path(place), seconds=seconds)
    click.echo(
        f"{report.requests:,} requests in {report.seconds:.2f} s at {rate.RATE}/s, burst "
        f"{rate.BURST}: {report.used:.1%} used, worst window {report.worst:+.1f} requests"
    )
    _end(holds=report.holds)


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


def _place() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="fetcher-prove-")


def _end(*, holds: bool) -> None:
    click.echo("holds" if holds else "DOES NOT HOLD")
    sys.exit(0 if holds else 1)


if __name__ == "__main__":
    prove(prog_name="scripts/prove")

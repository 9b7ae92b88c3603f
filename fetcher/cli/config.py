"""``fetcher config show``."""

from __future__ import annotations

import json
from pathlib import Path

import click

from fetcher.cli import options
from fetcher.config import as_dict, render


@click.group("config")
def config_group() -> None:
    """Look at the configuration."""


@config_group.command("show")
@options.configuration
@options.json_option
def show(config_file: Path | None, sets: tuple[str, ...], *, as_json: bool) -> None:
    """Print every key, its value, and where the value came from.

    What is printed can be saved and given to --config.
    """
    loaded = options.loaded(config_file, sets, {})
    click.echo(json.dumps(as_dict(loaded), indent=2) if as_json else render(loaded), nl=as_json)

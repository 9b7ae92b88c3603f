"""Options that several commands share, and how they become a configuration.

The configuration is loaded by whoever asks for one: it takes longer than most commands that do not.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from fetcher.cli.interrupts import loading

if TYPE_CHECKING:
    from fetcher.config import Flag, LoadedConfig

F = TypeVar("F", bound=Callable[..., Any])

FILE = click.Path(path_type=Path, readable=False)
"""Whoever reads it says why that cannot be done; and some are only written."""


def configuration(command: F) -> F:
    """``--config`` and ``--set``."""
    command = click.option(
        "--set",
        "sets",
        multiple=True,
        metavar="KEY=VALUE",
        help="Set one configuration key, such as hosts.default.rate=20; the value is YAML. "
        "May be repeated, and beats --config.",
    )(command)
    return click.option(
        "--config",
        "config_file",
        type=FILE,
        metavar="FILE",
        help="Configuration in YAML; see `fetcher config show`.",
    )(command)


def manifest_option(command: F) -> F:
    return click.option(
        "--manifest",
        type=FILE,
        metavar="PATH",
        help="Where the manifest is, if not DIR/manifest.sqlite. It wants a local disk.",
    )(command)


def json_option(command: F) -> F:
    return click.option(
        "--json", "as_json", is_flag=True, help="Print the result as one JSON object."
    )(command)


def loaded(
    config_file: Path | None, sets: Sequence[str], flags: dict[str, Flag | None]
) -> LoadedConfig:
    """The configuration in force. ``flags`` by key; those that were not given are ``None``."""
    with loading():
        from fetcher.config import load  # noqa: PLC0415  see above

    given = {key: flag for key, flag in flags.items() if flag is not None}
    return load(config_file, sets, given)


def flag(name: str, value: object) -> Flag | None:
    """``None`` if the option was not given."""
    with loading():
        from fetcher.config import Flag  # noqa: PLC0415  see above

    return Flag(name, value) if value is not None and value != () else None


def command_line() -> str:
    """What was typed, as the manifest and its lock note it: fit to be typed again."""
    return shlex.join(sys.argv[1:])


def manifest_path(directory: Path, manifest: Path | None) -> Path:
    return manifest if manifest is not None else directory / "manifest.sqlite"

"""All commands of the program, by their names."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import click

from fetcher.cli.commands import cli


def _commands(group: click.Group, path: str = "fetcher") -> Iterator[tuple[str, click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from _commands(command, f"{path} {name}")
        else:
            yield f"{path} {name}", command


COMMANDS: Final = dict(_commands(cli))

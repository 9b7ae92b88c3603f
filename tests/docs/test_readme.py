"""What users can say or see is in the README: nothing undocumented, nothing made up."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import click
import pytest

from fetcher.cli import cli
from fetcher.config import KeyDoc, documented_keys
from fetcher.errors import Exit
from fetcher.manifest.database import Database
from fetcher.model import State
from fetcher.policy.codes import CODES
from fetcher.policy.findings import KINDS
from fetcher.policy.triage import MEANINGS
from fetcher.source import REASONS
from fetcher.source.columns import USUAL, plain

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
ROWS = [
    [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
    for line in README.splitlines()
    if line.startswith("|")
]
FIRST = {row[0] for row in ROWS}
WORDS = {word for row in ROWS for word in re.findall(r"`([^`]+)`", row[0])}


def commands(group: click.Group, path: str = "fetcher") -> Iterator[tuple[str, click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from commands(command, f"{path} {name}")
        else:
            yield f"{path} {name}", command


COMMANDS = dict(commands(cli))


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_in_a_table(name: str) -> None:
    assert any(word == name or word.startswith(f"{name} ") for word in WORDS)


def test_every_command_in_the_tables_exists() -> None:
    told = {" ".join(re.findall(r"^fetcher(?: [a-z]+)+", word)) for word in WORDS}
    assert {name for name in told if name} == set(COMMANDS)


def options() -> Iterator[tuple[str, str]]:
    for name, command in COMMANDS.items():
        for parameter in command.params:
            if isinstance(parameter, click.Option):
                for option in parameter.opts:
                    yield name.removeprefix("fetcher "), option


@pytest.mark.parametrize(("command", "option"), sorted(set(options())))
def test_every_option_is_in_the_table_with_its_command(command: str, option: str) -> None:
    rows = [row for row in ROWS if re.search(rf"`{option}[ `]", row[0])]
    assert rows, f"{option} is not documented"
    assert any(command in row[1] or row[1] == "all" for row in rows)


@pytest.mark.parametrize("key", documented_keys(), ids=lambda key: key.path)
def test_every_key_is_in_the_table_with_its_default(key: KeyDoc) -> None:
    (row,) = [row for row in ROWS if row[0] == f"`{key.path}`"]
    assert key.default in row[1]


def test_every_state_is_in_the_table() -> None:
    assert set(State) <= WORDS


def test_every_code_is_in_the_table_with_kind_and_state() -> None:
    for info in CODES.values():
        (row,) = [row for row in ROWS if row[0] == f"`{info.code}`"]
        assert row[1] == info.fate
        assert info.meaning in row[3]


def test_every_reason_of_a_rejected_row_is_in_the_table() -> None:
    assert REASONS.keys() | {"conflicting-id"} <= WORDS


def test_every_kind_of_finding_is_in_the_table_with_its_meaning() -> None:
    for kind, info in KINDS.items():
        (row,) = [row for row in ROWS if row[1] == f"`{kind}`"]
        assert row[0] == ("yes" if info.damage else "no")
        assert info.meaning in row[2]


def test_every_kind_of_mismatch_is_in_the_table_with_its_meaning() -> None:
    told = {row[2]: row[1] for row in ROWS if len(row) == 3}
    for kind, meaning in MEANINGS.items():
        assert meaning in told[f"`{kind}`"]


def test_the_usual_names_of_columns_are_in_the_table_in_their_order() -> None:
    heading = next(n for n, row in enumerate(ROWS) if row[1].startswith("found by"))
    told = {
        row[0].lower(): tuple(map(plain, re.findall(r"`([^`]+)`", row[1])))
        for row in ROWS[heading + 2 : heading + 2 + len(USUAL)]
    }
    assert told == USUAL


def test_every_exit_code_is_in_the_table() -> None:
    assert {str(int(code)) for code in Exit} <= FIRST


def test_every_column_of_the_view_is_documented(tmp_path: Path) -> None:
    path = tmp_path / "manifest.sqlite"
    Database.open(path, command="test", group_of=str).close()
    with closing(sqlite3.connect(path)) as connection:
        columns = {row[1] for row in connection.execute("PRAGMA table_info(images)")}
    assert columns
    assert columns <= WORDS

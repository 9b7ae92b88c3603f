"""What users can say or see is in the README's tables: nothing undocumented, nothing made up."""

from __future__ import annotations

import re
from collections.abc import Iterator

import click
import pytest

from fetcher.errors import Exit
from fetcher.model import State
from fetcher.policy.codes import CODES
from tests.docs.commands import COMMANDS
from tests.docs.pages import PAGES, README


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_in_a_table(name: str) -> None:
    assert any(word == name or word.startswith(f"{name} ") for word in README.words)


def test_every_command_in_the_tables_exists() -> None:
    told = {" ".join(re.findall(r"^fetcher(?: [a-z]+)+", word)) for word in README.words}
    assert {name for name in told if name} == set(COMMANDS)


def options() -> Iterator[tuple[str, str]]:
    for name, command in COMMANDS.items():
        for parameter in command.params:
            if isinstance(parameter, click.Option):
                for option in parameter.opts:
                    yield name.removeprefix("fetcher "), option


@pytest.mark.parametrize(("command", "option"), sorted(set(options())))
def test_every_option_is_in_the_table_with_its_command(command: str, option: str) -> None:
    rows = [row for row in README.rows if re.search(rf"`{option}[ `]", row[0])]
    assert rows, f"{option} is not documented"
    assert any(command in re.split(r", ", row[1]) or row[1] == "all" for row in rows)


def test_every_state_is_in_the_table() -> None:
    assert set(State) <= README.words


def test_every_code_is_in_the_table_with_kind_state_and_meaning() -> None:
    for info in CODES.values():
        row = README.row(f"`{info.code}`")
        assert row[1] == info.fate
        assert info.meaning in row[3]


def test_every_exit_code_is_in_the_table() -> None:
    assert {str(int(code)) for code in Exit} <= {row[0] for row in README.rows}


def test_it_leads_to_every_page() -> None:
    assert {name for name in PAGES if name.startswith("docs/")} <= set(README.links())

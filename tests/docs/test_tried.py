"""The README's table of what was tried: each line can be repeated, and no proof is left out.

What the lines count is what the commands said when they were run; it is not counted again here.
"""

from __future__ import annotations

import re
import shlex

import click
import pytest

from scripts.proofs.__main__ import prove
from tests.docs.pages import README, ROOT

(ROWS,) = [table[2:] for table in README.tables if table[0][0] == "tried"]
"""Without the head."""
COMMANDS = [command for row in ROWS for command in re.findall(r"`(scripts/[^`]+)`", row[-1])]


def test_the_table_has_lines_of_what_how_much_result_and_command() -> None:
    assert len(ROWS) > 10
    for row in ROWS:
        assert len(row) == 4, row
        assert all(row), row
        assert re.search(r"\d", row[1]), f"how much? {row}"
        assert re.search(r"`scripts/[^`]+`", row[-1]), f"by what command? {row}"


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_in_it_exists(command: str) -> None:
    script, *arguments = shlex.split(command)
    assert (ROOT / script).is_file()
    match script:
        case "scripts/prove":
            name, *options = arguments
            prove.commands[name].make_context(name, options)  # parses, and runs nothing
        case "scripts/test":
            assert arguments
            assert all((ROOT / path).exists() for path in arguments)
        case _:
            raise AssertionError(f"{script} repeats nothing")


def test_a_command_that_does_not_exist_would_be_seen() -> None:
    with pytest.raises(click.NoSuchOption):
        prove.commands["soak"].make_context("soak", ["--hours", "1"])


@pytest.mark.parametrize("name", prove.commands)
def test_every_proof_is_told_of(name: str) -> None:
    assert re.search(rf"`scripts/prove {name}[ `]", README.text)

"""What the README has no room for is in ``docs/``: nothing undocumented, nothing made up."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner

from fetcher.cli.commands import cli
from fetcher.config import KeyDoc, documented_keys
from fetcher.manifest.database import Database
from fetcher.model import State
from fetcher.policy.codes import CODES
from fetcher.policy.findings import KINDS
from fetcher.policy.triage import MEANINGS
from fetcher.source import REASONS
from fetcher.source.columns import USUAL, plain
from tests.docs.commands import COMMANDS
from tests.docs.pages import PAGES

HELP_WIDTH = 98
"""Of a terminal with 100 columns and more."""


@pytest.mark.parametrize("name", COMMANDS)
def test_commands_has_the_help_of_each(name: str) -> None:
    arguments = [*name.split()[1:], "--help"]
    told = CliRunner().invoke(cli, arguments, prog_name="fetcher", terminal_width=HELP_WIDTH)
    begin = f"$ {name} --help\n"
    (block,) = [
        block for block in PAGES["docs/commands.md"].blocks("console") if block.startswith(begin)
    ]
    assert block == begin + told.output


def test_configuration_has_every_key_with_its_default() -> None:
    page = PAGES["docs/configuration.md"]
    (table,) = [table for table in page.tables if table[0][0] == "key"]
    keys: list[KeyDoc] = list(documented_keys())
    assert [row[0] for row in table[2:]] == [f"`{key.path}`" for key in keys]
    for key in keys:
        assert key.default in page.row(f"`{key.path}`")[1], key.path


def test_codes_has_every_state_and_what_to_do_about_every_code() -> None:
    page = PAGES["docs/codes.md"]
    states, *tables = [table for table in page.tables if table[0][0] in {"state", "code"}]
    assert [row[0] for row in states[2:]] == [f"`{state}`" for state in State]
    told = [re.findall(r"`([^`]+)`", row[0]) for table in tables for row in table[2:]]
    assert sorted(code for row in told for code in row) == sorted(CODES)
    for table, fate in zip(tables, ("permanent", "transient", "local"), strict=True):
        for row in table[2:]:
            assert row[1]
            assert {CODES[code].fate for code in re.findall(r"`([^`]+)`", row[0])} == {fate}


def test_lists_has_every_reason_of_a_rejected_row() -> None:
    page = PAGES["docs/lists.md"]
    (table,) = [table for table in page.tables if table[0][0].startswith("reason")]
    assert {row[0].strip("`") for row in table[2:]} == REASONS.keys() | {"conflicting-id"}


def test_lists_has_the_usual_names_of_columns_in_their_order() -> None:
    page = PAGES["docs/lists.md"]
    (table,) = [table for table in page.tables if table[0][1].startswith("found by")]
    told = {
        row[0].lower(): tuple(map(plain, re.findall(r"`([^`]+)`", row[1]))) for row in table[2:]
    }
    assert told == USUAL


def test_verify_has_every_kind_of_finding_with_its_meaning() -> None:
    (table,) = PAGES["docs/verify.md"].tables
    told = {row[1].strip("`"): row for row in table[2:]}
    assert told.keys() == KINDS.keys()
    for kind, info in KINDS.items():
        assert told[kind][0] == ("yes" if info.damage else "no")
        assert info.meaning in told[kind][2]


def test_audit_has_every_kind_of_mismatch_with_its_meaning() -> None:
    (table,) = [table for table in PAGES["docs/audit.md"].tables if table[0][0] == "told from"]
    told = {row[2].strip("`"): row[1] for row in table[2:]}
    assert told.keys() == MEANINGS.keys()
    for kind, meaning in MEANINGS.items():
        assert meaning in told[kind]


def test_manifest_and_readme_have_every_column_of_the_view(tmp_path: Path) -> None:
    path = tmp_path / "manifest.sqlite"
    Database.open(path, command="test", group_of=str).close()
    with closing(sqlite3.connect(path)) as connection:
        columns = {row[1] for row in connection.execute("PRAGMA table_info(images)")}
        views = {
            row[0] for row in connection.execute("SELECT name FROM sqlite_schema WHERE sql != ''")
        }
    page = PAGES["docs/manifest.md"]
    fixed, others = page.tables
    assert {word for row in fixed for word in re.findall(r"`([^`]+)`", row[0])} == columns
    assert {word for row in others for word in re.findall(r"`([^`]+)`", row[0])} <= views
    assert all(f"`{column}`" in PAGES["README.md"].prose for column in columns)

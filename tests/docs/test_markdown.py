"""Every page holds together: links lead somewhere, tables are whole, commands can be given."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from itertools import groupby
from pathlib import PurePosixPath

import click
import pytest

from fetcher.cli.commands import cli
from tests.docs.commands import COMMANDS
from tests.docs.pages import PAGES, ROOT, Page

LONGEST = 110


def inside(page: Page) -> Iterator[tuple[str, str]]:
    """Links to files of the project: path and anchor, either may be empty."""
    for link in page.links():
        if "://" not in link:
            path, _, anchor = link.partition("#")
            yield path, anchor


def normal(page: Page, path: str) -> str:
    """From the project's root."""
    parts: list[str] = []
    for part in (PurePosixPath(page.name).parent / path).parts:
        parts = parts[:-1] if part == ".." else [*parts, part]
    return "/".join(parts)


@pytest.mark.parametrize("page", PAGES.values(), ids=PAGES)
def test_links_lead_to_what_is_there(page: Page) -> None:
    for path, anchor in inside(page):
        target = normal(page, path) if path else page.name
        assert (ROOT / target).exists(), f"{page.name}: {path}"
        if anchor:
            assert anchor in PAGES[target].anchors, f"{page.name}: {path}#{anchor}"


@pytest.mark.parametrize("page", PAGES.values(), ids=PAGES)
def test_tables_are_whole(page: Page) -> None:
    for table in page.tables:
        head, rule, *rows = table
        assert all(re.fullmatch(r":?-+:?", cell) for cell in rule), head
        assert rows, head
        for row in rows:
            assert len(row) == len(head) == len(rule), row


@pytest.mark.parametrize("page", PAGES.values(), ids=PAGES)
def test_blocks_of_code_end(page: Page) -> None:
    assert "```" not in page.prose


@pytest.mark.parametrize("page", PAGES.values(), ids=PAGES)
def test_lines_of_prose_fit_a_terminal(page: Page) -> None:
    """They are read there, too; rows of tables cannot be broken."""
    for line in page.prose.splitlines():
        assert line.startswith("|") or len(line) <= LONGEST, line


def given(page: Page) -> Iterator[tuple[str, list[str]]]:
    """The commands in its blocks of shell: name and arguments."""
    for block in page.blocks("sh"):
        text = re.sub(r"\s+# .*$", "", block.replace("\\\n", " "), flags=re.MULTILINE)
        lexer = shlex.shlex(text, posix=True, punctuation_chars="();|&<>\n")
        lexer.whitespace, lexer.whitespace_split, lexer.commenters = " \t", True, ""
        for ends, words in groupby(lexer, key=lambda word: set(word) <= set("();|&<>\n")):
            command = [word for word in words if word != "$"]
            if not ends and command[0] == "fetcher":
                yield named(command)


def named(words: list[str]) -> tuple[str, list[str]]:
    """The command that ``words`` begin with, and its arguments."""
    for length in (3, 2):
        if (name := " ".join(words[:length])) in COMMANDS:
            return name, words[length:]
    raise AssertionError(f"{shlex.join(words)} is no command")


GIVEN = [
    pytest.param(name, arguments, id=f"{page.name}: {shlex.join([name, *arguments])}")
    for page in PAGES.values()
    for name, arguments in given(page)
]


def parse(name: str, arguments: list[str]) -> None:
    """Without a parent, click would remember for good that there is no -h."""
    parent = cli.make_context("fetcher", [name])
    COMMANDS[name].make_context(name, list(arguments), parent)


@pytest.mark.parametrize(("name", "arguments"), GIVEN)
def test_commands_in_the_pages_can_be_given(name: str, arguments: list[str]) -> None:
    parse(name, arguments)


def test_commands_are_found_in_the_pages() -> None:
    assert len(GIVEN) > 20
    with pytest.raises(click.NoSuchOption):
        parse("fetcher mirror", ["a.csv", "--to", "a", "--no-such"])

"""YAML is read as everybody reads it, and written so that everybody reads the same."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from fetcher.config.yamltext import YamlError, dump, parse

_TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\ufeff"))
_TRICKY = st.sampled_from(
    ["no", "on", "1:30", "0123", "1e3", "null", "~", "", "*.a", "#", "- a", "a: b", "%", "5.", "="]
)
_SCALARS = (
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | _TEXTS | _TRICKY
) | st.floats(allow_nan=False, allow_infinity=False)


@given(_SCALARS | st.lists(_SCALARS, max_size=4))
def test_what_is_dumped_is_parsed_on_one_line(value: Any) -> None:
    text = dump(value)
    assert "\n" not in text
    assert parse(f"key: {text}").value == {"key": value}


@given(_TEXTS | _TRICKY)
def test_texts_are_quoted_so_that_yaml_1_1_reads_them_too(text: str) -> None:
    assert yaml.safe_load(f"key: {dump(text)}") == {"key": text}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("no", "no"),
        ("on", "on"),
        ("yes", "yes"),
        ("1:30", "1:30"),
        ("0123", "0123"),
        ("0x1F", "0x1F"),
        ("1_000", "1_000"),
        ("2017-11-01", "2017-11-01"),
        (".inf", ".inf"),
        ("<<", "<<"),
        ("true", True),
        ("12", 12),
        ("1e3", 1000.0),
        ("~", None),
        ("", None),
        ("!!str 12", "12"),
    ],
)
def test_scalars_are_what_they_look_like(text: str, value: object) -> None:
    parsed = parse(f"key: {text}").value["key"]
    assert parsed == value
    assert type(parsed) is type(value)


def test_keys_are_texts_and_have_lines() -> None:
    document = parse("# a comment\nno: 1\n443:\n  on: 2\n")
    assert document.value == {"no": 1, "443": {"on": 2}}
    assert document.lines == {("no",): 2, ("443",): 3, ("443", "on"): 4}


def test_a_key_given_twice_is_noted() -> None:
    assert parse("a: {b: 1, b: 2}\na: 3").twice == ((("a", "b"), 1), (("a",), 2))


def test_aliases_are_read() -> None:
    assert parse("a: &x [1]\nb: *x").value == {"a": [1], "b": [1]}


@pytest.mark.parametrize(
    ("text", "line", "problem"),
    [
        ("a: 1\nb: *.example.org", 2, "must be quoted"),
        ("a: 1\nb: [*.example.org]", 2, "must be quoted"),
        ("a: 1\nb: !!python/object/apply:os.getcwd []", 2, "tag"),
        ("a: !!python/name:os.getcwd x", 1, "tag"),
        ("a: !!int x", 1, "tag"),
        ("a: &x [*x]", 1, "contains itself"),
        ("{[1]: 2}", 1, "no text"),
        ("a: 1\n---\nb: 2", 2, "another document"),
        ("a: b: c", 1, "not allowed"),
        ("a: `b`", 1, "cannot start"),
        ("a: \x01", 1, "not allowed"),
        ("a: " + "9" * 5000, 1, "too many digits"),
        ("[" * 5_000, 1, "too deeply"),
        ('a: "\\UFFFFFFFF"', 1, "no character"),
        ('a:\n  "\\ud800": 1', 2, "half a character"),
        ('a:\n- "\\udfff"', 2, "half a character"),
        (
            "a: &a [x,x,x,x,x,x,x,x,x]\n"
            + "".join(
                f"{name}: &{name} [{','.join([f'*{before}'] * 9)}]\n"
                for before, name in pairwise("abcdefghi")
            ),
            1,
            "more values",
        ),
    ],
    ids=lambda value: str(value)[:30],
)
def test_what_is_no_plain_yaml(text: str, line: int, problem: str) -> None:
    with pytest.raises(YamlError, match=problem) as caught:
        parse(text)
    assert caught.value.line == line

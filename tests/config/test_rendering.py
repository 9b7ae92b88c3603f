"""What is shown of a configuration is that configuration, and shows no password."""

from __future__ import annotations

import json
import re
from itertools import pairwise
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from fetcher.config import DEFAULTS, Flag, as_dict, documented_keys, load, render
from fetcher.config.layers import from_file
from fetcher.config.yamltext import dump

_CHECKOUT = Path(__file__).parents[2]
_DEFAULT_YAML = _CHECKOUT / "config" / "default.yaml"
_INTRANET_YAML = _CHECKOUT / "config" / "intranet.yaml"

_NAMES = st.text(st.characters(codec="utf-8"), min_size=1).filter(
    lambda name: name.isprintable() and bool(name.strip())
)
_SETTINGS = {
    "fetch.timeout.stall": st.floats(0.001, 1e6).map(repr),
    "fetch.max_bytes": st.integers(1, 2**50).map(str),
    "hosts.default.rate": st.sampled_from(["unlimited", "0.3", "7"]),
    "hosts.groups.a.b.bandwidth": st.sampled_from(["unlimited", "1MiB/s", "12345"]),
    "hosts.groups.a.b.rate": st.sampled_from(["unlimited", "2"]),
    "source.columns.id": _NAMES.map(dump),
    "run.subsets": st.lists(_NAMES.filter(lambda n: "," not in n), min_size=1).map(dump),
    "run.tolerate": st.floats(0, 1).map(repr),
    "network.connect_to.*.a.org:443": st.just("'[::1]:8443'"),
}


@settings(deadline=None)  # reads a file: the machine's load is not the law
@given(
    st.fixed_dictionaries({}, optional=_SETTINGS),
)
def test_what_is_shown_loads_as_the_same_configuration(
    tmp_path_factory: pytest.TempPathFactory, given_: dict[str, str]
) -> None:
    sets = [f"{key}={value}" for key, value in given_.items()]
    loaded = load(sets=["hosts.groups.a.b.match=*.b", *sets])
    path = tmp_path_factory.getbasetemp() / "shown.yaml"
    path.write_text(render(loaded), encoding="utf-8")
    again = load(path)
    assert again.config == loaded.config
    changed = load(path, ["hosts.default.concurrency=99"]).config.hosts.groups["a.b"]
    assert changed.concurrency == 99, "what was inherited still is"


def test_every_value_has_its_origin_as_a_comment(tmp_path: Path) -> None:
    file = tmp_path / "my.yaml"
    file.write_text("fetch:\n  contact: me@example.org\nhosts: {groups: {g: {match: a.org}}}\n")
    text = render(load(file, ["run.drain=90"], {"run.limit": Flag("--limit", 5)}))
    assert f"  contact: me@example.org  # {file}:2\n" in text
    assert "  drain: 90s  # --set\n" in text
    assert "  limit: 5  # --limit\n" in text
    assert "  concurrency: 256  # default\n" in text
    assert f"      match: [a.org]  # {file}:3\n" in text
    assert "      # rate: 5  (hosts.default)\n" in text
    for line in text.splitlines():
        assert line.endswith((":", "(hosts.default)")) or "  # " in line


def test_a_password_is_not_shown() -> None:
    loaded = load(sets=["network.proxy=http://me:secret@p.example:3128"])
    assert loaded.config.network.proxy == "http://me:secret@p.example:3128"
    for shown in (render(loaded), json.dumps(as_dict(loaded))):
        assert "secret" not in shown
        assert "http://***@p.example:3128" in shown


def test_as_dict_is_json_of_plain_numbers() -> None:
    sets = ["hosts.groups.g.match=a.org", "network.connect_to.a.org:1=127.0.0.1:2"]
    told = json.loads(json.dumps(as_dict(load(sets=sets))))
    config = told["config"]
    assert config["fetch"]["max_bytes"] == 256 * 1024 * 1024
    assert config["fetch"]["timeout"]["total"] == 600.0
    assert config["hosts"]["default"]["bandwidth"] is None
    assert config["hosts"]["groups"]["g"] == {
        "match": ["a.org"],
        "rate": 5.0,
        "burst": 5,
        "concurrency": 4,
        "bandwidth": None,
        "adapt": True,
    }
    assert config["network"]["connect_to"] == {"a.org:1": "127.0.0.1:2"}
    assert told["origins"]["hosts.groups.g.match"] == "--set"


# Documentation


def test_every_key_is_documented_and_its_default_is_yaml_that_it_accepts() -> None:
    docs = documented_keys()
    assert len({doc.path for doc in docs}) == len(docs)
    for doc in docs:
        assert doc.description.endswith(".")
        assert doc.accepts
        if ".NAME." not in doc.path:
            assert load(sets=[f"{doc.path}={doc.default}"]).config == DEFAULTS


def test_the_keys_that_are_fixed_by_name_exist() -> None:
    fixed = """fetch.concurrency fetch.max_bytes fetch.memory fetch.user_agent fetch.contact
        fetch.timeout.connect fetch.timeout.stall fetch.timeout.total hosts.default.rate
        hosts.default.burst hosts.default.concurrency hosts.default.bandwidth
        hosts.groups.NAME.match hosts.groups.NAME.rate hosts.groups.NAME.burst
        hosts.groups.NAME.concurrency hosts.groups.NAME.bandwidth retry.attempts retry.first_delay
        retry.max_delay network.connect_to network.allow_private_addresses network.ca_file
        network.proxy store.mismatched store.min_free store.durability placeholders.redirects
        placeholders.digests"""
    assert set(fixed.split()) <= {doc.path for doc in documented_keys()}


def test_default_yaml_is_the_defaults_and_has_every_key() -> None:
    assert load(_DEFAULT_YAML).config == DEFAULTS
    given_ = {".".join(entry.path) for entry in from_file(_DEFAULT_YAML).entries}
    assert given_ == {doc.path for doc in documented_keys() if ".NAME." not in doc.path}


def test_default_yaml_explains_every_key() -> None:
    lines = _DEFAULT_YAML.read_text(encoding="utf-8").splitlines()
    sections = ("timeout:", "default:", "columns:", "limit:")  # limit shares max_runtime's comment
    for above, line in pairwise(lines):
        if re.match(r" +[a-z_0-9]+:", line) and not line.strip().startswith(sections):
            assert above.strip().startswith("#"), line


def test_default_yaml_reads_the_same_by_yaml_1_1() -> None:
    tree = yaml.safe_load(_DEFAULT_YAML.read_text(encoding="utf-8"))
    assert tree["store"]["durability"] == "batch"
    assert tree["fetch"]["timeout"]["total"] == "10m"


def test_the_intranet_example_loads() -> None:
    config = load(_INTRANET_YAML).config
    assert config.network.allow_private_addresses
    assert config.hosts.groups["images"].rate is None
    assert config.hosts.default == DEFAULTS.hosts.default


def test_a_file_s_name_stays_in_its_comment(tmp_path: Path) -> None:
    path = tmp_path / "a\nfetch: {concurrency: 1}\n\x1b[31m.yaml"
    path.write_text("fetch: {concurrency: 7}\n")
    shown = render(load(path))
    assert r"concurrency: 7  # " in shown
    assert r"a\nfetch: {concurrency: 1}\n\x1b[31m.yaml" in shown
    assert "\x1b" not in shown
    saved = tmp_path / "saved.yaml"
    saved.write_text(shown)
    assert load(saved).config == load(path).config

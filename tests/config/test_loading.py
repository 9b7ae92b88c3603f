"""Layers make one configuration, in their order; what is wrong is refused with where it stands."""

from __future__ import annotations

import pickle
from itertools import accumulate
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fetcher.config import DEFAULTS, Flag, LoadedConfig, load
from fetcher.config.keys import UnknownKeyError
from fetcher.errors import ConfigError, Exit


@pytest.fixture
def write(tmp_path: Path) -> Any:
    def write(text: str | bytes) -> Path:
        file = tmp_path / "config.yaml"
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
        return file

    return write


def refusal(*sets: str, file: Path | None = None) -> list[str]:
    """The lines of the error, the hint left off."""
    with pytest.raises(ConfigError) as caught:
        load(file, sets)
    assert caught.value.exit is Exit.UNUSABLE
    assert caught.value.hint
    return caught.value.sentence.split("\n")


def test_without_layers_it_is_the_defaults() -> None:
    loaded = load()
    assert loaded.config == DEFAULTS
    assert set(loaded.origins.values()) == {"default"}


@pytest.mark.parametrize("text", ["", "# nothing\n", "fetch:\n", "hosts:\n  groups:\n", "\ufeff{}"])
def test_a_file_that_says_nothing_is_the_defaults(write: Any, text: str) -> None:
    assert load(write(text)).config == DEFAULTS


# Precedence

_KEYS: dict[str, Any] = {
    "fetch.concurrency": lambda config: config.fetch.concurrency,
    "fetch.timeout.connect": lambda config: config.fetch.timeout.connect,
    "hosts.default.rate": lambda config: config.hosts.default.rate,
    "run.limit": lambda config: config.run.limit,
}
_LAYER = st.dictionaries(st.sampled_from(sorted(_KEYS)), st.integers(1, 1000))


def nested(values: dict[str, int]) -> str:
    """``values`` as YAML of sections."""
    tree: dict[str, Any] = {}
    for path, value in values.items():
        *above, last = path.split(".")
        section = list(accumulate(above, lambda at, name: at.setdefault(name, {}), initial=tree))
        section[-1][last] = value
    return str(tree).replace("'", "")


@settings(deadline=None)  # reads a file: the machine's load is not the law
@given(file=_LAYER, sets=_LAYER, flags=_LAYER)
def test_flags_beat_set_beats_file_beats_defaults(
    tmp_path_factory: pytest.TempPathFactory,
    file: dict[str, int],
    sets: dict[str, int],
    flags: dict[str, int],
) -> None:
    path = tmp_path_factory.getbasetemp() / "precedence.yaml"
    path.write_text(nested(file))
    loaded = load(
        path,
        [f"{key}={value}" for key, value in sets.items()],
        {key: Flag("--flag", value) for key, value in flags.items()},
    )
    for key, read in _KEYS.items():
        layers = [({key: read(DEFAULTS)}, "default"), (file, f"{path}:1")]
        layers += [(sets, "--set"), (flags, "--flag")]
        values, origin = [layer for layer in layers if key in layer[0]][-1]
        assert read(loaded.config) == values[key]
        assert loaded.origins[key] == origin


def test_of_two_sets_of_one_key_the_later_holds() -> None:
    sets = [
        "fetch.timeout.stall=3s",
        "fetch.timeout={stall: 4s, total: 5s}",
        "fetch.timeout.total=6s",
    ]
    timeout = load(sets=sets).config.fetch.timeout
    assert (timeout.stall, timeout.total) == (4.0, 6.0)


def test_origins_name_file_and_line(write: Any) -> None:
    file = write("fetch:\n  contact: me@example.org\n\nretry: {attempts: 2}\n")
    loaded = load(file, ["run.drain=1s"], {"run.limit": Flag("--limit", 5)})
    assert loaded.origins["fetch.contact"] == f"{file}:2"
    assert loaded.origins["retry.attempts"] == f"{file}:4"
    assert loaded.origins["run.drain"] == "--set"
    assert loaded.origins["run.limit"] == "--limit"
    assert loaded.origins["retry.first_delay"] == "default"


def test_the_value_of_a_set_is_yaml_and_a_leading_star_is_a_wildcard() -> None:
    sets = [
        "run.subsets=[train, validation]",
        "store.durability=none",
        "hosts.groups.a.match=*.example.org",
        'hosts.groups.b.match=["*.example.com", example.com]',
        "placeholders.redirects=https://a.example/?x=1",
    ]
    config = load(sets=sets).config
    assert config.run.subsets == ("train", "validation")
    assert config.store.durability == "none"
    assert config.hosts.groups["a"].match == ("*.example.org",)
    assert config.hosts.groups["b"].match == ("*.example.com", "example.com")
    assert config.placeholders.redirects == ("https://a.example/?x=1",)


# Host groups


def test_groups_take_from_the_default_what_they_leave_out(write: Any) -> None:
    file = write("hosts:\n  default: {rate: 2}\n  groups: {g: {match: a.org, burst: 9}}\n")
    loaded = load(file, ["hosts.default.concurrency=7", "hosts.default.bandwidth=1MB/s"])
    group = loaded.config.hosts.groups["g"]
    assert (group.rate, group.burst, group.concurrency, group.bandwidth) == (2.0, 9, 7, 10**6)
    assert "hosts.groups.g.burst" in loaded.origins
    assert "hosts.groups.g.rate" not in loaded.origins


def test_unlimited_in_a_group_is_not_inheritance() -> None:
    sets = ["hosts.groups.g.match=a.org", "hosts.groups.g.rate=unlimited"]
    assert load(sets=sets).config.hosts.groups["g"].rate is None


def test_groups_keep_the_order_of_the_file_after_those_that_later_layers_add(write: Any) -> None:
    file = write("hosts: {groups: {z: {match: z}, y: {match: y}}}")
    sets = ["hosts.groups.y.rate=1", "hosts.groups.b.match=b", "hosts.groups.a.match=a"]
    flags = {"hosts.groups.f.match": Flag("--group", "f")}
    assert list(load(file, sets, flags).config.hosts.groups) == ["f", "b", "a", "z", "y"]


def test_names_of_groups_may_have_dots() -> None:
    sets = ["hosts.groups.example.org.match=*.example.org", "hosts.groups.example.org.rate=1"]
    (name,) = load(sets=sets).config.hosts.groups
    assert name == "example.org"


@pytest.mark.parametrize("text", ["g:", "g: {}", "g: {rate: 1}"])
def test_a_group_without_hosts_is_refused(write: Any, text: str) -> None:
    (line,) = refusal(file=write(f"hosts: {{groups: {{{text}}}}}"))
    assert line.startswith("hosts.groups.g.match: not given; accepted: ")


def test_what_is_wrong_in_the_default_is_told_once_not_for_every_group() -> None:
    (line,) = refusal("hosts.default.rate=0", "hosts.groups.a.match=a", "hosts.groups.b.match=b")
    assert line.startswith("hosts.default.rate: got 0 ")


# connect_to


def test_connect_to_is_added_to_by_key_and_replaced_as_a_whole(write: Any) -> None:
    file = write('network: {connect_to: {"A.org:443": "127.0.0.1:1", "b.org:80": "[::1]:2"}}')
    added = load(
        file,
        ["network.connect_to.*.c.org:443=127.0.0.1:3", "network.connect_to.a.ORG:443=1.2.3.4:5"],
    )
    assert added.config.network.connect_to == {
        "a.org:443": "1.2.3.4:5",
        "b.org:80": "[::1]:2",
        "*.c.org:443": "127.0.0.1:3",
    }
    assert added.origins["network.connect_to.a.org:443"] == "--set"
    assert added.origins["network.connect_to.b.org:80"] == f"{file}:1"
    replaced = load(file, ["network.connect_to={}"])
    assert replaced.config.network.connect_to == {}
    assert "network.connect_to.a.org:443" not in replaced.origins


# Refusals

_REFUSED = [
    ("fetch.max_byte=1", "fetch.max_byte: no such key (--set); did you mean fetch.max_bytes?"),
    ("fetch.rate=1", "fetch.rate: no such key (--set); did you mean hosts.default.rate?"),
    ("fetsh.contact=x", "fetsh.contact: no such key (--set); did you mean fetch.contact?"),
    ("fetsh.x=1", "fetsh.x: no such key (--set); did you mean fetch?"),
    ("rates=1", "rates: no such key (--set)"),
    ("qqqq=1", "qqqq: no such key (--set)"),
    ("fetch.timeout.stall.x=1", "fetch.timeout.stall.x: no such key (--set)"),
    (
        "hosts.groups.a.rat=1",
        "hosts.groups.a.rat: no such key (--set); did you mean hosts.groups.a.rate?",
    ),
    ("fetch=3", "fetch: got 3 (--set); accepted: a mapping with the keys concurrency, "),
    ("fetch=", "fetch: got null (--set); accepted: a mapping with the keys "),
    ("hosts.groups=x", "hosts.groups: got x (--set); accepted: a mapping of names, "),
    (
        "hosts.groups.g=5",
        "hosts.groups.g: got 5 (--set); accepted: a mapping with the keys match, ",
    ),
    ("hosts.groups={' ': {match: a}}", "hosts.groups.: got ' ' (--set); accepted: "),
    ("fetch.concurrency", "--set fetch.concurrency: accepted: key.path=value"),
    ("=3", "--set =3: accepted: key.path=value"),
    ("fetch.contact=[a", "fetch.contact: got '[a' (--set): no YAML, "),
    ("fetch.timeout={stall: 1, stall: 2}", "fetch.timeout.stall: given twice (--set)"),
    (
        "fetch.concurrency=0",
        "fetch.concurrency: got 0 (--set); accepted: a whole number, at least 1",
    ),
    ("fetch.concurrency=true", "fetch.concurrency: got true (--set); accepted: "),
    ("fetch.concurrency=1.5", "fetch.concurrency: got 1.5 (--set); accepted: "),
    ("fetch.max_bytes=64M", "fetch.max_bytes: got 64M (--set); accepted: bytes, or a size "),
    ("fetch.max_bytes=unlimited", "fetch.max_bytes: got unlimited (--set); accepted: "),
    ("fetch.memory=.nan", "fetch.memory: got '.nan' (--set); accepted: "),
    ("fetch.timeout.connect=1:30", "fetch.timeout.connect: got '1:30' (--set); accepted: "),
    ("fetch.timeout.stall=-5", "fetch.timeout.stall: got -5 (--set); accepted: "),
    ("fetch.timeout.total=0", "fetch.timeout.total: got 0 (--set); accepted: "),
    ('fetch.user_agent="a\\r\\nX: y"', 'fetch.user_agent: got "a\\r\\nX: y" (--set); accepted: '),
    ('fetch.user_agent="a\\x7f"', 'fetch.user_agent: got "a\\x7F" (--set); accepted: '),
    ("fetch.user_agent=ä", "fetch.user_agent: got ä (--set): no value of a header; accepted: "),
    ("fetch.user_agent='a {pid}'", "fetch.user_agent: got 'a {pid}' (--set): braces other than "),
    ("fetch.user_agent='a {version'", "fetch.user_agent: got 'a {version' (--set): braces other "),
    ('fetch.contact="a@b.org\\nX: y"', 'fetch.contact: got "a@b.org\\nX: y" (--set); accepted: '),
    (
        "fetch.contact='https://a.org/(x)'",
        "fetch.contact: got 'https://a.org/(x)' (--set); accepted: ",
    ),
    ("fetch.contact=nobody", "fetch.contact: got nobody (--set); accepted: "),
    ("hosts.default.rate=null", "hosts.default.rate: got null (--set); accepted: "),
    ("hosts.default.bandwidth=10Mb/s", "hosts.default.bandwidth: got 10Mb/s (--set); accepted: "),
    (
        "hosts.groups.g.match=https://a.org/",
        "hosts.groups.g.match: got 'https://a.org/' (--set): a host name only",
    ),
    (
        "hosts.groups.g.match=a.org:443",
        "hosts.groups.g.match: got 'a.org:443' (--set): a host name only",
    ),
    ("hosts.groups.g.match=[]", "hosts.groups.g.match: got [] (--set); accepted: "),
    (
        "hosts.groups.g.match=[a, 'b/c', 5]",
        "hosts.groups.g.match: got [a, b/c, 5] (--set): refused in it: 'b/c' (a host",
    ),
    ("retry.attempts=0", "retry.attempts: got 0 (--set); accepted: "),
    (
        "network.connect_to=5",
        "network.connect_to: got 5 (--set); accepted: a mapping, host:port as keys",
    ),
    (
        "network.connect_to.a.org=1.2.3.4:5",
        "network.connect_to.a.org: got a.org (--set); accepted: host:port as keys",
    ),
    (
        "network.connect_to.a*.org:80=1.2.3.4:5",
        "network.connect_to.a*.org:80: got 'a*.org:80' (--set); accepted: ",
    ),
    (
        "network.connect_to.a.org:80=b.org:80",
        "network.connect_to.a.org:80: got 'b.org:80' (--set); accepted: ",
    ),
    (
        "network.connect_to.a.org:80=::1:80",
        "network.connect_to.a.org:80: got '::1:80' (--set): an IPv6 address without ",
    ),
    (
        "network.connect_to={A:1: '1.1.1.1:1', a:1: '1.1.1.1:2'}",
        "network.connect_to.a:1: given twice (--set)",
    ),
    (
        "network.allow_private_addresses=yes",
        "network.allow_private_addresses: got 'yes' (--set); accepted: true or false",
    ),
    (
        "network.ca_file=~nobody-at-all/ca.pem",
        "network.ca_file: got ~nobody-at-all/ca.pem (--set): there is no such user; accepted: ",
    ),
    (
        f"network.ca_file={'x' * 300}",
        f"network.ca_file: got {'x' * 79}… (--set): there is no such file; accepted: ",
    ),
    (
        "network.ca_file=/nonexistent/ca.pem",
        "network.ca_file: got /nonexistent/ca.pem (--set): there is no such file; accepted: ",
    ),
    (
        "network.proxy=https://me:secret@p.example",
        "network.proxy: got 'https://***@p.example' (--set); accepted: ",
    ),
    (
        "network.proxy=http://***@p.example",
        "network.proxy: got 'http://***@p.example' (--set): *** stands for a password",
    ),
    (
        "store.mismatched=drop",
        "store.mismatched: got drop (--set); accepted: quarantine, discard or keep",
    ),
    ("store.durability=null", "store.durability: got null (--set); accepted: batch, file or none"),
    (
        "placeholders.redirects=photo_unavailable.png",
        "placeholders.redirects: got photo_unavailable.png (--set): no pattern of a whole URL",
    ),
    (
        "placeholders.digests=d41d8cd98f00b204e9800998ecf8427e",
        "placeholders.digests: got d41d8cd98f00b204e9800998ecf8427e (--set): of 24 bytes, not 16",
    ),
    (
        "placeholders.digests=[x]",
        "placeholders.digests: got [x] (--set): refused in it: 'x' (not base64)",
    ),
    (
        "placeholders.digests=1B2M2Y8AsgTpgAmY7PhCfh==",
        "placeholders.digests: got 1B2M2Y8AsgTpgAmY7PhCfh== (--set): not the canonical",
    ),
    (
        "source.columns.id=5",
        "source.columns.id: got 5 (--set): quote what is meant as a text; accepted: ",
    ),
    ("run.tolerate=20", "run.tolerate: got 20 (--set): percent need their sign; accepted: "),
    ("run.subsets=train,test", "run.subsets: got 'train,test' (--set): one text with a comma"),
    ("run.limit=0", "run.limit: got 0 (--set); accepted: "),
    (
        "retry.first_delay=10m",
        (
            "retry.first_delay: got 10m (--set); "
            "accepted: at most retry.max_delay, which is 5m (default)"
        ),
    ),
    (
        "fetch.memory=1MiB",
        (
            "fetch.spool_above: got 4MiB (default); "
            "accepted: at most fetch.memory, which is 1MiB (--set)"
        ),
    ),
    (
        "fetch.user_agent=a/1 {contact}",
        (
            "fetch.user_agent: got 'a/1 {contact}' (--set); accepted: a text with {contact} only "
            "in parentheses, because of fetch.contact, which is null (default)"
        ),
    ),
]


@pytest.mark.parametrize(("given_", "line"), _REFUSED, ids=[given_ for given_, _ in _REFUSED])
def test_refused_with_path_value_origin_and_what_would_be_accepted(given_: str, line: str) -> None:
    assert any(told.startswith(line) for told in refusal(given_)), refusal(given_)


def test_a_contact_that_the_user_agent_would_not_show_is_refused() -> None:
    (line,) = refusal("fetch.user_agent=mine/1", "fetch.contact=me@example.org")
    assert (
        "a text that has {contact} in it, because of fetch.contact, which is me@example.org" in line
    )


def test_all_problems_are_told_at_once_a_line_each(write: Any) -> None:
    file = write("fetch:\n  concurrency: many\n  concurrency: 2\nhots: {}\nretry:\n  attempts: 0\n")
    assert [line.partition(" (")[0] for line in refusal("run.limit=x", file=file)] == [
        "fetch.concurrency: given twice",
        "hots: no such key",
        "fetch.concurrency: got many",
        "retry.attempts: got 0",
        "run.limit: got x",
    ]


def test_a_key_given_twice_names_both_lines(write: Any) -> None:
    file = write("fetch:\n  concurrency: 1\n  concurrency: 2\n")
    assert refusal(file=file) == [f"fetch.concurrency: given twice ({file}:2 and 3)"]


@pytest.mark.parametrize(
    ("text", "line", "problem"),
    [
        (b"\xff\xfe", "", "is not UTF-8"),
        ("- a\n", ":1", "got no mapping"),
        ("fetch:\n  contact: [\n", ":3", "not usable as YAML"),
        ("hosts: {groups: {a: {match: *.a}}}", ":1", "a value that begins with * must be quoted"),
    ],
)
def test_files_that_are_none(write: Any, text: str | bytes, line: str, problem: str) -> None:
    file = write(text)
    (told,) = refusal(file=file)
    assert told.startswith(f"{file}{line}: ")
    assert problem in told


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    assert refusal(file=tmp_path / "none.yaml") == [
        f"{tmp_path / 'none.yaml'}: cannot be read: No such file or directory"
    ]


def test_a_flag_for_no_key_is_a_bug_not_a_refusal() -> None:
    with pytest.raises(UnknownKeyError):
        load(flags={"fetch.nothing": Flag("--nothing", 1)})


def test_a_flag_is_named_in_the_refusal() -> None:
    with pytest.raises(
        ConfigError, match=r"^hosts\.default\.rate: got '-1' \(--rate\); accepted: "
    ):
        load(flags={"hosts.default.rate": Flag("--rate", "-1")})


# The value


def test_a_configuration_is_frozen_and_takes_no_other_keys() -> None:
    with pytest.raises(AttributeError, match="immutable"):
        DEFAULTS.fetch.concurrency = 1  # type: ignore[misc]
    with pytest.raises(TypeError, match="concurency"):
        type(DEFAULTS.fetch)(concurency=1)  # type: ignore[call-arg]


def test_a_loaded_configuration_can_be_sent_to_another_process() -> None:
    loaded = load(sets=["hosts.groups.g.match=a.org", "network.connect_to.a.org:1=127.0.0.1:2"])
    again: LoadedConfig = pickle.loads(pickle.dumps(loaded))  # noqa: S301  our own bytes
    assert again == loaded


def test_a_file_is_found_from_the_current_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "ca.pem").touch()
    monkeypatch.chdir(tmp_path)
    assert load(sets=["network.ca_file=ca.pem"]).config.network.ca_file == tmp_path / "ca.pem"

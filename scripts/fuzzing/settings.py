"""Targets: configuration as people write it, in files and on the command line."""

from __future__ import annotations

import json
import tempfile
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Final

from fetcher.config import LoadedConfig, as_dict, documented_keys, load, render, texts, units
from fetcher.config.derived import host_groups, redirect_rule, retry_rule, user_agent
from fetcher.config.units import Unit
from fetcher.config.yamltext import YamlError, dump, parse
from fetcher.errors import ConfigError
from scripts.fuzzing.laws import PART, Choices, Target, require

_LONGEST_MESSAGE: Final = 20_000


@cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="fetcher-fuzz-")


def _written(text: bytes) -> Path:
    path = Path(_folder().name, "config.yaml")
    path.write_bytes(text)
    return path


def _load(file: bytes, sets: list[str]) -> LoadedConfig | None:
    try:
        return load(_written(file), sets)
    except ConfigError as refused:
        problems = refused.sentence.split("\n")
        for problem in problems:
            require(problem.strip() and problem.isprintable(), f"the message {problem!r}")
            named = "config.yaml" in problem or "--set" in problem or "." in problem
            require(named, f"it does not say where: {problem}")
        require(len(refused.sentence) < _LONGEST_MESSAGE, "an endless message")
        return None


def _usable(loaded: LoadedConfig) -> None:
    """What is made of a configuration, and that it is itself when it is written and read."""
    config = loaded.config
    require(user_agent(config).isascii() and user_agent(config).isprintable(), "the User-Agent")
    host_groups(config).group_of("a.example")
    retry_rule(config).delay(70, 0.5)
    redirect_rule(config).judge("http://a/", "http://b/", 0)
    json.dumps(as_dict(loaded), allow_nan=False)
    require(set(loaded.origins) >= _PATHS, "a value without origin")
    text = render(loaded)
    if "***" not in text:
        require(load(_written(text.encode())).config == config, "written and read, it is another")


_PATHS: Final = {doc.path for doc in documented_keys() if "NAME" not in doc.path.split(".")}


def _file(data: bytes) -> None:
    loaded = _load(data, [])
    if loaded is not None:
        _usable(loaded)


def _sets(data: bytes) -> None:
    sets = [part.decode(errors="surrogateescape") for part in data.split(PART)]
    loaded = _load(b"", sets)
    if loaded is not None:
        _usable(loaded)


def _layers(data: bytes) -> None:
    """What a file says, ``--set`` overrides."""
    file, *sets = data.split(PART)
    base = _load(file, [])
    loaded = _load(file, [text.decode(errors="surrogateescape") for text in sets])
    if loaded is None:
        return
    _usable(loaded)
    if base is not None and not sets:
        require(loaded == base, "nothing set, and another configuration")
    again = _load(b"", [f"fetch.concurrency={loaded.config.fetch.concurrency}"])
    require(again is not None, "a value that was accepted is refused")


def _yaml(data: bytes) -> None:
    text = data.decode(errors="replace")
    try:
        document = parse(text)
    except YamlError as error:
        require(1 <= error.line <= text.count("\n") + text.count("\r") + 9, f"line {error.line}")
        return
    try:
        json.dumps(document.value, allow_nan=False)
    except ValueError:
        return  # 1e999, for which no unit has a meaning
    written = dump(document.value)
    require(len(written.splitlines()) <= 1, "a value on more than one line")
    require(parse(written).value == document.value, f"{document.value!r} is read otherwise")


_UNITS: Final[tuple[Unit[object], ...]] = tuple(
    unit for module in (units, texts) for unit in vars(module).values() if isinstance(unit, Unit)
)


def _unit(data: bytes) -> None:
    choices = Choices(data)
    unit = _UNITS[choices.below(len(_UNITS))]
    text = choices.rest().decode(errors="surrogateescape")
    values: list[object] = [text]
    with suppress(YamlError):
        values.append(parse(text).value)
    for value in values:
        try:
            parsed = unit.parse(value)
        except ValueError:
            continue
        shown = unit.show(parsed)
        if "***" not in str(shown):
            require(unit.parse(shown) == parsed, f"{parsed!r}, shown as {shown!r}, is another")
            require(unit.show(unit.parse(shown)) == shown, f"{shown!r} is shown otherwise")
            require(unit.parse(parse(dump(shown)).value) == parsed, f"{shown!r} in YAML is another")


_FILES: Final = (
    b"fetch: {concurrency: 9, max_bytes: 1.5MiB, contact: me@a.example}\n",
    b"hosts:\n  default: {rate: 5, burst: 2}\n  groups: {a.b: {match: '*.a.b', rate: 1}}\n",
    b"network: {connect_to: {'*.a.example:443': '[::1]:1', b:80: 127.0.0.1:2}, proxy: 'http://u@h'}",
    b"retry: &r {attempts: 3}\nrun: *r\n",
    b"a: &a [x,x,x,x]\nb: &b [*a,*a,*a,*a]\nc: [*b,*b,*b]\n",
    b"fetch: {concurrency: 1, concurrency: 2}\n",
    b"fetch:\n  timeout: {stall: 1e2, total: 5m}\nplaceholders: {digests: [1B2M==]}\n",
    b"run: {subsets: [train, test], tolerate: 20%, limit: null, max_runtime: 8h}\n",
    b'source: {columns: {url: "\\u0041\\n", id: \'\'}}\n',
    b"%YAML 1.1\n--- !!python/object/apply:os.system [x]\n", b"? [a]\n: b\n", b"- a\n- b\n",
    b"fetch: |\n  x\n", b"\xef\xbb\xbf{}", b"", b"\xff", b"--- 1\n--- 2\n", b'x: "\\UFFFFFFFF"',
    b'x: "\\ud800"', b"!!int x: !!float y", b"0: .inf", b"x: !!binary aGk=",
)  # fmt: skip
_SETS: Final = (
    b"fetch.concurrency=7", b"hosts.default.rate=unlimited", b"hosts.groups.a.b.match=*.a.example",
    b"network.connect_to.a.example:443=127.0.0.1:1", b"fetch.timeout={stall: 3, connect: 0.5}",
    b"network.ca_file=~nobody-of-this-name/x", b"network.ca_file=" + b"x" * 300,
    b"fetch.user_agent='{'", b"placeholders.redirects=[https://x/*]", b"hosts.groups={}",
    b"retry.max_delay=1ms", b"nonsense", b"fetch.concurency=1", b"hosts.groups.x.ratte=1",
    b"run.tolerate=20", b"=1", b"fetch=", b"a.b=\x1b[31m", b"network.proxy=http://me:secret@h:1",
    b"fetch.contact=\xff", b"source.columns.url=a\xc2\x85b",
)  # fmt: skip
_VALUES: Final = (
    b"5m", b"0.1s", b"1e-3", b"1.5GiB", b"64MiB", b"9223372036854775807", b"20%", b"0.333333",
    b"unlimited", b"null", b"true", b"10MB/s", b"*.example.org", b"[a.example, '*']",
    b"example.org:443", b"[::1]:8443", b"127.0.0.1:8443", b"1B2M2Y8AsgTpgAmY7PhCfg==",
    b"http://proxy.example:3128", b"https://x/*", b"fetcher/{version} (+{contact})", b"mailto:a@b",
    b"[train, test]", b"1e400", b"-0.0", b"/dev/null",
)  # fmt: skip
_WORDS: Final = (
    *(f"{doc.path}=".encode() for doc in documented_keys()),
    *(doc.path.rpartition(".")[2].encode() for doc in documented_keys()),
    *_VALUES,
    *(b"&a ", b"*a", b"!!str ", b"<<: ", b"? ", b"\n  ", b"\\x00", b"\\u2028", b"\x85", b"\t"),
)

TARGETS: Final = (
    Target(
        "config-file",
        "any text is a configuration that can be used, and is the same when it is written and "
        "read, or is refused in printable lines that say where",
        _file,
        _FILES,
        _WORDS,
        longest=1_024,
    ),
    Target(
        "config-set",
        "the same of any --set",
        _sets,
        (*_SETS, PART.join(_SETS[:4]), PART.join(_SETS[3:6])),
        _WORDS,
        longest=512,
    ),
    Target(
        "config-layers",
        "the same of a file with --set above it",
        _layers,
        tuple(PART.join((file, *_SETS[n : n + 2])) for n, file in enumerate(_FILES)),
        _WORDS,
        longest=1_024,
    ),
    Target(
        "yaml",
        "only YamlError, with a line of the text; a value is the same when it is written and read",
        _yaml,
        _FILES,
        _WORDS,
        longest=1_024,
    ),
    Target(
        "unit",
        "only ValueError; what is parsed is the same when it is shown and parsed",
        _unit,
        tuple(bytes([n]) + value for n in range(len(_UNITS)) for value in _VALUES),
        _VALUES,
        longest=96,
    ),
)

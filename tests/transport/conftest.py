"""A transport and the web that it asks, on the loopback; no test leaves a task or a descriptor."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
import uvloop

from fetcher.demo.web import Web
from fetcher.transport.client import HttpTransport
from tests.transport.harness import MakeRig, Rig, options

LoopFactory = Callable[[], asyncio.AbstractEventLoop]
BYTES_AND_THEIR_END = frozenset(
    {"test_answers", "test_connections", "test_resuming", "test_hostile", "test_inflow"}
)


@pytest.hookimpl(optionalhook=True)
def pytest_asyncio_loop_factories(item: pytest.Item) -> Mapping[str, LoopFactory]:
    """On the loop of every run; and where it is about bytes and their end, on the other one too:
    the loops read, and tell of a connection's end, in different portions.
    """
    factories: dict[str, LoopFactory] = {"uvloop": uvloop.new_event_loop}
    if item.path.stem in BYTES_AND_THEIR_END:
        factories["asyncio"] = asyncio.new_event_loop
    return factories


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Proxies are taken from the configuration, and from nowhere else."""
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")


@pytest.fixture
async def nothing_leaks() -> AsyncIterator[None]:
    """Neither tasks nor descriptors are left when everything is closed."""
    before = _descriptors()
    yield
    for _ in range(100):
        if not _other_tasks() and _descriptors() <= before:
            return
        await asyncio.sleep(0)  # what is closed is gone only when the loop has turned
    assert not _other_tasks()
    assert _descriptors() <= before


def _other_tasks() -> set[asyncio.Task[Any]]:
    return {task for task in asyncio.all_tasks() if task is not asyncio.current_task()}


def _descriptors() -> set[str]:
    """Connections, listeners and files in folders of tests, of all that this process has open.

    Not what the loops hold for themselves: pairs of sockets, pipes, devices.
    """
    found = set()
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208  a Path for each would be in the way
        with contextlib.suppress(OSError):  # the one that lists them
            target = os.readlink(f"/proc/self/fd/{name}")  # noqa: PTH115  likewise
            if target.startswith("socket:"):
                with socket.socket(fileno=os.dup(int(name))) as connection:
                    ours = connection.family in (socket.AF_INET, socket.AF_INET6)
            else:
                ours = target.endswith((".part", ".pem"))
            if ours:
                found.add(target)
    return found


@pytest.fixture
async def web(nothing_leaks: None) -> AsyncIterator[Web]:  # noqa: ARG001  it is the first and the last
    async with Web() as running:
        yield running


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "spool"
    path.mkdir()
    return path


@pytest.fixture
async def make_rig(web: Web, folder: Path, ca_file: Path) -> AsyncIterator[MakeRig]:
    """Rigs with other options than usual; ``parts`` are HttpTransport's own arguments.

    All trust the authority of the tests alone, which takes less time than the system's hundreds.
    """
    async with AsyncExitStack() as stack:

        def make(*, on: Web = web, parts: Mapping[str, Any] | None = None, **changes: Any) -> Rig:
            transport = HttpTransport(options(**{"ca_file": ca_file} | changes), **(parts or {}))
            stack.push_async_callback(transport.close)
            return Rig(on, folder, transport)

        yield make


@pytest.fixture
async def rig(make_rig: MakeRig) -> Rig:
    return make_rig()

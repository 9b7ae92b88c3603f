"""The little web, whom its certificates are trusted by, and a loop of either make."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
import uvloop

from fetcher.demo.tls import Authority
from fetcher.demo.web import Web


@pytest.fixture
async def web() -> AsyncIterator[Web]:
    async with Web() as running:
        yield running


@pytest.fixture(scope="session")
def trust(authority: Authority) -> ssl.SSLContext:
    return ssl.create_default_context(cadata=authority.ca_pem.decode())


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Callable[[Awaitable[None]], None]:
    """Run on a loop of its own, of either make: leaks would be told of when it closes."""

    def run(main: Awaitable[None]) -> None:
        factory = uvloop.new_event_loop if request.param == "uvloop" else asyncio.new_event_loop
        with asyncio.Runner(loop_factory=factory) as runner:

            async def whole() -> None:
                before = asyncio.all_tasks()
                await main
                assert asyncio.all_tasks() == before

            runner.run(whole())

    return run

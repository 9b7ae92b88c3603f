"""Chromium without a window, asked over its DevTools protocol: what a page does, and how it looks.

No driver is needed: the protocol is JSON over a WebSocket, and the HTTP client speaks that. The
browser gets a fresh profile and reaches nothing but files.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from base64 import b64decode
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import aiohttp

CHROMIUM: Final = shutil.which("chromium") or shutil.which("chromium-browser")

_FLAGS: Final = (
    "--headless=new",
    "--no-sandbox",  # in a container there is nothing to make one of; the pages are our own
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-sync",
    "--hide-scrollbars",
    "--remote-debugging-port=0",
    # Whatever it may want to look up, it finds nothing.
    "--host-resolver-rules=MAP * ~NOTFOUND",
)
_PATIENCE: Final = 60.0


@dataclass(slots=True)
class Page:
    """One tab. ``complaints`` are messages of the console, exceptions and failed loads;
    ``requests`` the addresses that were asked for.
    """

    socket: aiohttp.ClientWebSocketResponse
    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    _loaded: asyncio.Event = field(default_factory=asyncio.Event)
    _replies: dict[int, asyncio.Future[Any]] = field(default_factory=dict)
    _last: int = 0

    async def call(self, method: str, **parameters: Any) -> Any:
        self._last += 1
        reply = self._replies[self._last] = asyncio.get_running_loop().create_future()
        await self.socket.send_json({"id": self._last, "method": method, "params": parameters})
        async with asyncio.timeout(_PATIENCE):
            return await reply

    async def listen(self) -> None:
        async for message in self.socket:
            told = message.json()
            if (reply := self._replies.pop(told.get("id", 0), None)) is not None:
                if "error" in told:
                    reply.set_exception(RuntimeError(str(told["error"])))
                else:
                    reply.set_result(told["result"])
                continue
            match told["method"]:
                case "Page.loadEventFired":
                    self._loaded.set()
                case "Network.requestWillBeSent":
                    self.requests.append(told["params"]["request"]["url"])
                case "Runtime.consoleAPICalled" | "Runtime.exceptionThrown" | "Log.entryAdded":
                    self.complaints.append(str(told["params"]))
                case "Network.loadingFailed":
                    self.complaints.append(str(told["params"]))

    async def show(self, url: str, *, width: int, scheme: str, scripts: bool = True) -> None:
        """Load a page at a width of CSS pixels; ``scheme`` is ``light`` or ``dark``."""
        for domain in ("Page", "Runtime", "Log", "Network"):
            await self.call(f"{domain}.enable")
        await self.call("Emulation.setScriptExecutionDisabled", value=not scripts)
        await self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=900,
            deviceScaleFactor=1,
            mobile=width < 600,
        )
        await self.call(
            "Emulation.setEmulatedMedia",
            features=[{"name": "prefers-color-scheme", "value": scheme}],
        )
        self._loaded.clear()
        await self.call("Page.navigate", url=url)
        async with asyncio.timeout(_PATIENCE):
            await self._loaded.wait()

    async def ask(self, expression: str) -> Any:
        """What a JavaScript expression comes to."""
        reply = await self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in reply, reply
        return reply["result"].get("value")

    async def picture(self) -> bytes:
        """All of the page, as PNG."""
        reply = await self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        return b64decode(reply["data"])


@contextlib.asynccontextmanager
async def browser(profile: Path) -> AsyncIterator[Page]:
    assert CHROMIUM is not None
    process = await asyncio.create_subprocess_exec(
        CHROMIUM,
        *_FLAGS,
        f"--user-data-dir={profile}",
        "about:blank",
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        port = await _port(process)
        async with aiohttp.ClientSession() as session:
            # Its answer comes once the first tab is there.
            async with session.put(f"http://127.0.0.1:{port}/json/new?about:blank") as answer:
                target = await answer.json()
            async with session.ws_connect(
                target["webSocketDebuggerUrl"], max_msg_size=256 * 1024 * 1024
            ) as socket:
                page = Page(socket)
                listening = asyncio.create_task(page.listen())
                try:
                    yield page
                finally:
                    listening.cancel()
                    await asyncio.wait([listening])
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.communicate()


async def _port(process: asyncio.subprocess.Process) -> int:
    assert process.stderr is not None
    async with asyncio.timeout(_PATIENCE):
        async for line in process.stderr:
            if b"DevTools listening on ws://127.0.0.1:" in line:
                return int(line.split(b"127.0.0.1:")[1].split(b"/")[0])
    raise RuntimeError("Chromium ended before it listened")

"""The little web as a process of its own: ``python -m fetcher.demo.serve``.

It prints one line of JSON when it serves: ``{"port", "tls_port", "ca_file"}``. It lives as long as
its standard input is open, so it never outlives who started it, and ends on SIGTERM and SIGINT too.
On its standard input it takes scripts, each a ``Script`` in a frame of ``process``; a line of JSON
confirms each.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import pickle
import signal
import sys
import threading
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import uvloop

from fetcher.demo.process import Script, read_frame
from fetcher.demo.steps import status
from fetcher.demo.tls import Authority
from fetcher.demo.web import Web, gallery


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m fetcher.demo.serve", description=__doc__)
    parser.add_argument("--address", default="127.0.0.1", help="a loopback address")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--ca", type=Path, help="serve HTTPS too; write the CA to this file")
    parser.add_argument("--tls-port", type=int, default=0)
    parser.add_argument("--journal", type=Path, help="append a line per request to this file")
    parser.add_argument("--remember", type=int, default=0, help="requests to keep in memory")
    parser.add_argument(
        "--unscripted", type=int, help="the status of what is no picture and has no script"
    )
    uvloop.run(_serve(parser.parse_args(arguments)))


async def _serve(options: argparse.Namespace) -> None:
    authority = Authority.create() if options.ca is not None else None
    if authority is not None:
        authority.write_ca(options.ca)
    web = Web(
        address=options.address,
        port=options.port,
        tls=authority,
        tls_port=options.tls_port,
        journal=options.journal,
        remember=options.remember,
    )
    if options.unscripted is not None:
        web.fallback = partial(gallery, otherwise=status(options.unscripted))
    loop = asyncio.get_running_loop()
    inbox: asyncio.Queue[bytes | None] = asyncio.Queue()
    # Before it says that it serves: from then on it is to be stopped in good order.
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, inbox.put_nowait, None)
    async with web:
        _say(
            port=web.port,
            tls_port=web.tls_port if authority is not None else None,
            ca_file=str(options.ca) if authority is not None else None,
        )
        # A thread, as files, terminals and /dev/null are not all readable by way of the loop; a
        # daemon, as nothing wakes it from its read.
        threading.Thread(target=_listen, args=(loop, inbox), daemon=True).start()
        await _obey(web, inbox)


async def _obey(web: Web, inbox: asyncio.Queue[bytes | None]) -> None:
    """Take scripts until the input ends or a signal comes, which is ``None``."""
    while (frame := await inbox.get()) is not None:
        script: Script = pickle.loads(frame)  # noqa: S301  from who started us, by a private pipe
        web.serve(script.path, *script.steps, host=script.host)
        _say(served=script.path)


def _listen(loop: asyncio.AbstractEventLoop, inbox: asyncio.Queue[bytes | None]) -> None:
    # Unbuffered: a buffer's lock, held by this thread, would block the interpreter's exit.
    with open(0, "rb", buffering=0, closefd=False) as pipe:
        frame: bytes | None = b""
        while frame is not None:
            frame = read_frame(pipe)
            try:
                loop.call_soon_threadsafe(inbox.put_nowait, frame)
            except RuntimeError:
                return  # the loop has ended


def _say(**message: object) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()

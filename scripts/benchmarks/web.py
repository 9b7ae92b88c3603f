"""The server of all runs: an nginx of our own, on loopback addresses only.

It listens on 127.0.0.1 to 127.0.0.8, which stand for the eight hosts of an image list; on Linux the
whole of 127.0.0.0/8 is loopback and needs no set-up. Its configuration, logs and temporary files
lie in a directory of ours, and it ends with the ``with`` block.
"""

from __future__ import annotations

import os
import pwd
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

HOSTS: Final = tuple(f"127.0.0.{n}" for n in range(1, 9))
_START_LIMIT: Final = 10.0  # seconds
_STOP_LIMIT: Final = 5.0
_TRIES: Final = 5

_CONFIGURATION: Final = """\
{user}daemon off;
worker_processes auto;
worker_rlimit_nofile 16384;
pid {prefix}/nginx.pid;
error_log {prefix}/error.log warn;
events {{
    worker_connections 8192;
}}
http {{
    access_log off;
    sendfile on;
    tcp_nopush on;
    keepalive_timeout 65s;
    keepalive_requests 1000000;
    types {{ image/jpeg jpg; }}
    client_body_temp_path {prefix}/temporary;
    proxy_temp_path {prefix}/temporary;
    fastcgi_temp_path {prefix}/temporary;
    uwsgi_temp_path {prefix}/temporary;
    scgi_temp_path {prefix}/temporary;
    server {{
{listen}
        root {root};
    }}
}}
"""


class WebError(Exception):
    """nginx does not serve; the text says why."""


@dataclass(frozen=True, slots=True)
class Web:
    port: int

    def url(self, number: int, file_name: str) -> str:
        """Where ``file_name``, the image of row ``number``, is: the hosts take turns."""
        return f"http://{HOSTS[number % len(HOSTS)]}:{self.port}/{file_name}"


@contextmanager
def serve(nginx: Path, root: Path, prefix: Path) -> Iterator[Web]:
    """Serve the files in ``root``; ``prefix`` is made, for nginx's own files."""
    prefix.mkdir()
    process, port = _start(nginx, root, prefix)
    try:
        yield Web(port)
    finally:
        _stop(process)


def _start(nginx: Path, root: Path, prefix: Path) -> tuple[subprocess.Popen[bytes], int]:
    for _ in range(_TRIES):
        port = _free_port()
        configuration = prefix / "nginx.conf"
        configuration.write_text(_configuration(root, prefix, port))
        process = subprocess.Popen(  # noqa: S603  our own command line
            [nginx, "-p", prefix, "-c", configuration, "-e", prefix / "error.log"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is ours to act on
        )
        try:
            if _answers(process, port):
                return process, port
        except BaseException:
            _stop(process)
            raise
        _stop(process)  # most likely, somebody else took the port
    raise WebError(f"nginx does not start:\n{(prefix / 'error.log').read_text()}")


def _configuration(root: Path, prefix: Path, port: int) -> str:
    # As root, nginx would hand the work to a user who may not read our directories.
    user = f"user {pwd.getpwuid(0).pw_name};\n" if os.geteuid() == 0 else ""
    listen = "\n".join(f"        listen {host}:{port} backlog=4096;" for host in HOSTS)
    return _CONFIGURATION.format(user=user, prefix=prefix, root=root, listen=listen)


def _free_port() -> int:
    """One that is free on all of the addresses, at this moment."""
    for _ in range(100):
        with ExitStack() as stack, suppress(OSError):
            port = 0
            for host in HOSTS:
                listener = stack.enter_context(socket.socket())
                listener.bind((host, port))
                port = listener.getsockname()[1]
            return port
    raise WebError("No port is free on 127.0.0.1 to 127.0.0.8.")


def _answers(process: subprocess.Popen[bytes], port: int) -> bool:
    """Wait until nginx accepts connections; false if it ends or does not."""
    deadline = time.monotonic() + _START_LIMIT
    while process.poll() is None and time.monotonic() < deadline:
        with suppress(OSError), socket.create_connection((HOSTS[-1], port), timeout=1):
            return process.poll() is None
        time.sleep(0.02)
    return False


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()  # to the master, which ends its workers
    try:
        process.wait(_STOP_LIMIT)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, 9)
        process.wait()

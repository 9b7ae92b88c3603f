"""Loads the HTTP client without certificates that nobody would use.

When it is loaded, aiohttp makes two TLS contexts for whoever brings none, and fills both with the
system's certificates: 31 ms of the 86 ms that it takes, before a run's first request. The transport
brings its own (``client``), made when an https URL first asks for one. So the library's own two are
pointed at an empty file. Should anything ever use one, it would trust nobody.

To import this module before any other that imports aiohttp is all there is to do.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module


@contextmanager
def _without_certificates() -> Iterator[None]:
    """For what OpenSSL reads (``SSL_CTX_set_default_verify_paths(3)``); no thread may run yet that
    asks for certificates.
    """
    named = dict.fromkeys(("SSL_CERT_FILE", "SSL_CERT_DIR"), os.devnull)
    before = {name: os.environ.get(name) for name in named}
    os.environ.update(named)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


with _without_certificates():
    import_module("aiohttp")

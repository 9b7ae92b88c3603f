"""Loading the HTTP client, in a process of its own: it can be loaded only once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from fetcher.demo.tls import Authority

LOADED = """
import json, os, ssl
import fetcher.cli.adapters
from aiohttp import connector
contexts = connector._SSL_CONTEXT_VERIFIED, connector._SSL_CONTEXT_UNVERIFIED
print(json.dumps({
    "environment": [os.environ.get(name) for name in ("SSL_CERT_FILE", "SSL_CERT_DIR")],
    "the library's": [context.cert_store_stats()["x509"] for context in contexts],
    "verifies": contexts[0].verify_mode == ssl.CERT_REQUIRED,
    "anyone's later": ssl.create_default_context().cert_store_stats()["x509"],
}))
"""


@pytest.mark.parametrize("directory", [None, "/nowhere"])
def test_the_librarys_own_contexts_trust_nobody_and_all_others_whom_they_did(
    directory: str | None, tmp_path: Path
) -> None:
    file = tmp_path / "ca.pem"
    Authority.create().write_ca(file)
    environment = {**os.environ, "SSL_CERT_FILE": str(file)}
    environment.pop("SSL_CERT_DIR", None)
    if directory is not None:
        environment["SSL_CERT_DIR"] = directory
    done = subprocess.run(  # noqa: S603  our own command
        [sys.executable, "-c", LOADED], env=environment, capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout) == {
        "environment": [str(file), directory],
        "the library's": [0, 0],
        "verifies": True,
        "anyone's later": 1,
    }

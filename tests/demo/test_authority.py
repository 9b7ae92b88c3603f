"""Certificates are for the names that were asked for, and trusted by who has the file alone."""

from __future__ import annotations

import ssl
import sys
from pathlib import Path

import pytest

from fetcher.demo.tls import Authority
from fetcher.errors import MissingExtraError


def shake_hands(server: ssl.SSLContext, client: ssl.SSLContext, name: str) -> None:
    """A TLS handshake in memory. Raises what the client would."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    sides = [
        client.wrap_bio(to_client, to_server, server_hostname=name),
        server.wrap_bio(to_server, to_client, server_side=True),
    ]
    while sides:
        for side in list(sides):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
            sides.remove(side)


def trusting(ca_pem: bytes) -> ssl.SSLContext:
    return ssl.create_default_context(cadata=ca_pem.decode())


@pytest.mark.parametrize("name", ["farm1.staticflickr.com", "example.net", "127.0.0.1", "::1"])
def test_a_certificate_is_for_the_names_asked_for(authority: Authority, name: str) -> None:
    server = authority.server_context("*.staticflickr.com", "example.net", "127.0.0.1", "::1")
    shake_hands(server, trusting(authority.ca_pem), name)


@pytest.mark.parametrize("name", ["staticflickr.com", "a.b.staticflickr.com", "127.0.0.2"])
def test_and_for_no_other(authority: Authority, name: str) -> None:
    server = authority.server_context("*.staticflickr.com", "127.0.0.1")
    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(server, trusting(authority.ca_pem), name)


def test_nobody_else_trusts_it(authority: Authority) -> None:
    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(
            authority.server_context("a.example"), trusting(Authority.create().ca_pem), "a.example"
        )


def test_an_expired_certificate(authority: Authority) -> None:
    server = authority.server_context("a.example", expired=True)
    with pytest.raises(ssl.SSLCertVerificationError, match="expired"):
        shake_hands(server, trusting(authority.ca_pem), "a.example")


def test_the_ca_as_a_file(authority: Authority, tmp_path: Path) -> None:
    authority.write_ca(tmp_path / "ca.pem")
    client = ssl.create_default_context(cafile=str(tmp_path / "ca.pem"))
    shake_hands(authority.server_context("a.example"), client, "a.example")


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "trustme", None)
    with pytest.raises(MissingExtraError, match=r"fetcher\[demo\]"):
        Authority.create()

"""A certificate authority of the little web's own, made on the fly and trusted by nobody else."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Self

from fetcher.errors import MissingExtraError

if TYPE_CHECKING:
    import trustme

_LIFETIME = timedelta(days=7)


def require() -> None:
    """Raises ``MissingExtraError`` without the extra ``demo``; processes that come to need it have
    nobody to tell.
    """
    try:
        import trustme  # noqa: F401, PLC0415  see below
    except ImportError as missing:
        raise MissingExtraError("The tour's little web", extra="demo") from missing


@dataclass(frozen=True, slots=True)
class Authority:
    """Signs certificates for any name; whoever is given ``ca_pem`` accepts them."""

    _authority: trustme.CA

    @classmethod
    def create(cls) -> Self:
        """Raises ``MissingExtraError`` without the extra ``demo``."""
        try:
            import trustme  # noqa: PLC0415  optional: only the little web needs it
        except ImportError as missing:
            raise MissingExtraError("HTTPS in the little web", extra="demo") from missing
        return cls(trustme.CA())

    @property
    def ca_pem(self) -> bytes:
        return self._authority.cert_pem.bytes()

    def write_ca(self, path: Path) -> None:
        """Write what ``network.ca_file`` may name."""
        path.write_bytes(self.ca_pem)

    def server_context(self, *names: str, expired: bool = False) -> ssl.SSLContext:
        """For a server that goes by ``names``: host names, ``*.`` wildcards, addresses.

        ``expired`` makes a certificate that was valid until yesterday.
        """
        now = datetime.now(UTC)
        until = now - timedelta(days=1) if expired else now + _LIFETIME
        certificate = self._authority.issue_cert(
            *names, not_before=until - 2 * _LIFETIME, not_after=until
        )
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        certificate.configure_cert(context)
        return context

"""HTTP: the only package that imports the client library."""

from fetcher.transport.client import HttpTransport, TransportOptions

__all__ = ["HttpTransport", "TransportOptions"]

"""Units whose values are text: host patterns, endpoints, digests, what goes into a header.

Each is refused here if it could only fail later, in silence: a host pattern with a port matches no
host, a header value with a line break is an injection, a digest of the wrong length equals nothing.
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from collections.abc import Callable
from ipaddress import IPv6Address, ip_address
from os import PathLike, fspath
from pathlib import Path
from typing import Final

from fetcher.config.units import Plain, RefusedError, T, Unit, reason_of
from fetcher.policy import urls

MASK: Final = "***"
"""Stands for credentials wherever a value is shown."""

_LAST_PORT: Final = 0xFFFF
_PRINTABLE: Final = re.compile(r"[\x20-\x7e]+")
_HOST_PATTERN: Final = re.compile(r"[\w*-]+(?:\.[\w*-]+)*")
_ENDPOINT_HOST: Final = re.compile(r"(?:\*\.)?[\w-]+(?:\.[\w-]+)*")
_MAIL: Final = re.compile(r"(?:mailto:)?[^\s@()<>\\{}]+@[^\s@()<>\\{}]+")
_LINK: Final = re.compile(r"https?://[^\s()<>\\{}]+")
_BRACES: Final = re.compile(r"\{(?!version\}|contact\})|(?<!\{version)(?<!\{contact)\}")


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise RefusedError("" if value is None else "quote what is meant as a text")
    if not value.strip() or not value.isprintable():
        raise RefusedError
    return value


def _show(value: str) -> Plain:
    return value


def choice(*words: str) -> Unit[str]:
    """One of ``words``."""

    def parse(value: object) -> str:
        if value not in words or not isinstance(value, str):
            raise RefusedError
        return value

    return Unit(" or ".join([", ".join(words[:-1]), words[-1]]), parse, _show)


def listed(unit: Unit[T], accepts: str, *, minimum: int = 0) -> Unit[tuple[T, ...]]:
    """A list of ``unit``; a text alone is a list of one. Names every item that is refused."""

    def parse(value: object) -> tuple[T, ...]:
        if isinstance(value, str):
            return (unit.parse(value),)
        if not isinstance(value, (list, tuple)) or len(value) < minimum:
            raise RefusedError
        good: list[T] = []
        bad: list[str] = []
        for item in value:
            try:
                good.append(unit.parse(item))
            except ValueError as error:
                bad.append(f"{item!r}{f' ({reason})' if (reason := reason_of(error)) else ''}")
        if bad:
            raise RefusedError("refused in it: " + ", ".join(bad))
        return tuple(good)

    def show(values: tuple[T, ...]) -> Plain:
        return [unit.show(value) for value in values]

    return Unit(accepts, parse, show)


def _parse_host_pattern(value: object) -> str:
    text = _text(value).lower()
    if _HOST_PATTERN.fullmatch(text):
        return text
    try:
        return ip_address(text).compressed
    except ValueError:
        raise RefusedError("a host name only: no scheme, port or path") from None


def endpoint(text: str) -> tuple[str, int]:
    """Host and port of ``host:port`` or ``[IPv6]:port``; the host is lower case, without brackets.

    Raises ``ValueError`` if ``text`` has no such form.
    """
    host, colon, port = text.rpartition(":")
    if not (colon and host and port.isascii() and port.isdigit() and 0 < int(port) <= _LAST_PORT):
        raise RefusedError
    if host.startswith("[") and host.endswith("]"):
        return IPv6Address(host[1:-1]).compressed, int(port)
    if ":" in host:
        raise RefusedError("an IPv6 address without brackets")
    return host.lower(), int(port)


def _joined(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _parse_from_endpoint(value: object) -> str:
    host, port = endpoint(_text(value))
    if ":" not in host and not _ENDPOINT_HOST.fullmatch(host):
        raise RefusedError
    return _joined(host, port)


def _parse_to_endpoint(value: object) -> str:
    host, port = endpoint(_text(value))
    return _joined(ip_address(host).compressed, port)


def _parse_digest(value: object) -> str:
    text = _text(value)
    try:
        raw = b64decode(text, validate=True)
    except ValueError:
        raise RefusedError("not base64") from None
    if len(raw) != 16:  # noqa: PLR2004  an MD5 (RFC 1321) has 128 bits
        raise RefusedError(f"of {len(raw)} bytes, not 16")
    if b64encode(raw).decode() != text:
        raise RefusedError("not the canonical base64 of its bytes")
    return text


def _parse_url_pattern(value: object) -> str:
    text = _text(value)
    if " " in text or not (":" in text or "*" in text):
        raise RefusedError("no pattern of a whole URL")
    return text


def _parse_contact(value: object) -> str:
    text = _text(value)
    if not _PRINTABLE.fullmatch(text) or not (_LINK.fullmatch(text) or _MAIL.fullmatch(text)):
        raise RefusedError
    return text


def _parse_agent(value: object) -> str:
    text = _text(value)
    if not _PRINTABLE.fullmatch(text) or text != text.strip():
        raise RefusedError("no value of a header")
    if _BRACES.search(text):
        raise RefusedError("braces other than {version} and {contact}")
    return text


def _parse_proxy(value: object) -> str:
    text = _text(value)
    target = urls.judge(text)
    if isinstance(target, str) or target.scheme != "http" or not _PRINTABLE.fullmatch(text):
        raise RefusedError
    if f"//{MASK}@" in text:
        raise RefusedError(f"{MASK} stands for a password that was not shown")
    return text


def _parse_file(value: object) -> Path:
    path = Path(_text(fspath(value) if isinstance(value, PathLike) else value))
    try:
        path = path.expanduser()
        found = path.is_file()
    except RuntimeError:
        raise RefusedError("there is no such user") from None
    except OSError:  # a name that is too long, a folder that is not for us
        found = False
    if not found:
        raise RefusedError("there is no such file")
    return path.absolute()


def _parse_subset(value: object) -> str:
    text = _text(value)
    if "," in text:
        raise RefusedError("one text with a comma; a list has brackets")
    return text


def _unit(accepts: str, parse: Callable[[object], str]) -> Unit[str]:
    return Unit(accepts, parse, _show)


COLUMN: Final = _unit("the name of a column", _text)
HOST_PATTERNS: Final = listed(
    _unit("a host name", _parse_host_pattern),
    'a host name or a list of them, * as wildcard, such as "*.example.org"',
    minimum=1,
)
EXEMPT_HOSTS: Final = listed(
    _unit("a host name", _parse_host_pattern),
    'a list of host names, * as wildcard, such as ["*.example.org"]',
)
FROM_ENDPOINT: Final = _unit(
    'host:port as keys, such as example.org:443 or "*.example.org:443"', _parse_from_endpoint
)
TO_ENDPOINT: Final = _unit(
    "address:port as values, such as 127.0.0.1:8443 or [::1]:8443", _parse_to_endpoint
)
DIGESTS: Final = listed(
    _unit("a digest", _parse_digest),
    "a list of MD5 digests in base64, such as 1B2M2Y8AsgTpgAmY7PhCfg==",
)
URL_PATTERNS: Final = listed(
    _unit("a URL pattern", _parse_url_pattern),
    'a list of URLs, * as wildcard, such as "https://example.org/missing/*"',
)
SUBSETS: Final = listed(
    _unit("a subset", _parse_subset), "a list of subsets, such as [train, validation]", minimum=1
)
CONTACT: Final = _unit(
    "an http(s) URL or a mail address, without spaces or parentheses", _parse_contact
)
USER_AGENT: Final = _unit(
    "one line of printable ASCII; {version} and {contact} are filled in", _parse_agent
)
PROXY: Final = Unit(
    "an http:// URL, such as http://proxy.example:3128", _parse_proxy, urls.redact_credentials
)
EXISTING_FILE: Final = Unit("the path of a file that exists", _parse_file, str)

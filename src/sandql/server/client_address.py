"""Where a request came from: what is connected, or what a proxy that is trusted says is connected to it."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final

from starlette.types import Scope

from sandql.core.settings import Settings

_FORWARDED: Final = b"x-forwarded-for"
_MOST_PROXIES: Final = 32

Address = IPv4Address | IPv6Address


def address_of(scope: Scope, settings: Settings) -> str | None:
    """The address of a request, None where it came through something that has none.

    `X-Forwarded-For` is read from its end, where each proxy writes who is connected to it, for as long as it was a trusted one that wrote.
    """
    client = scope.get("client")
    if client is None:
        return None
    if not settings.trusted_proxies:
        return client[0]
    found = _parsed(client[0])
    if found is None or not _is_trusted(found, settings):
        return client[0]
    written = b",".join(value for name, value in scope["headers"] if name == _FORWARDED)
    for entry in reversed(written.decode("latin-1").split(",")[-_MOST_PROXIES:]):
        address = _parsed(entry.strip())
        if address is None:
            break  # what is before it was passed on by nobody who can be believed
        found = address
        if not _is_trusted(address, settings):
            break
    return str(found)


def _parsed(text: str) -> Address | None:
    """An address, with or without a port."""
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def _is_trusted(address: Address, settings: Settings) -> bool:
    return any(address in network for network in settings.trusted_proxies)

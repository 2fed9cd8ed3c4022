"""Which pages may call the server. A browser sends a page's requests from wherever the page came."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_address
from urllib.parse import urlsplit

from sandql.core.settings import Settings


class OriginPolicy:
    """Refuses requests of pages that are neither the server's own nor in `allowed_origins`.

    A request without an Origin is not of a foreign page that could act by it: browsers send one with each POST and each WebSocket.
    On a loopback address the name in Host is looked at too. Otherwise a page could have its own name resolve to this
    machine, and be the server's own as far as the browser can tell (DNS rebinding).
    """

    def __init__(self, settings: Settings) -> None:
        self._origins = frozenset(settings.allowed_origins)
        self._names = frozenset(urlsplit(origin).hostname or "" for origin in self._origins) | {"localhost", settings.host.lower()}
        self._checks_host = settings.is_loopback

    def refusal(self, headers: Mapping[bytes, bytes]) -> str | None:
        """Why a request with these headers is refused, or None where it is not. Names of headers are in lower case."""
        host = headers.get(b"host", b"").decode("latin-1").lower()
        if self._checks_host and not self._is_own(_name(host)):
            return f"Host: {host[:100]!r} is not a name of this server; if a proxy serves it so, add the origin to SANDQL_ALLOWED_ORIGINS"
        given = headers.get(b"origin")
        if given is None:
            return None
        origin = given.decode("latin-1").lower()
        if origin in self._origins or origin.partition("://")[2] == host != "":
            return None
        return f"Origin: pages of {origin[:100]!r} may not call this server; SANDQL_ALLOWED_ORIGINS lists those that may"

    def is_foreign_read(self, headers: Mapping[bytes, bytes]) -> bool:
        """Whether a browser says that a GET was made for a page of another site, which may not be allowed to."""
        return headers.get(b"sec-fetch-site") in (b"cross-site", b"same-site") and b"origin" not in headers

    def _is_own(self, name: str) -> bool:
        if name in self._names or name.endswith(".localhost"):
            return True
        try:
            ip_address(name)
        except ValueError:
            return False
        return True  # an address cannot be made to resolve to another


def _name(host: str) -> str:
    """The name in a Host header, without its port and without the brackets of an IPv6 address."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0]

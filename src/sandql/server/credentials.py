"""Where a request carries its credential. There is one place for it, or the request is refused: what is said twice could be meant twice."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from sandql.access.callers import INVALID
from sandql.core.errors import Unauthenticated

MAX_CHARS: Final = 8192
_SCHEME: Final = "bearer"
_NAMES: Final = {"authorization": True, "token": False, "apikey": False, "x-api-key": False}  # of a payload, and whether a scheme stands before it


def in_headers(headers: Iterable[tuple[bytes, bytes]]) -> str | None:
    """What `Authorization: Bearer` or `X-API-Key` says; None where there is neither. Raises Unauthenticated: it cannot be a credential."""
    found: str | None = None
    for name, value in headers:
        if name == b"authorization" or name == b"x-api-key":
            if found is not None:
                raise Unauthenticated(INVALID)
            found = _read(value.decode("latin-1"), has_scheme=name == b"authorization")
    return found


def in_payload(payload: Mapping[str, Any] | None) -> str | None:
    """What the payload of `connection_init` says, in any case of letters; None for nothing. Raises Unauthenticated: it cannot be a credential."""
    found: str | None = None
    for name, value in (payload or {}).items():
        has_scheme = _NAMES.get(name.lower())
        if has_scheme is None or value is None:
            continue
        if found is not None or not isinstance(value, str):
            raise Unauthenticated(INVALID)
        found = _read(value, has_scheme=has_scheme)
    return found


def _read(value: str, *, has_scheme: bool) -> str:
    """The credential itself. Of which characters it may be is for those to say who verify it: they look at each one anyway."""
    if has_scheme:
        scheme, _, value = value.partition(" ")
        if scheme.lower() != _SCHEME:
            raise Unauthenticated(INVALID)
        value = value.strip(" ")
    if not 0 < len(value) <= MAX_CHARS:
        raise Unauthenticated(INVALID)
    return value

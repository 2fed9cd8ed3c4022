"""Where a caller says which trace an operation belongs to, as W3C Trace Context writes it: `traceparent`, and with it `tracestate`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

TraceParent = Mapping[str, str]
"""What was said of it, not yet read."""

_PARENT: Final = "traceparent"
_NAMES: Final = (_PARENT, "tracestate")
_MOST_CHARS: Final = 512  # of each; what is longer was not meant for this


def parent_in_headers(headers: Iterable[tuple[bytes, bytes]]) -> TraceParent | None:
    """What the headers of a request say; None for nothing."""
    return parent_in({name.decode("latin-1"): value.decode("latin-1") for name, value in headers if name.startswith(b"trace")})


def parent_in(members: Mapping[str, Any] | None) -> TraceParent | None:
    """What a JSON object says, the payload of `connection_init` or the `extensions` of an operation; None for nothing."""
    if members is None or _PARENT not in members:
        return None
    found = {name: members.get(name) for name in _NAMES}
    return {name: value for name, value in found.items() if isinstance(value, str) and len(value) <= _MOST_CHARS}

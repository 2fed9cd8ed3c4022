"""The Range header and what it is conditional on (RFC 9110, sections 13 and 14)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from typing import Final

_ONE_RANGE: Final = re.compile(r"bytes=(\d*)-(\d*)\Z")
_MOST_DIGITS: Final = 18


class NotSatisfiable(Exception):
    """The range begins behind the end of the file."""


@dataclass(frozen=True, slots=True)
class ByteRange:
    """Bytes from `begin` up to `end`, which is not one of them."""

    begin: int
    end: int


def asked_range(headers: Mapping[bytes, bytes], tag: str, modified_at: float, size: int) -> ByteRange | None:
    """The range of a request for a file, or None where all of it is asked for: several ranges, and what is no range, are answered so.

    Raises:
        NotSatisfiable: there is no such byte.
    """
    match = _ONE_RANGE.match(headers.get(b"range", b"").decode("latin-1").replace(" ", ""))
    if match is None or not any(match.groups()) or any(len(part) > _MOST_DIGITS for part in match.groups()):
        return None
    condition = headers.get(b"if-range", b"").decode("latin-1").strip()
    if condition and condition not in (f'"{tag}"', http_date(modified_at)):
        return None
    first, last = match.groups()
    if not first:
        if int(last) == 0 or size == 0:
            raise NotSatisfiable
        return ByteRange(max(0, size - int(last)), size)
    begin = int(first)
    if last and int(last) < begin:
        return None
    if begin >= size:
        raise NotSatisfiable
    return ByteRange(begin, min(size, int(last) + 1) if last else size)


def is_not_modified(headers: Mapping[bytes, bytes], tag: str, modified_at: float) -> bool:
    """Whether whoever asks has the file as it is."""
    if b"if-none-match" in headers:
        return _names(headers[b"if-none-match"], tag)
    since = headers.get(b"if-modified-since")
    if since is None:
        return False
    try:
        return int(modified_at) <= parsedate_to_datetime(since.decode("latin-1")).timestamp()
    except (ValueError, OverflowError):
        return False


def is_expected(headers: Mapping[bytes, bytes], tag: str | None) -> bool:
    """Whether a file, by its tag, or its absence (None) is what a request that changes it expects."""
    if b"if-match" in headers and (tag is None or not _names(headers[b"if-match"], tag, strong=True)):
        return False
    return not (b"if-none-match" in headers and tag is not None and _names(headers[b"if-none-match"], tag))


def http_date(unix_s: float) -> str:
    """A moment as HTTP writes it."""
    try:
        return format_datetime(datetime.fromtimestamp(int(unix_s), UTC), usegmt=True)
    except (ValueError, OverflowError, OSError):  # a program may set any time on its files
        return format_datetime(datetime.fromtimestamp(0, UTC), usegmt=True)


def _names(header: bytes, tag: str, *, strong: bool = False) -> bool:
    given = header.decode("latin-1").strip()
    return given == "*" or f'"{tag}"' in [part.strip() if strong else part.strip().removeprefix("W/") for part in given.split(",")]

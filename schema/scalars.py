"""Values that GraphQL has no word for."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NewType

import strawberry
from graphql import GraphQLError
from strawberry.types.scalar import ScalarDefinition

_MOST_EXACT = 2**53 - 1  # the greatest whole number that every JSON reader keeps exact

ByteCount = NewType("ByteCount", int)
Upload = NewType("Upload", bytes)


def _byte_count(value: Any) -> ByteCount:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _MOST_EXACT:
        raise GraphQLError(f"ByteCount: must be a whole number from 0 to {_MOST_EXACT}, got {str(value)[:40]!r}")
    return ByteCount(value)


def _uploaded(value: Any) -> Upload:
    if not isinstance(value, bytes):
        raise GraphQLError("Upload: must be a file of a multipart request (GraphQL multipart request specification), sent as a variable that is null")
    return Upload(value)


def _never_sent(_value: Any) -> str:
    raise GraphQLError("Upload: is only taken, never given")


def _never_taken(_value: Any) -> datetime:
    raise GraphQLError("DateTime: is only given, never taken")


SCALARS: Mapping[object, ScalarDefinition] = {
    datetime: strawberry.scalar(
        name="DateTime",
        description="A moment in UTC, as RFC 3339 writes it.",
        serialize=datetime.isoformat,
        parse_value=_never_taken,
    ),
    ByteCount: strawberry.scalar(
        name="ByteCount",
        description="A whole number of bytes from 0 to 2^53 - 1, as a JSON number. Int ends at 2 GiB, and files and memory do not.",
        serialize=int,
        parse_value=_byte_count,
    ),
    Upload: strawberry.scalar(
        name="Upload",
        description="The bytes of a file sent in a multipart request, as the GraphQL multipart request specification says.",
        serialize=_never_sent,
        parse_value=_uploaded,
    ),
}

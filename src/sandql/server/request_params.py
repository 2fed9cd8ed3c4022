"""A GraphQL request as HTTP carries it, checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, cast
from urllib.parse import parse_qsl

import orjson

from sandql.core.errors import BadRequest
from sandql.server.pricing import Wants, wants_of

_MAX_GET_FIELDS: Final = 16


@dataclass(frozen=True, slots=True)
class Params:
    """One operation as a client sent it. `query_hash` is the SHA-256 of a persisted query, in hexadecimal."""

    query: str | None
    operation_name: str | None
    variables: dict[str, Any] | None
    query_hash: str | None
    wants: Wants = Wants.NOTHING


def read_json(data: bytes | str, name: str) -> Any:
    """Strict JSON: UTF-8, no NaN, not nested more than a thousand deep. Raises BadRequest."""
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise BadRequest(f"{name}: is not JSON: {error.msg} at line {error.lineno}, column {error.colno}") from None


def parse_params(value: Any) -> Params:
    """Check one request object. Raises BadRequest."""
    if not isinstance(value, dict):
        raise BadRequest(f"body: must be a JSON object, or a list of them, got {_kind(value)}")
    given = cast("dict[str, Any]", value)
    query = _typed(given, "query", str, "a string")
    name = _typed(given, "operationName", str, "a string or null")
    variables = _typed(given, "variables", dict, "an object or null")
    extensions = _typed(given, "extensions", dict, "an object or null")
    query_hash = _persisted_hash(extensions)
    if query is None and query_hash is None:
        raise BadRequest("query: is missing; send a GraphQL document as a string")
    return Params(query, name or None, variables, query_hash, wants_of(extensions))


def parse_body(body: bytes, max_batch: int) -> Params | list[Params]:
    """The request of a JSON body, or the requests of a batch. Raises BadRequest."""
    return parse_operations(read_json(body, "body"), max_batch)


def parse_operations(value: Any, max_batch: int) -> Params | list[Params]:
    """The request of a JSON value, or the requests of a batch. Raises BadRequest."""
    if not isinstance(value, list):
        return parse_params(value)
    batch = cast("list[Any]", value)
    if not 1 <= len(batch) <= max_batch:
        raise BadRequest(f"body: a batch must have from 1 to {max_batch} operations, got {len(batch)}")
    return [parse_params(item) for item in batch]


def parse_query_string(query_string: bytes) -> Params:
    """The request of a GET. Raises BadRequest."""
    try:
        pairs = parse_qsl(query_string.decode("ascii"), keep_blank_values=True, max_num_fields=_MAX_GET_FIELDS, errors="strict")
    except ValueError:
        raise BadRequest(f"query string: must be UTF-8, percent-encoded, of at most {_MAX_GET_FIELDS} parameters") from None
    given: dict[str, Any] = {**dict(pairs)}
    for name in ("variables", "extensions"):
        if name in given:
            given[name] = read_json(given[name], name) if given[name] else None
    return parse_params(given)


def _typed(given: Mapping[str, Any], name: str, kind: type, wanted: str) -> Any:
    value = given.get(name)
    if value is not None and not isinstance(value, kind):
        raise BadRequest(f"{name}: must be {wanted}, got {_kind(value)}")
    return value


def _persisted_hash(extensions: Mapping[str, Any] | None) -> str | None:
    persisted = (extensions or {}).get("persistedQuery")
    if persisted is None:
        return None
    if not isinstance(persisted, dict):
        raise BadRequest(f"extensions.persistedQuery: must be an object, got {_kind(persisted)}")
    fields = cast("dict[str, Any]", persisted)
    version, query_hash = fields.get("version"), fields.get("sha256Hash")
    if version != 1:
        raise BadRequest(f"extensions.persistedQuery.version: must be 1, got {str(version)[:20]!r}")
    if not isinstance(query_hash, str) or len(query_hash) != 64:
        raise BadRequest("extensions.persistedQuery.sha256Hash: must be a SHA-256 in hexadecimal, 64 characters")
    return query_hash.lower()


def _kind(value: Any) -> str:
    names = {dict: "an object", list: "a list", str: "a string", bool: "a boolean", int: "a number", float: "a number"}
    return "null" if value is None else names[type(value)]

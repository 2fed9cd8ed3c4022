"""The messages of graphql-transport-ws: what a client may send, checked, and what it is sent, as text.

The protocol is PROTOCOL.md of the npm package graphql-ws; a close code is the protocol's own.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, NoReturn, cast

from sandql.core.errors import BadRequest
from sandql.server.json_bytes import encode_json
from sandql.server.operation_tasks import MAX_ID_CHARS
from sandql.server.pricing import Wants, wants_of
from sandql.server.trace_parent import TraceParent, parent_in

SUBPROTOCOL: Final = "graphql-transport-ws"


@dataclass(frozen=True, slots=True)
class Control:
    """A message without an operation. The payload of `connection_init` carries a credential; what the others carry is not looked at."""

    type: Literal["connection_init", "ping", "pong"]
    payload: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Subscribe:
    """Start an operation: a query, a mutation or a subscription."""

    id: str
    query: str
    operation_name: str | None
    variables: Mapping[str, Any] | None
    wants: Wants = Wants.NOTHING
    trace: TraceParent | None = None


@dataclass(frozen=True, slots=True)
class Complete:
    """End an operation."""

    id: str


class InvalidMessage(Exception):
    """The client broke the protocol; the socket is closed with 4400 and this reason."""


def parse_message(text: str | None) -> Control | Subscribe | Complete:
    """Read one message; None stands for one that is not text.

    Raises:
        InvalidMessage: it is not a message of the protocol.
    """
    if text is None:
        raise InvalidMessage("a message must be text")
    try:
        message = json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise InvalidMessage("a message must be valid JSON, and not nested too deeply") from None
    if not isinstance(message, dict):
        raise InvalidMessage("a message must be a JSON object")
    fields = cast("dict[str, object]", message)
    kind = fields.get("type")
    match kind:
        case "connection_init" | "ping" | "pong":
            payload = fields.get("payload")
            if not _is_object_or_missing(payload):
                raise InvalidMessage(f"the payload of {kind} must be an object")
            return Control(cast('Literal["connection_init", "ping", "pong"]', kind), cast("dict[str, Any] | None", payload))
        case "subscribe":
            return _subscribe(fields)
        case "complete":
            return Complete(_id(fields))
        case _:
            raise InvalidMessage("a message must have one of the types connection_init, ping, pong, subscribe, complete")


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _is_object_or_missing(value: object) -> bool:
    return value is None or isinstance(value, dict)


def _id(fields: dict[str, object]) -> str:
    given = fields.get("id")
    if not isinstance(given, str) or not 0 < len(given) <= MAX_ID_CHARS:
        raise InvalidMessage(f"id must be a string of 1 to {MAX_ID_CHARS} characters")
    return given


def _subscribe(fields: dict[str, object]) -> Subscribe:
    payload = fields.get("payload")
    if not isinstance(payload, dict):
        raise InvalidMessage("the payload of subscribe must be an object")
    asked = cast("dict[str, object]", payload)
    query, name, variables = asked.get("query"), asked.get("operationName"), asked.get("variables")
    if not isinstance(query, str):
        raise InvalidMessage("payload.query must be a string")
    if name is not None and not isinstance(name, str):
        raise InvalidMessage("payload.operationName must be a string or null")
    if not _is_object_or_missing(variables):
        raise InvalidMessage("payload.variables must be an object or null")
    if not _is_object_or_missing(asked.get("extensions")):
        raise InvalidMessage("payload.extensions must be an object or null")
    extensions = cast("dict[str, Any] | None", asked.get("extensions"))
    try:
        wants = wants_of(extensions)
    except BadRequest as error:
        raise InvalidMessage(f"payload.{error.message}") from None
    return Subscribe(_id(fields), query, name, cast("dict[str, Any] | None", variables), wants, parent_in(extensions))


ACK: Final = '{"type":"connection_ack"}'
PONG: Final = '{"type":"pong"}'


def next_message(id_: str, result: Mapping[str, Any]) -> str:
    """One result of an operation."""
    return encode_json({"id": id_, "type": "next", "payload": result}).decode()


def error_message(id_: str, errors: Sequence[Mapping[str, Any]]) -> str:
    """The end of an operation that could not be run, or went on no further."""
    return encode_json({"id": id_, "type": "error", "payload": errors}).decode()


def complete_message(id_: str) -> str:
    """The end of an operation."""
    return encode_json({"id": id_, "type": "complete"}).decode()

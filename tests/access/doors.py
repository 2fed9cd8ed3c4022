"""The doors of the server: each sends one operation, and says what came of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Final

import httpx2

from tests.access.documents import RootField
from tests.support.server import Server
from tests.websocket.client import WAIT_S, socket

# One for all: to make one takes longer than what is asked with it. No connection of it is kept, so that each request stands for itself.
CLIENT: Final = httpx2.Client(timeout=WAIT_S, trust_env=False, limits=httpx2.Limits(max_keepalive_connections=0))

Errors = list[dict[str, Any]]
Door = Callable[[Server, RootField, tuple[str, dict[str, Any]], Mapping[str, str]], Errors]


def codes(errors: Errors) -> set[str]:
    """The codes of what was refused."""
    return {error["extensions"]["code"] for error in errors}


def _post(server: Server, document: tuple[str, dict[str, Any]], headers: Mapping[str, str], accept: str, path: str = "/graphql") -> httpx2.Response:
    query, variables = document
    body = {"query": query, "variables": variables}
    return CLIENT.post(server.url + path, json=body, headers={**headers, "Accept": accept})


def by_post(server: Server, _field: RootField, document: tuple[str, dict[str, Any]], headers: Mapping[str, str]) -> Errors:
    """GraphQL over HTTP."""
    return _post(server, document, headers, "application/json").json().get("errors", [])


def by_get(server: Server, _field: RootField, document: tuple[str, dict[str, Any]], headers: Mapping[str, str]) -> Errors:
    """A query in an address."""
    query, variables = document
    address = f"{server.url}/graphql"
    answer = CLIENT.get(address, params={"query": query, "variables": json.dumps(variables)}, headers=dict(headers))
    return answer.json().get("errors", [])


def by_batch(server: Server, _field: RootField, document: tuple[str, dict[str, Any]], headers: Mapping[str, str]) -> Errors:
    """Operations in a batch."""
    query, variables = document
    body = [{"query": "{ __typename }"}, {"query": query, "variables": variables}]
    answer: Any = CLIENT.post(f"{server.url}/graphql", json=body, headers=dict(headers)).json()
    one: dict[str, Any] = answer if "errors" in answer else answer[1]
    return one.get("errors", [])


def by_events(server: Server, _field: RootField, document: tuple[str, dict[str, Any]], headers: Mapping[str, str]) -> Errors:
    """Server-sent events."""
    query, variables = document
    errors: Errors = []
    body = {"query": query, "variables": variables}
    with CLIENT.stream("POST", f"{server.url}/graphql", json=body, headers={**headers, "Accept": "text/event-stream"}) as answer:
        for line in answer.iter_lines():
            data = line.removeprefix("data:").strip() if line.startswith("data:") else line if line.startswith("{") else ""
            if data:
                errors = json.loads(data).get("errors", [])
                break
    return errors


def by_socket(server: Server, _field: RootField, document: tuple[str, dict[str, Any]], headers: Mapping[str, str]) -> Errors:
    """graphql-transport-ws: the first result of the operation, or what it was refused with."""
    query, variables = document
    with socket(server.ws_url, init=False) as connection:
        connection.send({"type": "connection_init", "payload": dict(headers)})
        assert connection.receive() == {"type": "connection_ack"}
        connection.subscribe("1", query, **variables)
        message = connection.receive()
        if message["type"] == "error":
            return message["payload"]
        return message["payload"].get("errors", []) if message["type"] == "next" else []


def by_multipart(server: Server, _field: RootField, document: tuple[str, dict[str, Any]], headers: Mapping[str, str]) -> Errors:
    """The parts of a multipart body, as Apollo's clients ask for subscriptions."""
    query, variables = document
    body = {"query": query, "variables": variables}
    accept = 'multipart/mixed;boundary="graphql";subscriptionSpec="1.0",application/json'
    with CLIENT.stream("POST", f"{server.url}/graphql", json=body, headers={**headers, "Accept": accept}) as answer:
        for line in answer.iter_lines():
            if line.startswith("{") and (part := json.loads(line)):  # an empty one keeps the connection open
                return part.get("payload", part).get("errors", [])
    return []


def by_single_stream(server: Server, _field: RootField, document: tuple[str, dict[str, Any]], headers: Mapping[str, str]) -> Errors:
    """An operation on an event stream that was reserved for many."""
    query, variables = document
    url = f"{server.url}/graphql/stream"
    reserved = CLIENT.put(url, headers=dict(headers))
    if reserved.status_code != 201:
        return reserved.json()["errors"]
    of_it = {"token": reserved.text}
    with CLIENT.stream("GET", url, params=of_it, headers={**headers, "Accept": "text/event-stream"}) as events:
        body = {"query": query, "variables": variables, "extensions": {"operationId": "1"}}
        started = CLIENT.post(url, params=of_it, json=body, headers=dict(headers))
        if started.status_code != 202:
            return started.json()["errors"]
        data = next(line for line in events.iter_lines() if line.startswith("data: "))
    return json.loads(data.removeprefix("data: "))["payload"].get("errors", [])


def by_upload(server: Server, field: RootField, document: tuple[str, dict[str, Any]], headers: Mapping[str, str]) -> Errors:
    """A multipart request, whose part is the value of the field's argument."""
    query, variables = document
    places = {"f": [f"variables.{name}" for name in field.uploads]}
    parts = [("operations", json.dumps({"query": query, "variables": variables})), ("map", json.dumps(places)), ("f", "tried")]
    files = [(name, (None if name != "f" else "tried.txt", text.encode())) for name, text in parts]
    answer = CLIENT.post(f"{server.url}/graphql", files=files, headers={**headers, "Apollo-Require-Preflight": "true"})
    return answer.json().get("errors", [])


DOORS: Final[dict[str, Door]] = {
    "post": by_post,
    "get": by_get,
    "batch": by_batch,
    "events": by_events,
    "socket": by_socket,
    "multipart": by_multipart,
    "single-stream": by_single_stream,
    "upload": by_upload,
}
_STREAMS: Final = frozenset({"events", "socket", "multipart", "single-stream"})


def takes(door: str, field: RootField) -> bool:
    """Whether that kind of operation comes through a door."""
    if field.uploads or door == "upload":
        return bool(field.uploads) and door == "upload"
    if field.operation == "subscription" or door == "multipart":
        return field.operation == "subscription" and door in _STREAMS
    return door != "get" or field.operation == "query"

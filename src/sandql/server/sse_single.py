"""GraphQL over server-sent events, many operations on one stream: the single connection mode of the npm package graphql-sse.

PUT reserves a stream and answers its token; GET with the token opens it; POST with the token starts an operation, whose results
come on the stream under `extensions.operationId`; DELETE with the token and `?operationId=` ends one. See its PROTOCOL.md.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import aclosing, suppress
from typing import Any, Final, cast
from urllib.parse import parse_qs

from starlette.types import Receive, Scope, Send

from sandql.core.errors import BadRequest, Forbidden, ResourceError, SandqlError, Unauthenticated
from sandql.core.settings import Settings
from sandql.schema.context import Context
from sandql.server.authenticate import watch_again
from sandql.server.client_watch import unless_gone
from sandql.server.credential_watch import CredentialWatch
from sandql.server.graphql_errors import RequestRefused, ending_refusal, internal_error, refusal
from sandql.server.graphql_execution import GraphQL, Operation
from sandql.server.negotiation import EVENT_STREAM, JSON, negotiate
from sandql.server.operation_tasks import MAX_ID_CHARS
from sandql.server.origins import OriginPolicy
from sandql.server.persisted_queries import PersistedQueries
from sandql.server.request_body import ClientGone, check_length, read_body
from sandql.server.request_context import make_context, request_id_of
from sandql.server.request_params import parse_params, read_json
from sandql.server.request_watch import Facts, facts_of, noted, traces_of
from sandql.server.responses import NO_SNIFF, NO_STORE, Header, send_json, send_refusal
from sandql.server.result_streams import EVENTS_BEGIN, GOODBYE_S, KEEP_ALIVE_S
from sandql.server.sse_streams import EventStream, EventStreams
from sandql.server.trace_parent import parent_in_headers

_TOKEN_HEADER: Final = b"x-graphql-event-stream-token"
_METHODS: Final = b"GET, POST, PUT, DELETE"
_STREAM_HEADERS: Final[list[Header]] = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache, no-transform"),
    (b"x-accel-buffering", b"no"),
    NO_SNIFF,
]


class SingleStreamEndpoint:
    """An ASGI application.

    No page of another site can use it: PUT and DELETE need that site to be allowed, and GET and POST a token that cannot be guessed.
    """

    def __init__(self, graphql: GraphQL, settings: Settings, origins: OriginPolicy) -> None:
        self._graphql = graphql
        self._settings = settings
        self._origins = origins
        self._persisted = PersistedQueries()
        self._streams = EventStreams(most=settings.max_connections, max_operations=settings.max_subscriptions, open_within_s=settings.init_timeout_s)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            if reason := self._origins.refusal(dict(scope["headers"])):
                raise Forbidden(reason)
            match scope["method"]:
                case "PUT":
                    await self._reserve(scope, send)
                case "GET":
                    await self._open(scope, receive, send)
                case "POST":
                    await self._start(scope, receive, send)
                case "DELETE":
                    await self._end(scope, send)
                case method:
                    await _send_error(send, 405, f"method: {method[:20]} is not taken here", "METHOD_NOT_ALLOWED", (b"allow", _METHODS))
        except ClientGone:
            pass  # what it asked for was ended, and there is nobody to tell
        except RequestRefused as refused:
            facts_of(scope).refused(refused)
            await send_json(send, {"errors": refused.errors}, status=refused.status)
        except SandqlError as error:
            facts_of(scope).refused(refused := refusal(error))
            await send_refusal(send, refused)
        except Exception as error:  # the last door: whatever it is, the caller gets JSON and a request id
            facts_of(scope).failed(errors := [internal_error(error, request_id_of(scope))])
            await send_json(send, {"errors": errors}, status=500)

    async def _reserve(self, scope: Scope, send: Send) -> None:
        await _send_text(send, 201, self._streams.reserve(make_context(scope).caller))

    async def _open(self, scope: Scope, receive: Receive, send: Send) -> None:
        if negotiate(dict(scope["headers"]).get(b"accept", b"").decode("latin-1")).stream != EVENT_STREAM:
            await _send_error(send, 406, f"Accept: a stream comes as {EVENT_STREAM}", "NOT_ACCEPTABLE")
            return
        async with self._streams.opened(make_context(scope).caller, _token(scope)) as stream:
            await send({"type": "http.response.start", "status": 200, "headers": _STREAM_HEADERS})
            try:
                await unless_gone(_write_events(stream, send), receive)
            except asyncio.CancelledError:  # the server, or the caller's credential, is ending: nothing else cancels a request
                with suppress(TimeoutError):
                    async with asyncio.timeout(GOODBYE_S):
                        await _write_last(stream.last_events(ending_refusal().errors), send)

    async def _start(self, scope: Scope, receive: Receive, send: Send) -> None:
        context = make_context(scope)
        stream = self._streams.find(context.caller, _token(scope))
        headers: dict[bytes, bytes] = dict(scope["headers"])
        content_type = headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
        if content_type != JSON.encode():
            await _send_error(send, 415, f"Content-Type: must be {JSON}", "UNSUPPORTED_MEDIA_TYPE")
            return
        settings = self._settings
        check_length(headers, settings.body_bytes)
        body = read_json(await read_body(receive, settings.body_bytes, settings.body_timeout_s), "body")
        params = parse_params(body)
        id_ = _operation_id(body)
        operation = self._graphql.prepare(self._persisted.text(params), params.operation_name, context.caller, params.wants)
        self._persisted.keep(params)
        stream.start(id_, self._run(scope, stream, id_, operation, params.variables, context, watch_again(scope)))
        await _send_text(send, 202)

    async def _end(self, scope: Scope, send: Send) -> None:
        stream = self._streams.find(make_context(scope).caller, _token(scope))
        stream.end(_parameter(scope, "operationId"))
        await _send_text(send, 200)

    async def _run(
        self,
        scope: Scope,
        stream: EventStream,
        id_: str,
        operation: Operation,
        variables: Mapping[str, Any] | None,
        context: Context,
        watch: CredentialWatch,
    ) -> None:
        """Run one operation to its end. It is ended by cancelling the task."""
        facts, traces = Facts(), traces_of(scope)
        trace = None if traces is None else traces.begin("/graphql/stream", parent_in_headers(scope["headers"]))
        try:
            try:
                facts.asked(operation)
                with watch:
                    async with aclosing(noted(self._graphql.run(operation, variables, context), facts, context.sandboxes.metrics)) as results:
                        async for result in results:
                            await stream.next_result(id_, result)
            except (Unauthenticated, ResourceError) as error:  # as the watch says
                facts.refused(ended := refusal(error))
                await stream.next_result(id_, {"errors": ended.errors})
            except RequestRefused as refused:
                facts.refused(refused)
                await stream.next_result(id_, {"errors": refused.errors})
            except Exception as error:  # the last door: the client is told, and its other operations go on
                facts.failed(errors := [internal_error(error, context.request_id)])
                await stream.next_result(id_, {"errors": errors})
            stream.operations.release_id(id_)  # the client may use the id again as soon as it reads this
            await stream.complete(id_)
        finally:
            stream.operations.release_id(id_)
            if trace is not None:
                facts.trace(trace, "/graphql/stream")
            if self._settings.request_log:
                facts.log(context.request_id, context.caller, "/graphql/stream")


async def _write_events(stream: EventStream, send: Send) -> None:
    """Send what there is, and a comment where there was nothing for a while, until the client goes."""
    event = EVENTS_BEGIN
    while True:
        await send({"type": "http.response.body", "body": event, "more_body": True})
        try:
            async with asyncio.timeout(KEEP_ALIVE_S):
                event = await stream.take()
        except TimeoutError:
            event = b":\n\n"


async def _write_last(events: list[bytes], send: Send) -> None:
    for event in events:
        await send({"type": "http.response.body", "body": event, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


async def _send_text(send: Send, status: int, text: str = "") -> None:
    body = text.encode()
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(body)).encode()), NO_SNIFF, NO_STORE]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _send_error(send: Send, status: int, message: str, code: str, *headers: Header) -> None:
    error = {"message": message, "extensions": {"code": code, "status": status}}
    await send_json(send, {"errors": [error]}, status=status, headers=headers)


def _parameter(scope: Scope, name: str) -> str:
    """A parameter of the query string, empty where it is missing."""
    try:
        given = parse_qs(scope["query_string"].decode("latin-1"), max_num_fields=16)
    except ValueError:
        raise BadRequest("query string: must have at most 16 parameters") from None
    return given.get(name, [""])[0]


def _token(scope: Scope) -> str:
    header = dict(scope["headers"]).get(_TOKEN_HEADER)
    return header.decode("latin-1") if header else _parameter(scope, "token")


def _operation_id(body: object) -> str:
    fields = cast("dict[str, Any]", body)  # `parse_params` has seen that it is, and that `extensions` is one or null
    id_ = cast("dict[str, object]", fields.get("extensions") or {}).get("operationId")
    if not isinstance(id_, str) or not 0 < len(id_) <= MAX_ID_CHARS:
        raise BadRequest(f"extensions.operationId: must be a string of 1 to {MAX_ID_CHARS} characters")
    return id_

"""GraphQL over WebSocket: who may connect, and how a connection's operations are run."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import ExitStack, aclosing
from dataclasses import replace
from itertools import count
from typing import Any, Final

from starlette.types import Receive, Scope, Send

from sandql.access.shares import Shares
from sandql.core.errors import Forbidden, RateLimited, ResourceError, SandqlError
from sandql.core.settings import Settings
from sandql.schema.context import Context
from sandql.server.authenticate import authenticate_socket
from sandql.server.credential_watch import CredentialWatch
from sandql.server.graphql_errors import RequestRefused, internal_error, refusal
from sandql.server.graphql_execution import GraphQL, Result
from sandql.server.json_bytes import encode_json
from sandql.server.origins import OriginPolicy
from sandql.server.request_context import make_context
from sandql.server.request_watch import Facts, noted, traces_of
from sandql.server.responses import waits
from sandql.server.trace_parent import parent_in, parent_in_headers
from sandql.server.websocket_connection import Connection
from sandql.server.websocket_messages import SUBPROTOCOL, Subscribe
from sandql.server.websocket_protocol import ADMITTED

_BAD_SUBPROTOCOL: Final = 4406
_SHARES: Final = 2  # of all connections: those of one caller have one at most, and so have those of one address that have not said who they are


class GraphQLSocket:
    """An ASGI application for WebSocket connections that speak graphql-transport-ws, and nothing else."""

    def __init__(self, graphql: GraphQL, settings: Settings, origins: OriginPolicy) -> None:
        self._graphql = graphql
        self._settings = settings
        self._origins = origins
        self._connections = 0
        share = max(1, settings.max_connections // _SHARES)
        self._admitted = Shares(share, "WebSocket connections of a caller")
        self._silent = Shares(share, "WebSocket connections of an address that have not said who they are")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await receive()  # websocket.connect
        if reason := self._origins.refusal(dict(scope["headers"])):
            await _deny(send, Forbidden(reason))
        elif SUBPROTOCOL not in scope["subprotocols"]:
            await send({"type": "websocket.accept"})
            await send({"type": "websocket.close", "code": _BAD_SUBPROTOCOL, "reason": "Subprotocol not acceptable"})
        elif self._connections >= self._settings.max_connections:
            await _deny(send, ResourceError(f"at most {self._settings.max_connections} WebSocket connections at one time; try again later"))
        else:
            with ExitStack() as silence, ExitStack() as admitted:
                try:
                    silence.enter_context(self._silent.hold(scope["state"]["address"]))
                except RateLimited as refused:
                    await _deny(send, refused)
                    return
                self._connections += 1
                try:
                    await self._serve(scope, receive, send, silence, admitted)
                finally:
                    self._connections -= 1

    async def _serve(self, scope: Scope, receive: Receive, send: Send, silence: ExitStack, admitted: ExitStack) -> None:
        await send({"type": "websocket.accept", "subprotocol": SUBPROTOCOL})
        numbers = count(1)
        trace = parent_in_headers(scope["headers"])

        async def admit(payload: Mapping[str, Any] | None) -> CredentialWatch:
            nonlocal trace
            trace = parent_in(payload) or trace
            watch = await authenticate_socket(scope, payload)
            admitted.enter_context(self._admitted.hold(make_context(scope).caller.subject))
            silence.close()
            await send({"type": ADMITTED})
            return watch

        def execute(asked: Subscribe) -> AsyncGenerator[Result]:
            # An operation has a context, and an id for the log, of its own.
            context = make_context(scope)
            named = replace(context, request_id=f"{context.request_id}-{next(numbers)}")
            return self._results(scope, replace(asked, trace=asked.trace or trace), named, Facts())

        settings = self._settings
        init_timeout_s, max_operations = settings.init_timeout_s, settings.max_subscriptions
        await Connection(receive, send, admit, execute, init_timeout_s=init_timeout_s, max_operations=max_operations).serve()

    async def _results(self, scope: Scope, asked: Subscribe, context: Context, facts: Facts) -> AsyncGenerator[Result]:
        traces = traces_of(scope)
        trace = None if traces is None else traces.begin("/graphql", asked.trace)
        try:
            operation = self._graphql.prepare(asked.query, asked.operation_name, context.caller, asked.wants)
            facts.asked(operation)
            async with aclosing(noted(self._graphql.run(operation, asked.variables, context), facts, context.sandboxes.metrics)) as results:
                async for result in results:
                    yield result
        except RequestRefused as refused:
            facts.refused(refused)
            raise
        except Exception as error:  # the last door: the client is told, and its other operations go on
            refused = RequestRefused([internal_error(error, context.request_id)], 500)
            facts.refused(refused)
            raise refused from None
        finally:
            if trace is not None:
                facts.trace(trace, "/graphql")
            if self._settings.request_log:
                facts.log(context.request_id, context.caller, "/graphql")


async def _deny(send: Send, error: SandqlError) -> None:
    """Answer the handshake with an HTTP error: unlike a close code, that leaves nothing open."""
    errors = refusal(error).errors
    body = encode_json({"errors": errors})
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode()), *waits(errors)]
    await send({"type": "websocket.http.response.start", "status": error.status, "headers": headers})
    await send({"type": "websocket.http.response.body", "body": body})

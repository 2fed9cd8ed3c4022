"""GraphQL over WebSocket: who may connect, and how a connection's operations are run."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from itertools import count
from typing import Final

from starlette.types import Receive, Scope, Send

from sandql.core.errors import Forbidden, ResourceError, SandqlError
from sandql.core.settings import Settings
from sandql.schema.context import Context
from sandql.server.graphql_errors import RequestRefused, internal_error, refusal
from sandql.server.graphql_execution import GraphQL, Result
from sandql.server.json_bytes import encode_json
from sandql.server.origins import OriginPolicy
from sandql.server.request_context import make_context
from sandql.server.websocket_connection import Connection
from sandql.server.websocket_messages import SUBPROTOCOL, Subscribe

_BAD_SUBPROTOCOL: Final = 4406


class GraphQLSocket:
    """An ASGI application for WebSocket connections that speak graphql-transport-ws, and nothing else."""

    def __init__(self, graphql: GraphQL, settings: Settings, origins: OriginPolicy) -> None:
        self._graphql = graphql
        self._settings = settings
        self._origins = origins
        self._connections = 0

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
            self._connections += 1
            try:
                await self._serve(scope, receive, send)
            finally:
                self._connections -= 1

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "websocket.accept", "subprotocol": SUBPROTOCOL})
        context = make_context(scope)
        numbers = count(1)

        def execute(asked: Subscribe) -> AsyncGenerator[Result]:
            # An operation has a context, and an id for the log, of its own.
            return self._results(asked, replace(context, request_id=f"{context.request_id}-{next(numbers)}"))

        settings = self._settings
        await Connection(receive, send, execute, init_timeout_s=settings.init_timeout_s, max_operations=settings.max_subscriptions).serve()

    async def _results(self, asked: Subscribe, context: Context) -> AsyncGenerator[Result]:
        try:
            operation = self._graphql.prepare(asked.query, asked.operation_name)
            async with aclosing(self._graphql.run(operation, asked.variables, context)) as results:
                async for result in results:
                    yield result
        except RequestRefused:
            raise
        except Exception as error:  # the last door: the client is told, and its other operations go on
            raise RequestRefused([internal_error(error, context.request_id)], 500) from None


async def _deny(send: Send, error: SandqlError) -> None:
    """Answer the handshake with an HTTP error: unlike a close code, that leaves nothing open."""
    body = encode_json({"errors": refusal(error).errors})
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "websocket.http.response.start", "status": error.status, "headers": headers})
    await send({"type": "websocket.http.response.body", "body": body})

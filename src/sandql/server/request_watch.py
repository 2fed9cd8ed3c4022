"""What is known of a request when it has ended: one log line of it, and what Prometheus is told.

Neither says what a caller sent: no path, no code, no variables; an operation's name is one that the grammar of GraphQL allows.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Final, cast

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sandql.core.log import log_request
from sandql.core.values import Caller, Outcome
from sandql.server.graphql_errors import RequestRefused
from sandql.server.graphql_execution import Operation
from sandql.server.request_context import sandboxes_of
from sandql.server.routes import RouteNames
from sandql.server.trace_parent import parent_in_headers

if TYPE_CHECKING:
    from sandql.core.metrics import Metrics
    from sandql.server.otel import OperationTrace, Tracing

_NAME_CHARS: Final = 64
_SUBJECT_CHARS: Final = 128
_MOST_CODES: Final = 8
_GONE: Final = 499


class Facts:
    """What becomes known of a request, or of one operation on a WebSocket, while it is answered."""

    __slots__ = ("began", "codes", "cost", "events", "operation", "operations", "received", "sent", "status", "type")

    def __init__(self) -> None:
        self.began = time.perf_counter()
        self.operations = 0
        self.operation: str | None = None
        self.type: str | None = None
        self.cost = 0
        self.codes: list[str] = []
        self.status = 0
        self.events = 0
        self.received = 0
        self.sent = 0

    def asked(self, operation: Operation) -> None:
        """An operation was found valid. Of a batch, the last one's name stays, and the cost of all."""
        self.operations += 1
        self.operation = operation.name
        self.type = operation.type.value
        self.cost += operation.cost

    def answered(self, result: Mapping[str, Any]) -> None:
        """A result is sent."""
        self.events += 1
        if "errors" in result:
            self.failed(result["errors"])

    def refused(self, refused: RequestRefused) -> None:
        """It was not executed, or went on no further."""
        self.failed(refused.errors)

    def failed(self, errors: Sequence[Mapping[str, Any]]) -> None:
        """There are errors, as GraphQL writes them; their codes are from the tree of errors, never a caller's."""
        for error in errors:
            code = error.get("extensions", {}).get("code", "INTERNAL_ERROR")
            if code not in self.codes and len(self.codes) < _MOST_CODES:
                self.codes.append(code)

    def cancelled(self) -> None:
        """It was ended by who asked for it."""
        self.codes.append(Outcome.CANCELLED)

    def trace(self, trace: OperationTrace, route: str) -> None:
        """End a trace of it."""
        attributes: dict[str, str | int] = {"http.route": route}
        if self.type is not None:
            attributes |= {"graphql.operation.type": self.type, "sandql.cost": self.cost}
            if self.operation is not None:
                attributes["graphql.operation.name"] = self.operation[:_NAME_CHARS]
        if self.status:
            attributes["http.response.status_code"] = self.status
        trace.end(attributes, ",".join(self.codes) or None)

    def log(self, request_id: str, caller: Caller | None, route: str) -> None:
        """Write the line."""
        line: dict[str, object] = {"request_id": request_id, "caller": _printable((caller or _LOCAL).subject), "route": route}
        if caller is not None and caller.acting is not None:
            line["acting"] = _printable(caller.acting)
        if self.type is not None:
            line["operation"] = None if self.operation is None else self.operation[:_NAME_CHARS]
            line["type"] = self.type
            line["cost"] = self.cost
            if self.operations > 1:
                line["operations"] = self.operations
        if self.status:
            line["status"] = self.status
        line["outcome"] = ",".join(self.codes) if self.codes else "OK" if self.status < 400 else "REFUSED"
        if self.events:
            line["results"] = self.events
        line["duration_ms"] = round((time.perf_counter() - self.began) * 1000, 2)
        if self.received or self.sent:
            line["received_bytes"] = self.received
            line["sent_bytes"] = self.sent
        log_request(line)


_LOCAL: Final = Caller()


def _printable(text: str) -> str:
    """A subject comes from a token: it must not be able to begin a line of its own."""
    text = text[:_SUBJECT_CHARS]
    return text if text.isprintable() else text.encode("unicode_escape").decode()


def traces_of(scope: Scope) -> Tracing | None:
    """What begins traces, if anything does."""
    return cast("Tracing | None", scope["state"].get("tracing"))


def facts_of(scope: Scope) -> Facts:
    """What is known of the request so far."""
    return cast(Facts, scope["state"].get("facts") or Facts())


async def noted(results: AsyncGenerator[dict[str, Any]], facts: Facts, metrics: Metrics | None) -> AsyncGenerator[dict[str, Any]]:
    """The results of an operation, each of which is noted; closing it closes them."""
    async with aclosing(results):
        try:
            async for result in results:
                facts.answered(result)
                if metrics is not None:
                    metrics.events += 1
                yield result
        except (asyncio.CancelledError, GeneratorExit):
            facts.cancelled()
            raise


class RequestWatch:
    """ASGI middleware behind `RequestId`: puts `facts` into the scope's state, and when the request has ended counts and logs it.

    A WebSocket is counted when it closes; its operations are logged one by one, by who runs them.
    """

    def __init__(self, app: ASGIApp, routes: RouteNames, log: bool) -> None:
        self.app = app
        self._routes = routes
        self._log = log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        kind = scope["type"]
        if kind not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        metrics = sandboxes_of(scope).metrics
        if metrics is None and not self._log and traces_of(scope) is None:
            await self.app(scope, receive, send)
            return
        facts = scope["state"]["facts"] = Facts()
        name = self._routes.name(scope["path"].removeprefix(scope.get("root_path", "")))
        traces = traces_of(scope)
        trace = traces.begin(name, parent_in_headers(scope["headers"])) if traces is not None and kind == "http" else None

        async def receive_counted() -> Message:
            message = await receive()
            size = len(message.get("body") or message.get("text") or message.get("bytes") or b"")
            facts.received += size
            if metrics is not None:
                metrics.bytes_received += size
            return message

        async def send_counted(message: Message) -> None:
            size = len(message.get("body") or message.get("text") or message.get("bytes") or b"")
            facts.sent += size
            if metrics is not None:
                metrics.bytes_sent += size
            if not facts.status:
                facts.status = _status(message)
            await send(message)

        try:
            await self.app(scope, receive_counted, send_counted)
        finally:
            if not facts.status:  # the client is gone, and was told nothing
                facts.status = _GONE
                facts.cancelled()
            if trace is not None:
                facts.trace(trace, name)
            if metrics is not None:
                _count(metrics, facts, name, scope.get("method", "WEBSOCKET"))
            if self._log and (kind == "http" or facts.status >= 400):
                facts.log(scope["state"]["request_id"], scope["state"].get("caller"), name)


def _status(message: Message) -> int:
    kind = message["type"]
    if kind == "websocket.accept":
        return 101
    return message.get("status", 403 if kind == "websocket.close" else 0)


def _count(metrics: Metrics, facts: Facts, route: str, method: str) -> None:
    metrics.answered(route, method, facts.status, time.perf_counter() - facts.began)

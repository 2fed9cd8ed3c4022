"""GraphQL over HTTP: one operation, a batch, or a stream, at one address. The page for browsers is served there too."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Mapping
from inspect import isawaitable
from itertools import chain
from typing import Any, Final, cast

from graphql import OperationType
from starlette.types import ASGIApp, Receive, Scope, Send

from sandql.core.errors import BadRequest, DeadlinePassed, Forbidden, PayloadTooLarge, QueryTooCostly, SandqlError
from sandql.core.settings import Settings
from sandql.server.client_watch import unless_gone
from sandql.server.graphql_errors import RequestRefused, ending_refusal, internal_error, refusal
from sandql.server.graphql_execution import GraphQL, Operation, Result
from sandql.server.negotiation import EVENT_STREAM, JSON, RESPONSE_JSON, Accepted, negotiate
from sandql.server.origins import OriginPolicy
from sandql.server.persisted_queries import PersistedQueries
from sandql.server.request_body import ClientGone, check_length, read_body
from sandql.server.request_context import caller_of, make_context, request_id_of
from sandql.server.request_params import Params, parse_body, parse_query_string
from sandql.server.request_watch import facts_of, noted
from sandql.server.responses import CLOSE, Header, send_json, send_refusal, waits
from sandql.server.result_streams import send_refused_stream, send_stream
from sandql.server.uploads import read_upload

_MULTIPART_FORM: Final = "multipart/form-data"
_SIMPLE_TYPES: Final = frozenset({"application/x-www-form-urlencoded", _MULTIPART_FORM, "text/plain"})
# A page of another site cannot send these without asking the server first, which it is not allowed to.
_PREFLIGHT_HEADERS: Final = (b"x-apollo-operation-name", b"apollo-require-preflight", b"graphql-require-preflight")
_METHODS: Final = "GET, POST"


class _NotHere(Exception):
    """The request means something that this address does not do in this way; `headers` say what it does."""

    def __init__(self, status: int, code: str, message: str, *headers: Header) -> None:
        super().__init__(message)
        self.refused = RequestRefused([{"message": message, "extensions": {"code": code, "status": status}}], status)
        self.headers = headers


def _wrong_method(message: str, allow: str) -> _NotHere:
    return _NotHere(405, "METHOD_NOT_ALLOWED", message, (b"allow", allow.encode()))


def _not_acceptable(message: str) -> _NotHere:
    return _NotHere(406, "NOT_ACCEPTABLE", message)


class GraphQLEndpoint:
    """An ASGI application. `page` answers the GET of a browser."""

    def __init__(self, graphql: GraphQL, settings: Settings, origins: OriginPolicy, page: ASGIApp) -> None:
        self._graphql = graphql
        self._settings = settings
        self._origins = origins
        self._page = page
        self._persisted = PersistedQueries()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers: dict[bytes, bytes] = dict(scope["headers"])
        accepted = negotiate(headers.get(b"accept", b"").decode("latin-1"))
        media = accepted.single if accepted.single in (JSON, RESPONSE_JSON) else JSON
        facts = facts_of(scope)
        try:
            if reason := self._origins.refusal(headers):
                raise Forbidden(reason)
            if scope["method"] in ("GET", "HEAD"):
                if accepted.page:
                    await self._page(scope, receive, send)
                    return
                await self._get(scope, receive, send, headers, accepted)
            elif scope["method"] == "POST":
                await self._post(scope, receive, send, headers, accepted)
            else:
                raise _wrong_method(f"method: {scope['method'][:20]} is not taken here; use POST, or GET for queries", _METHODS)
        except asyncio.CancelledError:  # the server, or the caller's credential, is ending: nothing else cancels a request
            facts.refused(ending := ending_refusal())
            await send_refusal(send, ending, media=media, headers=(CLOSE,))
        except ClientGone:
            pass  # what it asked for was cancelled, and there is nobody to tell
        except _NotHere as error:
            await send_refusal(send, error.refused, media=media, headers=error.headers)
        except RequestRefused as refused:
            facts.refused(refused)
            if accepted.single == EVENT_STREAM:
                await send_refused_stream(send, refused)
            else:
                await send_refusal(send, refused, media=media)
        except SandqlError as error:
            # The rest of a body that was not read is not waited for.
            closing = (CLOSE,) if isinstance(error, PayloadTooLarge | DeadlinePassed) else ()
            facts.refused(refused := refusal(error))
            await send_refusal(send, refused, media=media, headers=closing)
        except Exception as error:  # the last door: whatever it is, the caller gets JSON and a request id
            facts.failed(errors := [internal_error(error, request_id_of(scope))])
            await send_json(send, {"errors": errors}, status=500, media=media)

    async def _get(self, scope: Scope, receive: Receive, send: Send, headers: Mapping[bytes, bytes], accepted: Accepted) -> None:
        if self._origins.is_foreign_read(headers) or _content_type(headers) in _SIMPLE_TYPES:
            _require_preflight(headers)
        operation, variables = self._prepare(parse_query_string(scope["query_string"]), scope)
        if operation.type is not OperationType.QUERY:
            raise _wrong_method(f"method: a {operation.type.value} needs POST; GET is for queries", "POST")
        await self._answer(operation, variables, scope, receive, send, accepted)

    async def _post(self, scope: Scope, receive: Receive, send: Send, headers: Mapping[bytes, bytes], accepted: Accepted) -> None:
        params = await self._read(scope, receive, headers)
        if isinstance(params, list):
            await self._answer_batch(params, scope, receive, send, accepted)
        else:
            operation, variables = self._prepare(params, scope)
            await self._answer(operation, variables, scope, receive, send, accepted)

    async def _read(self, scope: Scope, receive: Receive, headers: Mapping[bytes, bytes]) -> Params | list[Params]:
        settings = self._settings
        content_type = _content_type(headers)
        if content_type == _MULTIPART_FORM:
            _require_preflight(headers)
            check_length(headers, settings.body_bytes)
            return await read_upload(scope, receive, settings)
        if content_type != JSON or _charset(headers) not in ("utf-8", "utf8"):
            given = headers.get(b"content-type", b"").decode("latin-1")[:100]
            raise _NotHere(415, "UNSUPPORTED_MEDIA_TYPE", f"Content-Type: must be {JSON} (UTF-8), or {_MULTIPART_FORM} for files, got {given!r}")
        check_length(headers, settings.body_bytes)
        return parse_body(await read_body(receive, settings.body_bytes, settings.body_timeout_s), settings.max_batch)

    def _prepare(self, params: Params, scope: Scope) -> tuple[Operation, Mapping[str, Any] | None]:
        operation = self._graphql.prepare(self._persisted.text(params), params.operation_name, caller_of(scope), params.wants)
        self._persisted.keep(params)
        facts_of(scope).asked(operation)
        return operation, params.variables

    async def _answer(
        self, operation: Operation, variables: Mapping[str, Any] | None, scope: Scope, receive: Receive, send: Send, accepted: Accepted
    ) -> None:
        if operation.type is OperationType.SUBSCRIPTION:
            if accepted.stream is None:
                raise _not_acceptable(
                    "Accept: a subscription comes as text/event-stream, as multipart/mixed;subscriptionSpec=1.0, or over a WebSocket at this address"
                )
            await send_stream(self._noted(operation, variables, scope), accepted.stream, receive, send)
            return
        if accepted.single is None:
            raise _not_acceptable(f"Accept: an answer comes as {RESPONSE_JSON}, {JSON} or text/event-stream")
        if accepted.single not in (JSON, RESPONSE_JSON):
            await send_stream(self._noted(operation, variables, scope), accepted.single, receive, send)
            return
        result = self._graphql.execute(operation, variables, make_context(scope))
        if isawaitable(result):
            result = await unless_gone(result, receive)
        facts_of(scope).answered(result)
        await send_json(send, result, media=accepted.single, headers=waits(result.get("errors", ())))

    def _noted(self, operation: Operation, variables: Mapping[str, Any] | None, scope: Scope) -> AsyncGenerator[Result]:
        context = make_context(scope)
        return noted(self._graphql.run(operation, variables, context), facts_of(scope), context.sandboxes.metrics)

    async def _answer_batch(self, batch: list[Params], scope: Scope, receive: Receive, send: Send, accepted: Accepted) -> None:
        if accepted.single not in (JSON, RESPONSE_JSON):
            raise _not_acceptable(f"Accept: the answer to a batch comes as {RESPONSE_JSON} or {JSON}")
        cost = 0
        facts = facts_of(scope)
        results: list[Result | Awaitable[Result]] = []
        try:
            for params in batch:
                try:
                    operation, variables = self._prepare(params, scope)
                    if operation.type is OperationType.SUBSCRIPTION:
                        raise BadRequest("query: a subscription cannot be in a batch")
                    cost += operation.cost
                    if cost > self._settings.query_cost:
                        raise QueryTooCostly(f"query: cost in a batch at most {self._settings.query_cost}, got {cost} or more; send fewer")
                    results.append(_started(self._graphql.execute(operation, variables, make_context(scope))))
                except RequestRefused as refused:
                    results.append({"errors": refused.errors})
                except BadRequest as error:
                    results.append({"errors": refusal(error).errors})
            waiting = [cast("asyncio.Task[Result]", result) for result in results if isawaitable(result)]
            if waiting:
                await unless_gone(asyncio.wait(waiting), receive)
        finally:
            for result in results:
                if isinstance(result, asyncio.Task):
                    result.cancel()
        answers = [cast("Result", result.result() if isinstance(result, asyncio.Task) else result) for result in results]
        for answer in answers:
            facts.answered(answer)
        errors = chain.from_iterable(answer.get("errors", ()) for answer in answers)
        await send_json(send, answers, media=accepted.single, headers=waits(errors))


def _started(result: Result | Awaitable[Result]) -> Result | Awaitable[Result]:
    return asyncio.ensure_future(result) if isawaitable(result) else result


def _content_type(headers: Mapping[bytes, bytes]) -> str:
    return headers.get(b"content-type", b"").partition(b";")[0].strip().lower().decode("latin-1")


def _charset(headers: Mapping[bytes, bytes]) -> str:
    for parameter in headers.get(b"content-type", b"").split(b";")[1:]:
        name, _, value = parameter.partition(b"=")
        if name.strip().lower() == b"charset":
            return value.strip().strip(b'"').lower().decode("latin-1")
    return "utf-8"


def _require_preflight(headers: Mapping[bytes, bytes]) -> None:
    if not any(name in headers for name in _PREFLIGHT_HEADERS):
        names = ", ".join(name.decode() for name in _PREFLIGHT_HEADERS)
        raise Forbidden(f"this request could have been sent by a page of another site; add one of the headers {names}")

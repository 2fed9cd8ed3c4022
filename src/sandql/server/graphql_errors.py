"""Errors as GraphQL writes them. What is not meant for the caller is logged, and said without details."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from graphql import FieldNode, GraphQLError

from sandql.core.errors import BadRequest, InternalError, ProviderUnavailable, SandqlError
from sandql.core.log import get_logger
from sandql.server.credential_watch import credential_end

_log = get_logger(__name__)

ErrorDict = dict[str, Any]


class RequestRefused(Exception):
    """The request is not executed, or an execution went on no further.

    `errors` are as GraphQL writes them; `status` is the HTTP status for it; `is_graphql` says that the request was well formed
    and its document or variables are at fault, which a client of plain `application/json` is told with status 200.
    """

    def __init__(self, errors: list[ErrorDict], status: int, *, is_graphql: bool = False) -> None:
        super().__init__(errors[0]["message"])
        self.errors = errors
        self.status = status
        self.is_graphql = is_graphql


def _extensions(error: SandqlError) -> dict[str, Any]:
    extensions: dict[str, Any] = {"code": error.code, "status": error.status}
    if error.retry_after_s is not None:
        extensions["retryAfter"] = error.retry_after_s
    return extensions


def _cause(error: GraphQLError) -> Exception | None:
    """What made a field fail: an exception of the house, or None where GraphQL itself refused the request.

    graphql-core wraps what a resolver raises. Its own errors have nodes when the document is at fault, and none when
    a resolver's answer does not fit the schema.
    """
    inner: Exception = error
    while isinstance(inner, GraphQLError):
        if inner.original_error is None:
            return None if inner.nodes or inner.source or inner is error else inner
        inner = inner.original_error
    return inner


def _field_of(error: GraphQLError) -> str | None:
    """The name of the field that failed; None where it was none."""
    node = error.nodes[0] if error.nodes else None
    return node.name.value if isinstance(node, FieldNode) else None


def refusal(error: SandqlError, name: str | None = None) -> RequestRefused:
    """The refusal of a whole request; `name` is how its caller names what it asked for, where it has a name."""
    message = error.message if name is None else error.told_of(name)
    return RequestRefused([{"message": message, "extensions": _extensions(error)}], error.status)


def ending_refusal() -> RequestRefused:
    """The refusal of what could not be finished before its caller's credential, or the server, ends."""
    if (end := credential_end()) is not None:
        return refusal(end)
    return refusal(ProviderUnavailable("the server is ending, and what it was asked was cancelled; ask again", retry_after_s=1))


def document_refusal(errors: Sequence[GraphQLError]) -> RequestRefused:
    """The refusal of a document or of its variables: nothing was executed."""
    bad = _extensions(BadRequest(""))
    return RequestRefused([{**error.formatted, "extensions": bad} for error in errors], BadRequest.status, is_graphql=True)


def format_error(error: GraphQLError, request_id: str) -> ErrorDict:
    """One error of a result, masked unless it is meant for the caller."""
    cause = _cause(error)
    formatted: ErrorDict = {**error.formatted}
    if cause is None:
        formatted["extensions"] = _extensions(BadRequest(""))
    elif isinstance(cause, SandqlError) and type(cause) is not InternalError:
        formatted["message"] = cause.message if (field := _field_of(error)) is None else cause.told_of(field)
        formatted["extensions"] = _extensions(cause)
    else:
        formatted.update(internal_error(cause, request_id))
    return formatted


def internal_error(cause: BaseException, request_id: str) -> ErrorDict:
    """Log a defect of the house, and say no more than the id by which its log line is found."""
    _log.error("a request failed", request_id=request_id, exc_info=cause)
    message = f"the server failed to answer this; its log has the details under the request id {request_id}"
    return {"message": message, "extensions": {"code": InternalError.code, "status": InternalError.status, "requestId": request_id}}

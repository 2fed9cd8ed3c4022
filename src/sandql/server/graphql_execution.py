"""Documents to results: parse, validate, measure, execute, subscribe. HTTP, WebSocket and SSE all come through here."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from inspect import isawaitable
from typing import Any, Final, cast

from graphql import (
    DocumentNode,
    ExecutionResult,
    GraphQLError,
    GraphQLSyntaxError,
    OperationDefinitionNode,
    OperationType,
    parse,
    subscribe,  # pyright: ignore[reportUnknownVariableType]  (a parameter that is not used here has no type)
    validate,
)

from sandql.core.errors import PayloadTooLarge, QueryTooCostly, SandqlError
from sandql.core.settings import Settings
from sandql.schema.build import core_schema
from sandql.schema.context import Context
from sandql.server.document_cache import TextCache
from sandql.server.document_limits import check_document
from sandql.server.event_executor import EventExecutor
from sandql.server.graphql_errors import ErrorDict, RequestRefused, document_refusal, format_error, internal_error, refusal
from sandql.server.plain_fields import PlainFieldsExecutor

_CACHE_CHARS: Final = 256 * 1024
_CACHE_TEXT_CHARS: Final = 16 * 1024  # a longer document has its data written into it, and does not come again

Result = dict[str, Any]
"""What a client is answered: `data` and `errors`, as GraphQL writes them."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of a valid document, ready to run with any variables."""

    document: DocumentNode
    name: str | None
    type: OperationType
    cost: int


@dataclass(frozen=True, slots=True)
class _Document:
    """A parsed document, valid where there are no errors."""

    operations: Mapping[str | None, Operation]
    errors: list[GraphQLError]


class GraphQL:
    """Runs the schema. One for a server; keeps nothing of a request but valid documents."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._documents: TextCache[_Document] = TextCache(_CACHE_CHARS, _CACHE_TEXT_CHARS)

    @property
    def cache_hits(self) -> int:
        """How many documents needed neither parsing nor validation."""
        return self._documents.hits

    def prepare(self, query: str, operation_name: str | None) -> Operation:
        """The operation of that name, or the only one for None.

        Raises:
            RequestRefused: the document is not valid, asks for too much, or has no such operation.
        """
        document = self._documents.get(query, self._check)
        if document.errors:
            raise document_refusal(document.errors)
        operations = document.operations
        if operation_name is None:
            if len(operations) == 1:
                return next(iter(operations.values()))
            raise document_refusal([GraphQLError("operationName: must be given, since the document has several operations")])
        if operation_name not in operations:
            raise document_refusal([GraphQLError(f"operationName: the document has no operation {operation_name[:64]!r}")])
        return operations[operation_name]

    def _check(self, query: str) -> _Document:
        settings = self._settings
        if len(query) > settings.query_bytes:
            text = f"query: at most {settings.query_bytes} bytes, got {len(query)} or more; send programs and files as variables"
            raise refusal(PayloadTooLarge(text))
        try:
            node = parse(query, max_lexical_tokens=settings.query_tokens, max_comments=settings.query_tokens)
            costs = check_document(node, settings)
        except GraphQLSyntaxError as error:
            if error.message.endswith("Parsing aborted."):
                text = f"query: at most {settings.query_tokens} tokens, not nested deeply; {error.message.removeprefix('Syntax Error: ')}"
                raise refusal(QueryTooCostly(text)) from None
            raise document_refusal([error]) from None
        except SandqlError as error:
            raise refusal(error) from None
        errors = validate(core_schema, node)
        definitions = [part for part in node.definitions if isinstance(part, OperationDefinitionNode)]
        if not definitions and not errors:
            errors = [GraphQLError("query: the document has no operation")]
        operations: dict[str | None, Operation] = {}
        for definition in definitions:
            name = definition.name.value if definition.name else None
            operations[name] = Operation(node, name, definition.operation, costs[name])
        return _Document(operations, errors)

    def execute(self, operation: Operation, variables: Mapping[str, Any] | None, context: Context) -> Result | Awaitable[Result]:
        """Run a query or a mutation: its result at once where no field needs to wait, else an awaitable; cancelling it cancels the fields.

        Raises:
            RequestRefused: the variables do not fit; nothing was executed. The awaitable does not raise.
        """
        # What graphql-core's `execute` does as well, but for incremental delivery, for which the schema has no directives.
        built = PlainFieldsExecutor.build(  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType]  (the same)
            core_schema,
            operation.document,
            context_value=context,
            raw_variable_values=cast("dict[str, Any] | None", variables),
            operation_name=operation.name,
        )
        if isinstance(built, list):
            raise document_refusal(built)
        result = cast("ExecutionResult | Awaitable[ExecutionResult]", built.execute_operation())
        if isinstance(result, ExecutionResult):
            return _result(result, context)
        return _awaited(result, context)

    async def run(self, operation: Operation, variables: Mapping[str, Any] | None, context: Context) -> AsyncGenerator[Result]:
        """Run any operation and yield its results: one for a query or a mutation, each event for a subscription.

        Closing the generator ends the operation.

        Raises:
            RequestRefused: the operation could not be run, or went on no further.
        """
        if operation.type is not OperationType.SUBSCRIPTION:
            result = self.execute(operation, variables, context)
            yield await result if isawaitable(result) else result
            return
        source = subscribe(
            core_schema,
            operation.document,
            context_value=context,
            variable_values=cast("dict[str, Any] | None", variables),
            operation_name=operation.name,
            executor_class=EventExecutor,
        )
        stream: AsyncIterator[ExecutionResult] | ExecutionResult = await source if isawaitable(source) else source
        if isinstance(stream, ExecutionResult):
            raise _stream_refusal(stream.errors or [], context)
        async with aclosing(cast("AsyncGenerator[ExecutionResult]", stream)) as events:
            try:
                async for event in events:
                    yield _result(event, context)
            except SandqlError as error:
                raise refusal(error) from None
            except RequestRefused:
                raise
            except Exception as error:
                raise RequestRefused([internal_error(error, context.request_id)], 500) from None


async def _awaited(result: Awaitable[ExecutionResult], context: Context) -> Result:
    return _result(await result, context)


def _result(result: ExecutionResult, context: Context) -> Result:
    errors = result.errors
    if not errors:
        return {"data": result.data}
    if result.data is None and not any(error.path for error in errors):
        raise document_refusal(errors)
    return {"errors": [format_error(error, context.request_id) for error in errors], "data": result.data}


def _stream_refusal(errors: list[GraphQLError], context: Context) -> RequestRefused:
    """The source of a subscription could not be made; an error with a path came from its field."""
    if not any(error.path for error in errors):
        return document_refusal(errors)
    formatted: list[ErrorDict] = [format_error(error, context.request_id) for error in errors]
    return RequestRefused(formatted, formatted[0]["extensions"]["status"])

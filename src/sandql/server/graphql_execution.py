"""Documents to results: parse, validate, measure, execute, subscribe. HTTP, WebSocket and SSE all come through here."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, replace
from inspect import isawaitable
from typing import Any, Final, cast

from graphql import (
    DocumentNode,
    ExecutionResult,
    GraphQLError,
    GraphQLSyntaxError,
    OperationDefinitionNode,
    OperationType,
    create_source_event_stream,  # pyright: ignore[reportUnknownVariableType]  (generic, unsaid)
    parse,
    validate,
)

from sandql.core.errors import PayloadTooLarge, QueryTooCostly, SandqlError
from sandql.core.settings import Settings
from sandql.core.values import Caller
from sandql.schema.build import core_schema, visible_schemas
from sandql.schema.context import Context
from sandql.server.document_cache import TextCache
from sandql.server.document_limits import check_document
from sandql.server.event_executor import EventExecutor
from sandql.server.event_plans import EventPlans
from sandql.server.graphql_errors import ErrorDict, RequestRefused, document_refusal, format_error, internal_error, refusal
from sandql.server.plain_fields import PlainFieldsExecutor
from sandql.server.pricing import Wants, price

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
    wants: Wants = Wants.NOTHING


@dataclass(frozen=True, slots=True)
class _Document:
    """A parsed document, valid where there are no errors; the same errors again without a hint at what else the schema has."""

    operations: Mapping[str | None, Operation]
    errors: list[GraphQLError]
    plain_errors: list[GraphQLError]


class GraphQL:
    """Runs the schema. One for a server; keeps nothing of a request but valid documents."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._documents: TextCache[_Document] = TextCache(_CACHE_CHARS, _CACHE_TEXT_CHARS)

    @property
    def cache_hits(self) -> int:
        """How many documents needed neither parsing nor validation."""
        return self._documents.hits

    def prepare(self, query: str, operation_name: str | None, caller: Caller, wants: Wants = Wants.NOTHING) -> Operation:
        """The operation of that name, or the only one for None. What `caller` does not see is not suggested to it either.

        Raises:
            RequestRefused: the document is not valid, asks for too much, or has no such operation.
        """
        document = self._documents.get(query, self._check)
        if document.errors:
            raise document_refusal(document.plain_errors if _is_restricted(caller) else document.errors)
        operation = _named(document.operations, operation_name)
        return replace(operation, wants=wants) if wants else operation

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
        return _Document(operations, errors, validate(core_schema, node, hide_suggestions=True) if errors else [])

    def execute(self, operation: Operation, variables: Mapping[str, Any] | None, context: Context) -> Result | Awaitable[Result]:
        """Run a query or a mutation: its result at once where no field needs to wait, else an awaitable; cancelling it cancels the fields.

        Raises:
            RequestRefused: the variables do not fit; nothing was executed. The awaitable does not raise.
        """
        if operation.wants:
            return self._priced(operation, variables, context)
        # What graphql-core's `execute` does as well, but for incremental delivery, for which the schema has no directives.
        built = PlainFieldsExecutor.build(  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType]  (the same)
            core_schema,
            operation.document,
            context_value=context,
            raw_variable_values=cast("dict[str, Any] | None", variables),
            operation_name=operation.name,
            hide_suggestions=_is_restricted(context.caller),
        )
        if isinstance(built, list):
            raise document_refusal(built)
        result = cast("ExecutionResult | Awaitable[ExecutionResult]", built.execute_operation())
        if isinstance(result, ExecutionResult):
            return _result(result, context)
        return _awaited(result, context)

    async def _priced(self, operation: Operation, variables: Mapping[str, Any] | None, context: Context) -> Result:
        """The cost of an operation, and unless nothing is to be run its result."""
        refused: list[ErrorDict] = []
        cost: dict[str, Any] | None = None
        try:
            cost = await price(operation.document, operation.name, variables, context, operation.cost)
        except RequestRefused as error:
            refused = error.errors
        except SandqlError as error:
            refused = refusal(error).errors
        except Exception as error:
            refused = [internal_error(error, context.request_id)]
        if operation.wants is Wants.DRY_RUN:
            return {"errors": refused} if refused else {"data": None, "extensions": {"cost": cost}}
        try:
            result = self.execute(replace(operation, wants=Wants.NOTHING), variables, context)
        except RequestRefused as error:
            return {"errors": error.errors}
        return {**(await result if isawaitable(result) else result), "extensions": {"cost": cost}}

    async def run(self, operation: Operation, variables: Mapping[str, Any] | None, context: Context) -> AsyncGenerator[Result]:
        """Run any operation and yield its results: one for a query or a mutation, each event for a subscription.

        Closing the generator ends the operation.

        Raises:
            RequestRefused: the operation could not be run, or went on no further.
        """
        if operation.type is not OperationType.SUBSCRIPTION or operation.wants is Wants.DRY_RUN:
            result = self.execute(operation, variables, context)
            yield await result if isawaitable(result) else result
            return
        # What graphql-core's `subscribe` does as well, but for events of which only plain fields are asked.
        executor = EventExecutor.build(  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType]  (as above)
            core_schema,
            operation.document,
            context_value=context,
            raw_variable_values=cast("dict[str, Any] | None", variables),
            operation_name=operation.name,
            hide_suggestions=_is_restricted(context.caller),
        )
        if isinstance(executor, list):
            raise document_refusal(executor)
        source = create_source_event_stream(executor)
        stream: AsyncIterable[Any] | ExecutionResult = await source if isawaitable(source) else source
        if isinstance(stream, ExecutionResult):
            raise _stream_refusal(stream.errors or [], context)
        per_event = cast("EventExecutor", executor)
        plans = EventPlans(per_event)
        async with aclosing(cast("AsyncGenerator[Any]", stream)) as events:
            try:
                async for event in events:
                    if (data := plans.answer(event)) is not None:
                        yield {"data": data}
                        continue
                    answered = per_event.build_per_event_executor(event).execute_operation(serially=False)
                    yield _result(cast("ExecutionResult", await answered if isawaitable(answered) else answered), context)
            except SandqlError as error:
                raise refusal(error, plans.field) from None
            except RequestRefused:
                raise
            except Exception as error:
                raise RequestRefused([internal_error(error, context.request_id)], 500) from None


def _is_restricted(caller: Caller) -> bool:
    return visible_schemas.hides_from(caller.permissions.allowed)


def _named(operations: Mapping[str | None, Operation], operation_name: str | None) -> Operation:
    if operation_name is None:
        if len(operations) == 1:
            return next(iter(operations.values()))
        raise document_refusal([GraphQLError("operationName: must be given, since the document has several operations")])
    if operation_name not in operations:
        raise document_refusal([GraphQLError(f"operationName: the document has no operation {operation_name[:64]!r}")])
    return operations[operation_name]


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

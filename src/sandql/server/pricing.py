"""What an operation would set aside, found without running any of it: its root fields are priced instead of executed."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from enum import StrEnum
from typing import Any, Final, cast

from graphql import DocumentNode, GraphQLError, GraphQLObjectType
from graphql.execution.values import get_argument_values

from sandql.core.amounts import NOTHING
from sandql.core.errors import BadRequest
from sandql.resolvers.operations import AskedLimits
from sandql.resolvers.prices import AskedPrice, price_of
from sandql.schema.build import core_schema, visible_schemas
from sandql.schema.context import Context
from sandql.server.graphql_errors import document_refusal
from sandql.server.plain_fields import Executor

_PRICED: Final = frozenset({"executeCode", "runCommand", "startExecution", "startCommand"})
_TERMINAL: Final = "createTerminal"
_LIMITS: Final = {  # all of them: what the run refuses is refused here
    "cpuTime": "cpu_ms",
    "memory": "memory_bytes",
    "processes": "processes",
    "openFiles": "open_files",
    "workspaceBytes": "workspace_bytes",
    "workspaceInodes": "workspace_inodes",
    "outputBytes": "output_bytes",
}


class Wants(StrEnum):
    """What a client wants to know of the cost: nothing, or it beside the answer, or it alone and nothing run."""

    NOTHING = ""
    COST = "cost"
    DRY_RUN = "dryRun"


def wants_of(extensions: Mapping[str, Any] | None) -> Wants:
    """What a request's `extensions` want. Raises BadRequest."""
    if not extensions:
        return Wants.NOTHING
    for name in (Wants.DRY_RUN, Wants.COST):
        value = extensions.get(name, False)
        if not isinstance(value, bool):
            raise BadRequest(f"extensions.{name}: must be true or false")
        if value:
            return name
    return Wants.NOTHING


class _Pricing(Executor[None]):
    """Takes down what the root fields ask for, and executes none."""

    def execute_field(self, parent_type: GraphQLObjectType, source: Any, field_details_list: Any, path: Any, position_context: None) -> Any:
        details = field_details_list[0]
        name = details.node.name.value
        if name in _PRICED or name == _TERMINAL:
            field = self.schema.get_field(parent_type, name)
            assert field is not None
            arguments = get_argument_values(field, details.node, self.variable_values, details.fragment_variable_values)
            cast("list[AskedPrice]", self.context_value).append(_asked(name, arguments))


def _asked(name: str, arguments: Mapping[str, Any]) -> AskedPrice:
    limits = cast("Mapping[str, Any] | None", arguments.get("limits"))
    return AskedPrice(
        terminal=name == _TERMINAL,
        sandbox_id=arguments.get("sandboxId"),
        context_id=arguments.get("contextId"),
        timeout_ms=arguments.get("timeout"),
        limits=None if limits is None else AskedLimits(**{name: limits.get(field) for field, name in _LIMITS.items()}),
    )


async def price(document: DocumentNode, name: str | None, variables: Mapping[str, Any] | None, context: Context, complexity: int) -> dict[str, Any]:
    """What an operation of a valid document would set aside at most, as clients are told.

    Raises:
        RequestRefused: the variables do not fit.
        SandqlError: what would run is not acceptable, or not there.
    """
    asked: list[AskedPrice] = []
    built = _Pricing.build(  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType]  (generic, unsaid)
        core_schema,
        document,
        context_value=asked,
        raw_variable_values=cast("dict[str, Any] | None", variables),
        operation_name=name,
        hide_suggestions=visible_schemas.hides_from(context.caller.permissions.allowed),
    )
    if isinstance(built, list):
        raise document_refusal(built)
    try:
        done = cast("Any", built.execute_operation())
    except GraphQLError as error:
        raise document_refusal([error]) from None
    if isinstance(done, Awaitable):
        done = await cast("Awaitable[Any]", done)
    if done.errors:
        raise document_refusal(done.errors)
    total = NOTHING
    for item in asked:
        total = total.plus(await price_of(context.sandboxes, context.caller, item))
    return {
        "complexity": complexity,
        "executions": total.executions,
        "cpuSeconds": total.cpu_ms / 1000,
        "memoryMBSeconds": total.memory_mb_ms / 1000,
    }

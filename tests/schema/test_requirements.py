"""What a field says that it requires is what it asks for when it is called; what a caller lacks, introspection does not show."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from itertools import combinations
from types import SimpleNamespace
from typing import Any, cast

import pytest
from graphql import (
    ExecutionResult,
    GraphQLEnumType,
    GraphQLObjectType,
    GraphQLSchema,
    ObjectTypeDefinitionNode,
    build_client_schema,
    get_introspection_query,
    get_named_type,  # pyright: ignore[reportUnknownVariableType]  (generic, unsaid)
    graphql,  # pyright: ignore[reportUnknownVariableType]  (the same)
    is_leaf_type,
    is_required_argument,
    parse,
    subscribe,  # pyright: ignore[reportUnknownVariableType]  (the same)
    validate_schema,
)

from sandql.access.access import Access
from sandql.core.errors import Forbidden
from sandql.core.permissions import EVERYTHING, Act, Permission, Permissions
from sandql.core.settings import load_settings
from sandql.core.values import Caller
from sandql.resolvers.guard import ACTS
from sandql.sandboxes.borrow import Sandboxes
from sandql.schema.build import core_schema, visible_schemas
from sandql.schema.context import Context
from sandql.schema.requirements import act_of, permission_needed
from sandql.schema.sdl import printed
from sandql.server.graphql_errors import RequestRefused
from sandql.server.graphql_execution import GraphQL

_UNGUARDED = {"providers", "languages", "templates", "isolation", "viewer"}


class _Recording(Access):
    """Refuses everything, and knows what it was asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[Act] = []

    async def admit(self, caller: Caller, act: Act, sandbox: str | None = None, id_: str | None = None) -> None:
        self.asked.append(act)
        raise Forbidden("refused")


def _resolving() -> list[tuple[GraphQLObjectType, str]]:
    """Every field that has a resolver of its own."""
    found: list[tuple[GraphQLObjectType, str]] = []
    for type_ in core_schema.type_map.values():
        if isinstance(type_, GraphQLObjectType) and not type_.name.startswith("__"):
            for name, field in type_.fields.items():
                definition: Any = cast(Any, field.extensions or {}).get("strawberry-definition")
                if definition is not None and not definition.is_basic_field and name not in _UNGUARDED:
                    found.append((type_, name))
    return found


def _value(argument: Any) -> Any:
    named = cast(Any, get_named_type(argument.type))
    if isinstance(named, GraphQLEnumType):
        return next(iter(named.values))
    return {"String": "a", "ID": "x", "Int": 1, "Upload": b"", "ByteCount": 1}[named.name]


def _document(kind: str, name: str, field: Any) -> tuple[str, dict[str, Any]]:
    asked = {key: argument for key, argument in field.args.items() if is_required_argument(argument)}
    declared = ", ".join(f"${key}: {argument.type}" for key, argument in asked.items())
    given = ", ".join(f"{key}: ${key}" for key in asked)
    named = cast(Any, get_named_type(field.type))
    below = "" if is_leaf_type(named) else " { __typename }"
    head = f"({declared})" if declared else ""
    return f"{kind} {head} {{ {name}{f'({given})' if given else ''}{below} }}", {key: _value(argument) for key, argument in asked.items()}


@pytest.mark.parametrize(("type_", "name"), _resolving(), ids=lambda item: getattr(item, "name", item))
async def test_a_field_requires_what_it_asks_for(type_: GraphQLObjectType, name: str) -> None:
    field = type_.fields[name]
    access = _Recording()
    context = Context(Sandboxes(load_settings(), {}, access=access), Caller(), "r")
    kind = {core_schema.mutation_type: "mutation", core_schema.subscription_type: "subscription"}.get(type_, "query")
    document, variables = _document(kind, name, field)
    root: dict[str, Any] = {kind: type_} if kind != "query" else {}
    schema = GraphQLSchema(query=core_schema.query_type if root else type_, **root)
    source = SimpleNamespace(id="sb_x", asker=Caller())
    if kind == "subscription":
        stream: Any = await cast(Any, subscribe(schema, parse(document), source, context, variable_values=variables))
        if not isinstance(stream, ExecutionResult):
            async with aclosing(cast("AsyncGenerator[Any]", stream)) as events:
                with pytest.raises(Forbidden):
                    await anext(events)
    else:
        result = await graphql(schema, document, source, context, variable_values=variables)
        assert result.errors, document
        assert isinstance(result.errors[0].original_error, Forbidden), result.errors
    act = act_of(field)
    assert act is not None, f"{type_.name}.{name} says nothing of the operation that it calls"
    assert access.asked == [act]


def test_every_operation_is_known_by_its_field() -> None:
    assert {act.name for type_, name in _resolving() if (act := act_of(type_.fields[name])) is not None} <= set(ACTS)


def test_the_text_says_what_is_required() -> None:
    said: dict[str, str] = {}
    for node in parse(printed()).definitions:
        if isinstance(node, ObjectTypeDefinitionNode):
            for field in node.fields or ():
                for directive in field.directives or ():
                    assert directive.name.value == "requires"
                    said[f"{node.name.value}.{field.name.value}"] = cast(Any, directive).arguments[0].value.value
    needed = {f"{type_.name}.{name}": permission_needed(type_.fields[name]) for type_, name in _resolving()}
    assert said == {name: permission.name for name, permission in needed.items() if permission is not None}
    assert said["Mutation.executeCode"] == "EXECUTE_CODE"
    assert said["Sandbox.files"] == "ACCESS_FILES"


def _sets() -> list[frozenset[Permission]]:
    return [frozenset(some) for count in range(len(Permission) + 1) for some in combinations(Permission, count)]


@pytest.mark.parametrize("allowed", _sets(), ids=lambda allowed: "+".join(sorted(allowed)) or "nothing")
def test_what_a_caller_sees_is_a_whole_schema(allowed: frozenset[Permission]) -> None:
    seen = visible_schemas.of(allowed)
    assert validate_schema(seen) == []
    for type_ in seen.type_map.values():
        if isinstance(type_, GraphQLObjectType):
            needed = {permission_needed(field) for field in type_.fields.values()} - {None}
            assert needed <= allowed
    assert visible_schemas.of(allowed) is seen


def _names(data: dict[str, Any]) -> set[str]:
    return {field["name"] for type_ in data["__schema"]["types"] for field in type_["fields"] or ()}


async def _ask(engine: GraphQL, caller: Caller, query: str) -> dict[str, Any]:
    context = Context(Sandboxes(load_settings(), {}), caller, "r")
    return await anext(engine.run(engine.prepare(query, None, caller), None, context))


async def test_introspection_shows_each_caller_its_own() -> None:
    """The same document, from the same cache, for one caller after the other."""
    engine = GraphQL(load_settings(query_depth=20))
    viewer, reader = Caller(permissions=Permissions()), Caller(permissions=Permissions(frozenset({Permission.ACCESS_FILES})))
    whole = get_introspection_query()
    for _ in range(2):
        everything = (await _ask(engine, Caller(permissions=EVERYTHING), whole))["data"]
        assert {"executeCode", "readFile", "createSandbox"} <= _names(everything)
        little = (await _ask(engine, viewer, whole))["data"]
        assert not {"executeCode", "readFile", "createSandbox", "isolation"} & (_names(little) - {"isolation"})
        assert little["__schema"]["mutationType"] is None
        assert "ExecutionResult" in {type_["name"] for type_ in little["__schema"]["types"]}  # of the executions that a viewer may look at
        some = _names((await _ask(engine, reader, whole))["data"])
        assert "readFile" in some
        assert "executeCode" not in some
        assert validate_schema(build_client_schema(little)) == []
    one = '{ __type(name: "Query") { fields { name } } a: __type(name: "Mutation") { fields { name } } }'
    seen = (await _ask(engine, viewer, one))["data"]
    assert "readFile" not in {field["name"] for field in seen["__type"]["fields"]}
    assert seen["a"] is None
    assert "executeCode" in {field["name"] for field in (await _ask(engine, Caller(), one))["data"]["a"]["fields"]}


async def test_what_is_not_shown_is_forbidden_by_name() -> None:
    engine = GraphQL(load_settings())
    answer = await _ask(engine, Caller(role="viewer", permissions=Permissions()), 'mutation { writeFile(path: "a", content: "b") }')
    (error,) = answer["errors"]
    assert error["extensions"]["code"] == "FORBIDDEN"
    assert "ACCESS_FILES" in error["message"]


_TYPOS = {
    "a field": "mutation { executeCod }",
    "an argument": 'mutation { writeFile(pat: "a") }',
    "a type": "query ($a: LimitInput!) { viewer { id } }",
    "a value": 'mutation { executeCode(code: "", language: "python", limits: {memor: 1}) { id } }',
    "a variable": 'mutation ($l: LimitsInput!) { executeCode(code: "", language: "python", limits: $l) { id } }',
}


@pytest.mark.parametrize("query", _TYPOS.values(), ids=_TYPOS)
async def test_who_does_not_see_everything_is_given_no_hint_at_it(query: str) -> None:
    """The same document, from the same cache, for one caller after the other."""
    engine = GraphQL(load_settings())

    async def refused(caller: Caller) -> list[str]:
        context = Context(Sandboxes(load_settings(), {}), caller, "r")
        try:
            await anext(engine.run(engine.prepare(query, None, caller), {"l": {"memor": 1}}, context))
        except RequestRefused as told:
            return [error["message"] for error in told.errors]
        raise AssertionError("it was executed")

    viewer = Caller(role="viewer", permissions=Permissions())
    for _ in range(2):
        assert any("Did you mean" in message for message in await refused(Caller())), await refused(Caller())
        little = await refused(viewer)
        assert little
        assert not any("Did you mean" in message for message in little), little

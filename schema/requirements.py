"""Which permission a field needs: taken from the operation that it calls, printed as `@requires`, and hidden from callers who lack it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, cast

from graphql import (
    DirectiveLocation,
    GraphQLArgument,
    GraphQLDirective,
    GraphQLEnumType,
    GraphQLField,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLSchema,
)
from graphql.utilities.map_schema_config import SchemaElementKind, map_schema_config

from sandql.core.permissions import Act, Permission
from sandql.resolvers.guard import ACTS

_ACT: Final = "act"


def requires_directive(permission: GraphQLEnumType) -> GraphQLDirective:
    """The directive that says what a field needs; `permission` is the schema's enum of them."""
    argument = GraphQLArgument(
        GraphQLNonNull(permission), description="Without it the field answers with FORBIDDEN, and introspection does not show it."
    )
    return GraphQLDirective(
        "requires", [DirectiveLocation.FIELD_DEFINITION], {"permission": argument}, description="What the caller's role must grant."
    )


def needs(operation: Callable[..., object]) -> Mapping[Any, Any]:
    """The metadata of a field that calls an operation: what it needs is what the operation's guard asks for."""
    return {_ACT: ACTS[operation.__name__]}


def act_of(field: GraphQLField) -> Act | None:
    """The operation that a field calls; None where it calls none that is guarded."""
    definition = (field.extensions or {}).get("strawberry-definition")
    return cast("Act | None", definition.metadata.get(_ACT)) if definition is not None else None


def permission_needed(field: GraphQLField) -> Permission | None:
    """What a caller must be granted for a field; None where every caller may."""
    act = act_of(field)
    return None if act is None else act.permission


class VisibleSchemas:
    """A schema as callers of different permissions see it; each is made once."""

    def __init__(self, schema: GraphQLSchema) -> None:
        self._made = {frozenset(Permission): schema}
        self._schema = schema

    def hides_from(self, allowed: frozenset[Permission]) -> bool:
        """Whether there is anything that callers who have these permissions don't see."""
        return not allowed >= frozenset(Permission)

    def of(self, allowed: frozenset[Permission]) -> GraphQLSchema:
        """What callers see who have these permissions; at most as many schemas are made as there are sets of permissions."""
        made = self._made.get(allowed)
        if made is None:
            made = self._made[allowed] = _without(self._schema, frozenset(Permission) - allowed)
        return made


def _without(schema: GraphQLSchema, hidden: frozenset[Permission]) -> GraphQLSchema:
    """A copy without the fields that need something, and without the types that are of use only for them."""

    def shown(config: Any) -> Any:
        fields = config["fields"]
        return {**config, "fields": lambda: {name: field for name, field in fields().items() if permission_needed(field) not in hidden}}

    def reachable(config: Any) -> Any:
        roots = {root: _unless_empty(config[root]) for root in ("query", "mutation", "subscription")}
        return {**config, **roots, "types": ()}

    mappers: Any = {SchemaElementKind.OBJECT: shown, SchemaElementKind.SCHEMA: reachable}
    return GraphQLSchema(**map_schema_config(schema.to_kwargs(), lambda _: mappers))


def _unless_empty(root: GraphQLObjectType | None) -> GraphQLObjectType | None:
    return root if root is not None and root.fields else None

"""Fields that are read from one of our values as they are: most of what a client asks for, and most of what executing costs."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, cast

from graphql import (
    Executor,
    GraphQLObjectType,
    GraphQLSchema,
    Undefined,
    get_nullable_type,  # pyright: ignore[reportUnknownVariableType]  (generic, unsaid)
    is_leaf_type,
)
from strawberry.types.field import StrawberryField

from sandql.schema.build import core_schema

_DEFINITION: Final = "strawberry-definition"


@dataclass(frozen=True, slots=True)
class _Plain:
    """Which attribute a field is, how that becomes JSON, and whether it may be null."""

    attribute: str
    coerce: Callable[[Any], Any]
    nullable: bool


def _plain_fields(schema: GraphQLSchema) -> dict[tuple[GraphQLObjectType, str], _Plain]:
    """The plain fields of a schema, by their type and name."""
    found: dict[tuple[GraphQLObjectType, str], _Plain] = {}
    for type_ in schema.type_map.values():
        if not isinstance(type_, GraphQLObjectType):
            continue
        for name, field in type_.fields.items():
            definition = field.extensions.get(_DEFINITION)
            value_type = cast(Any, get_nullable_type(field.type))
            if isinstance(definition, StrawberryField) and definition.is_basic_field and is_leaf_type(value_type):
                found[type_, name] = _Plain(definition.python_name, value_type.coerce_output_value, value_type is field.type)
    return found


_PLAIN: Final = _plain_fields(core_schema)


class PlainFieldsExecutor(Executor[None]):
    """An executor that reads plain fields at once, and does in the long way only those that are not, or that fail."""

    def execute_field(self, parent_type: GraphQLObjectType, source: Any, field_details_list: Any, path: Any, position_context: None) -> Any:
        """The value of a field, or an awaitable of it."""
        plain = _PLAIN.get((parent_type, field_details_list[0].node.name.value))
        if plain is not None:
            with suppress(Exception):  # what is raised here is raised again below, and becomes the error of this field
                value = getattr(source, plain.attribute)
                if value is None and plain.nullable:
                    return None
                coerced = plain.coerce(value)
                if coerced is not None and coerced is not Undefined:
                    return coerced
        return super().execute_field(parent_type, source, field_details_list, path, position_context)

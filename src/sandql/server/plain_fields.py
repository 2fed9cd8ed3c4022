"""Fields that are read from one of our values as they are: most of what a client asks for, and most of what executing costs."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, cast

from graphql import (
    GRAPHQL_MAX_INT,
    GRAPHQL_MIN_INT,
    Executor,
    FieldNode,
    GraphQLEnumType,
    GraphQLField,
    GraphQLInt,
    GraphQLObjectType,
    GraphQLSchema,
    GraphQLString,
    Undefined,
    get_nullable_type,  # pyright: ignore[reportUnknownVariableType]  (generic, unsaid)
    is_leaf_type,
)
from strawberry.types.field import StrawberryField

from sandql.schema.build import core_schema, visible_schemas

DEFINITION: Final = "strawberry-definition"
_INTROSPECTION: Final = ("__schema", "__type")


@dataclass(frozen=True, slots=True)
class Plain:
    """Which attribute a field is, how that becomes JSON, and whether it may be null."""

    attribute: str
    coerce: Callable[[Any], Any]
    nullable: bool


def _quick(type_: Any) -> Callable[[Any], Any]:
    """What makes JSON of a leaf's value, as the type itself does, but sooner for the values that are usual."""
    slow: Callable[[Any], Any] = type_.coerce_output_value
    if type_ is GraphQLString:
        return lambda value: value if type(value) is str else slow(value)
    if type_ is GraphQLInt:
        return lambda value: value if type(value) is int and GRAPHQL_MIN_INT <= value <= GRAPHQL_MAX_INT else slow(value)
    if isinstance(type_, GraphQLEnumType):
        known: dict[Any, Any] = {}

        def name(value: Any) -> Any:
            found = known.get(value)
            if found is None:
                found = known[value] = slow(value)
            return found

        return name
    return slow


def _plain_fields(schema: GraphQLSchema) -> dict[tuple[GraphQLObjectType, str], Plain]:
    """The plain fields of a schema, by their type and name."""
    found: dict[tuple[GraphQLObjectType, str], Plain] = {}
    for type_ in schema.type_map.values():
        if not isinstance(type_, GraphQLObjectType):
            continue
        for name, field in type_.fields.items():
            definition = field.extensions.get(DEFINITION)
            value_type = cast(Any, get_nullable_type(field.type))
            if isinstance(definition, StrawberryField) and definition.is_basic_field and is_leaf_type(value_type):
                found[type_, name] = Plain(definition.python_name, _quick(value_type), value_type is field.type)
    return found


_PLAIN: Final = _plain_fields(core_schema)


def plain_field(type_: GraphQLObjectType, name: str) -> Plain | None:
    """How a field is read, None where it is not plain."""
    return _PLAIN.get((type_, name))


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

    def build_resolve_info(self, field_def: GraphQLField, field_nodes: list[FieldNode], parent_type: GraphQLObjectType, path: Any) -> Any:
        """What a field's resolver is told; for introspection that is the schema as the caller may see it."""
        info = cast(Any, super().build_resolve_info(field_def, field_nodes, parent_type, path))  # pyright: ignore[reportUnknownMemberType]  (generic)
        if field_nodes[0].name.value in _INTROSPECTION or parent_type.name.startswith("__"):
            return info._replace(schema=visible_schemas.of(self.context_value.caller.permissions.allowed))
        return info

    def complete_iterable_value(self, item_type: Any, field_details_list: Any, info: Any, path: Any, items: Any, position_context: None) -> Any:
        """The values of a list, or an awaitable of them: at once where they are objects of which plain fields are asked for."""
        with suppress(_NotPlain):
            return self._plain_items(item_type, field_details_list, items)
        return super().complete_iterable_value(  # pyright: ignore[reportUnknownMemberType]  (generic, unsaid)
            item_type, field_details_list, info, path, items, position_context
        )

    def _plain_items(self, item_type: Any, field_details_list: Any, items: Any) -> list[dict[str, Any]]:
        object_type = cast(Any, get_nullable_type(item_type))
        if not isinstance(object_type, GraphQLObjectType) or object_type.is_type_of is not None or not isinstance(items, list):
            raise _NotPlain
        asked = self.collect_subfields(object_type, field_details_list)[0]
        plain = [(name, _PLAIN.get((object_type, details[0].node.name.value))) for name, details in asked.items()]
        fields = [(name, field.attribute, field.coerce, field.nullable) for name, field in plain if field is not None]
        type_names = {name: object_type.name for name, details in asked.items() if details[0].node.name.value == "__typename"}
        if len(fields) + len(type_names) < len(plain):
            raise _NotPlain
        in_order = dict.fromkeys(asked) if type_names else {}
        rows: list[dict[str, Any]] = []
        try:
            for item in cast("list[object]", items):
                row: dict[str, Any] = {**in_order, **type_names}
                for name, attribute, coerce, nullable in fields:
                    value = getattr(item, attribute)
                    if value is not None:
                        value = coerce(value)
                        if value is None or value is Undefined:
                            raise _NotPlain
                    elif not nullable:
                        raise _NotPlain
                    row[name] = value
                rows.append(row)
        except Exception:  # it is raised again in the long way, and becomes the error of its field
            raise _NotPlain from None
        return rows


class _NotPlain(Exception):
    """A list is to be completed in the long way."""

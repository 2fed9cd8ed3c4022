"""How the events of a subscription are answered where nothing but plain fields is asked of them.

A replay is many small events of two or three types, and executing the same selection anew for each costs more than all the rest.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, cast

from graphql import (
    GraphQLObjectType,
    GraphQLUnionType,
    Undefined,
    get_nullable_type,  # pyright: ignore[reportUnknownVariableType]  (generic, unsaid)
)
from graphql.execution.collect_fields import FieldDetailsList, collect_fields
from strawberry.types.base import StrawberryObjectDefinition

from sandql.server.event_executor import EventExecutor
from sandql.server.plain_fields import DEFINITION, plain_field

_TYPENAME: Final = "__typename"

_Step = tuple[str, str, Callable[[Any], Any] | None, bool]  # a response's name; an attribute, or a constant when nothing coerces it; may it be null


@dataclass(frozen=True, slots=True)
class _Root:
    """The one field of a subscription: its name in the response, and the types of its events, none where no plan is made for them."""

    name: str
    details: FieldDetailsList
    types: tuple[GraphQLObjectType, ...]


class EventPlans:
    """The plans for one subscription: one for each class of its events, made when the first of them comes."""

    def __init__(self, executor: EventExecutor) -> None:
        self._executor = executor
        self._root = _root(executor)
        self._plans: dict[type, tuple[_Step, ...] | None] = {}

    @property
    def field(self) -> str:
        """The name of the subscription's field."""
        return self._root.details[0].node.name.value

    def answer(self, event: Any) -> dict[str, Any] | None:
        """The data that answers an event, or None where graphql-core must say what does."""
        kind: type = event.__class__
        if kind not in self._plans:
            self._plans[kind] = self._plan(kind)
        plan = self._plans[kind]
        if plan is None:
            return None
        data: dict[str, Any] = {}
        try:
            for name, attribute, coerce, nullable in plan:
                if coerce is None:
                    data[name] = attribute
                    continue
                value = getattr(event, attribute)
                if value is not None:
                    value = coerce(value)
                    if value is None or value is Undefined:
                        return None
                elif not nullable:
                    return None
                data[name] = value
        except Exception:  # graphql-core meets it as well, and makes it the error of its field
            return None
        return {self._root.name: data}

    def _plan(self, kind: type) -> tuple[_Step, ...] | None:
        root = self._root
        found = next((type_ for type_ in root.types if _class_of(type_) is kind), None)
        if found is None:
            return None
        steps: list[_Step] = []
        for name, details in self._executor.collect_subfields(found, root.details).grouped_field_set.items():
            field_name = details[0].node.name.value
            plain = plain_field(found, field_name)
            if field_name == _TYPENAME:
                steps.append((name, found.name, None, False))
            elif plain is not None:
                steps.append((name, plain.attribute, plain.coerce, plain.nullable))
            else:
                return None
        return tuple(steps)


def _root(executor: EventExecutor) -> _Root:
    """The field of a subscription."""
    schema = executor.schema
    root_type = schema.subscription_type
    assert root_type is not None
    fields = collect_fields(schema, executor.fragments, executor.variable_values, root_type, executor.operation).grouped_field_set
    name, details = next(iter(fields.items()))  # validation has seen to it that there is exactly one
    field = root_type.fields.get(details[0].node.name.value)
    returned = None if field is None else cast(object, get_nullable_type(field.type))
    if isinstance(returned, GraphQLUnionType):
        return _Root(name, details, tuple(returned.types))
    return _Root(name, details, (returned,) if isinstance(returned, GraphQLObjectType) else ())


def _class_of(type_: GraphQLObjectType) -> type | None:
    definition = type_.extensions.get(DEFINITION)
    return definition.origin if isinstance(definition, StrawberryObjectDefinition) else None

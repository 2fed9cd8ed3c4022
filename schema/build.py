"""The schema itself."""

from __future__ import annotations

from functools import cache
from typing import Any

import strawberry
from graphql import GraphQLEnumType, GraphQLSchema
from strawberry.schema.config import StrawberryConfig
from strawberry.schema.name_converter import NameConverter
from strawberry.utils.str_converters import to_camel_case

from sandql.schema.mutation import Mutation
from sandql.schema.query import Query
from sandql.schema.requirements import VisibleSchemas, requires_directive
from sandql.schema.scalars import SCALARS
from sandql.schema.subscription import Subscription

_camel_case = cache(to_camel_case)  # of the names in the schema only


class _Names(NameConverter):
    """Strawberry's own names, each found once: it asks for those of all arguments again with every call of a field."""

    def apply_naming_config(self, name: str) -> str:
        return _camel_case(name)


schema = strawberry.Schema(
    query=Query,
    mutation=Mutation,
    subscription=Subscription,
    # Not `sort_schema`: a schema sorted by it refuses the members of its unions.
    config=StrawberryConfig(scalar_map=SCALARS, name_converter=_Names()),
)

# Strawberry keeps the graphql-core schema to itself, and its own `execute` costs several times what graphql-core needs.
_made = schema._schema  # pyright: ignore[reportPrivateUsage]

_permission = _made.type_map["Permission"]
assert isinstance(_permission, GraphQLEnumType)
_parts: Any = {**_made.to_kwargs(), "directives": (*_made.directives, requires_directive(_permission))}
core_schema = GraphQLSchema(**_parts)
visible_schemas = VisibleSchemas(core_schema)

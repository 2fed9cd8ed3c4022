"""The schema itself."""

from __future__ import annotations

import strawberry
from strawberry.schema.config import StrawberryConfig

from sandql.schema.mutation import Mutation
from sandql.schema.query import Query
from sandql.schema.scalars import SCALARS
from sandql.schema.subscription import Subscription

schema = strawberry.Schema(
    query=Query,
    mutation=Mutation,
    subscription=Subscription,
    config=StrawberryConfig(scalar_map=SCALARS),  # not `sort_schema`: a schema sorted by it refuses the members of its unions
)

# Strawberry keeps the graphql-core schema to itself, and its own `execute` costs several times what graphql-core needs.
core_schema = schema._schema  # pyright: ignore[reportPrivateUsage]

"""The caller, as a client sees itself."""

from __future__ import annotations

import strawberry

from sandql.resolvers import viewer as resolvers
from sandql.schema.context import Context, Info
from sandql.schema.permissions import Permissions, permissions
from sandql.schema.requirements import needs
from sandql.schema.usage import UsageFields


@strawberry.type(description="The caller, as its credential says.")
class Viewer(UsageFields):
    """See `sandql.core.values.Caller`."""

    id: strawberry.ID = strawberry.field(description="The name under which it owns what it makes, as `jwt:acme/alice`; `local` where none is needed.")
    role: str = strawberry.field(description="Its role, which grants its permissions.")
    plan: str = strawberry.field(description="Its plan, which says how much it may use.")
    tenant: str | None = strawberry.field(description="To which tenant it belongs; null for none.")
    permissions: Permissions = strawberry.field(description="What it may do.")


@strawberry.type
class ViewerQuery:
    """Fields of the query root that are about the caller."""

    @strawberry.field(description="The caller itself, and what it may do.", metadata=needs(resolvers.find_viewer))
    async def viewer(self, info: Info) -> Viewer:
        await resolvers.find_viewer(info.context.sandboxes, info.context.caller)
        return viewer(info.context)


def viewer(context: Context) -> Viewer:
    """The GraphQL form of the caller."""
    caller = context.caller
    return Viewer(
        id=strawberry.ID(caller.subject),
        role=caller.role,
        plan=caller.plan,
        tenant=caller.tenant,
        permissions=permissions(context.sandboxes, caller),
    )

"""API keys: what an administrator can ask of them, and do with them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import strawberry

from sandql.core import api_keys
from sandql.resolvers import api_keys as resolvers
from sandql.schema.arguments import given
from sandql.schema.context import Info
from sandql.schema.enums import Permission
from sandql.schema.pages import After, First, PageInfo
from sandql.schema.requirements import needs
from sandql.schema.sandboxes import moment
from sandql.store.paging import Page


@strawberry.type(description="A key by which programs come in. What it is for is shown; the key itself is not.")
class ApiKey:
    """See `sandql.core.api_keys.ApiKey`."""

    id: strawberry.ID = strawberry.field(description="The part of the key that is no secret.")
    name: str = strawberry.field(description="What it was named.")
    subject: str = strawberry.field(description="Who comes in by it.")
    role: str = strawberry.field(description="Their role.")
    plan: str = strawberry.field(description="Their plan.")
    tenant: str | None = strawberry.field(description="Their tenant; null for none.")
    scopes: list[Permission] | None = strawberry.field(description="All that it may do of what the role grants; null for everything.")
    created_at: datetime = strawberry.field(description="When it was made.")
    expires_at: datetime | None = strawberry.field(description="From when on it is not valid; null for never.")
    last_used_at: datetime | None = strawberry.field(description="When it was last used, to about a minute; null for never.")
    revoked_at: datetime | None = strawberry.field(description="When it was revoked; null where it was not.")


@strawberry.type(description="A key that was made just now.")
class IssuedApiKey:
    """See `sandql.core.api_keys.IssuedApiKey`."""

    api_key: ApiKey = strawberry.field(description="What it is for.")
    secret: str = strawberry.field(description="The key itself. It is shown this once, and kept nowhere.")


@strawberry.type(description="An API key of a page.")
class ApiKeyEdge:
    """An item with its cursor."""

    cursor: str = strawberry.field(description="What to give as `after` for the page behind this one.")
    node: ApiKey = strawberry.field(description="The key.")


@strawberry.type(description="A page of API keys, newest first.")
class ApiKeyConnection:
    """See `sandql.store.paging.Page`."""

    edges: list[ApiKeyEdge] = strawberry.field(description="The keys with their cursors.")
    nodes: list[ApiKey] = strawberry.field(description="The keys.")
    page_info: PageInfo = strawberry.field(description="Whether there are more.")


ApiKeyId = Annotated[strawberry.ID, strawberry.argument(description="The id of an API key.")]
KeyName = Annotated[str, strawberry.argument(description="A name to know it by; at most 64 characters.")]
Subject = Annotated[str, strawberry.argument(description="Who comes in by it: keys of the same subject and tenant own the same things.")]
Role = Annotated[str, strawberry.argument(description="Their role.")]
Plan = Annotated[str, strawberry.argument(description="Their plan.")]
Tenant = Annotated[str | None, strawberry.argument(description="Their tenant; the administrator's own, or none, when left out.")]
Scopes = Annotated[list[Permission] | None, strawberry.argument(description="All that it may do of what the role grants; everything when left out.")]
ExpiresIn = Annotated[float | None, strawberry.argument(description="How long it is valid, in seconds; for ever when left out.")]
Grace = Annotated[float, strawberry.argument(description="How long the old key is valid still, in seconds.")]


@strawberry.type
class ApiKeyQuery:
    """Fields of the query root that are about API keys."""

    @strawberry.field(description="The API keys, newest first. For administrators.", metadata=needs(resolvers.list_api_keys))
    async def api_keys(self, info: Info, first: First = 20, after: After = strawberry.UNSET) -> ApiKeyConnection:
        page = await resolvers.list_api_keys(info.context.sandboxes, info.context.caller, first, given(after))
        return _connection(page)


@strawberry.type
class ApiKeyMutation:
    """Fields of the mutation root that are about API keys."""

    @strawberry.mutation(
        description="Make an API key. For administrators.",
        metadata=needs(resolvers.create_api_key),
    )
    async def create_api_key(
        self,
        info: Info,
        name: KeyName,
        subject: Subject,
        role: Role = "developer",
        plan: Plan = "free",
        tenant: Tenant = strawberry.UNSET,
        scopes: Scopes = strawberry.UNSET,
        expires_in: ExpiresIn = strawberry.UNSET,
    ) -> IssuedApiKey:
        chosen = given(scopes)
        scoped = None if chosen is None else frozenset(chosen)
        asked = api_keys.NewApiKey(name, subject, role, plan, given(tenant), scoped, given(expires_in))
        return _issued(await resolvers.create_api_key(info.context.sandboxes, info.context.caller, asked))

    @strawberry.mutation(
        description="Let an API key prove nothing any more; what it has open ends within 5 seconds. For administrators.",
        metadata=needs(resolvers.revoke_api_key),
    )
    async def revoke_api_key(self, info: Info, id: ApiKeyId) -> ApiKey:
        return _api_key(await resolvers.revoke_api_key(info.context.sandboxes, info.context.caller, id))

    @strawberry.mutation(
        description="Make an API key in the place of another, for the same. For administrators.", metadata=needs(resolvers.rotate_api_key)
    )
    async def rotate_api_key(self, info: Info, id: ApiKeyId, grace: Grace = 0.0) -> IssuedApiKey:
        return _issued(await resolvers.rotate_api_key(info.context.sandboxes, info.context.caller, id, grace))


def _moment(unix_s: float | None) -> datetime | None:
    return None if unix_s is None else moment(unix_s)


def _api_key(value: api_keys.ApiKey) -> ApiKey:
    return ApiKey(
        id=strawberry.ID(value.id),
        name=value.name,
        subject=value.subject,
        role=value.role,
        plan=value.plan,
        tenant=value.tenant,
        scopes=None if value.scopes is None else sorted(value.scopes),
        created_at=moment(value.created_at),
        expires_at=_moment(value.expires_at),
        last_used_at=_moment(value.last_used_at),
        revoked_at=_moment(value.revoked_at),
    )


def _issued(value: api_keys.IssuedApiKey) -> IssuedApiKey:
    return IssuedApiKey(api_key=_api_key(value.key), secret=value.secret)


def _connection(page: Page[api_keys.ApiKey]) -> ApiKeyConnection:
    nodes = [_api_key(item) for item in page.items]
    edges = [ApiKeyEdge(cursor=cursor, node=node) for cursor, node in zip(page.cursors, nodes, strict=True)]
    return ApiKeyConnection(edges=edges, nodes=nodes, page_info=PageInfo(has_next_page=page.has_next, end_cursor=page.end_cursor))

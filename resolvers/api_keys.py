"""API keys, for administrators. One who belongs to a tenant has to do with the keys of that tenant only."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from sandql.core.api_keys import ApiKey, IssuedApiKey, NewApiKey
from sandql.core.errors import Forbidden
from sandql.core.permissions import Kind, Permission
from sandql.core.values import Caller
from sandql.resolvers.guard import guarded
from sandql.resolvers.sandboxes import check_first
from sandql.sandboxes.borrow import Sandboxes
from sandql.store.paging import Page

_DEFAULT_PLAN: Final = "free"


@guarded(Kind.QUERY, Permission.ADMINISTER)
async def create_api_key(sandboxes: Sandboxes, caller: Caller, asked: NewApiKey) -> IssuedApiKey:
    """Make a key; its secret is known from now on only to who asked. Raises BadRequest, Forbidden."""
    if caller.tenant is not None:
        if asked.tenant not in (None, caller.tenant):
            raise Forbidden(f"tenant: an administrator of {caller.tenant!r} makes keys of that tenant only; leave it out")
        if asked.plan not in _plans(caller):
            raise Forbidden(f"plan: an administrator of a tenant gives {_DEFAULT_PLAN!r} or its own plan, {caller.plan!r}")
        asked = replace(asked, tenant=caller.tenant)
    return await sandboxes.durable.api_keys.create(asked, caller.permissions)


@guarded(Kind.QUERY, Permission.ADMINISTER)
async def list_api_keys(sandboxes: Sandboxes, caller: Caller, first: int, after: str | None) -> Page[ApiKey]:
    """Some of the keys, newest first; never their secrets. Raises BadRequest."""
    return await sandboxes.durable.api_keys.page(caller.tenant, check_first(first), after)


@guarded(Kind.QUERY, Permission.ADMINISTER)
async def revoke_api_key(sandboxes: Sandboxes, caller: Caller, id_: str) -> ApiKey:
    """Let a key prove nothing from now on, on any server soon after. Raises NotFound."""
    return await sandboxes.durable.api_keys.revoke(id_, caller.tenant)


@guarded(Kind.QUERY, Permission.ADMINISTER)
async def rotate_api_key(sandboxes: Sandboxes, caller: Caller, id_: str, grace_s: float) -> IssuedApiKey:
    """Make a key in the place of another, which is valid for some seconds more. Raises NotFound, BadRequest, Forbidden."""
    plans = None if caller.tenant is None else _plans(caller)
    return await sandboxes.durable.api_keys.rotate(id_, caller.tenant, grace_s, caller.permissions, plans)


def _plans(caller: Caller) -> tuple[str, ...]:
    """What an administrator of a tenant may give."""
    return (_DEFAULT_PLAN, caller.plan)

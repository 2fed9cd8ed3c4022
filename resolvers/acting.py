"""Administrators who act as another caller, when they say so."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from sandql.access.identity import is_of_tenant
from sandql.core.errors import BadRequest, Forbidden
from sandql.core.permissions import Permission
from sandql.core.values import Caller
from sandql.resolvers.bounds import encode
from sandql.resolvers.guard import guarded
from sandql.sandboxes.borrow import Sandboxes

MAX_OWNER_BYTES: Final = 256


async def acting_for(sandboxes: Sandboxes, caller: Caller, owner: str | None) -> Caller:
    """The caller as it acts for `owner`: itself for None and for itself. What it then does is in the audit log, with both of them.

    Raises:
        Forbidden: it is not an administrator, or one of another tenant.
        BadRequest: nobody has such a name.
    """
    if owner is None or owner == caller.subject:
        return caller
    return await act_for(sandboxes, caller, owner)


@guarded(None, Permission.ADMINISTER, audited=False, shown="owner")
async def act_for(_sandboxes: Sandboxes, caller: Caller, owner: str) -> Caller:
    """An administrator as somebody else, with its own permissions. Raises BadRequest, PayloadTooLarge, Forbidden."""
    if not encode("owner", owner, MAX_OWNER_BYTES) or "\0" in owner:
        raise BadRequest("owner: must name a caller")
    if caller.tenant is not None and not is_of_tenant(owner, caller.tenant):
        raise Forbidden(f"owner: an administrator of {caller.tenant!r} acts for callers of that tenant only")
    return replace(caller, subject=owner, acting=caller.subject)

"""The caller, as the server knows it."""

from __future__ import annotations

from sandql.core.permissions import Kind
from sandql.core.values import Caller
from sandql.resolvers.guard import guarded
from sandql.sandboxes.borrow import Sandboxes


@guarded(Kind.QUERY)
async def find_viewer(sandboxes: Sandboxes, caller: Caller) -> Caller:
    """Who the credential says that the caller is."""
    return caller

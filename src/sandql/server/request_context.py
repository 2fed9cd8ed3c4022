"""What a request's scope says, for those who run operations."""

from __future__ import annotations

from typing import cast

from starlette.types import Scope

from sandql.access.callers import MISSING
from sandql.core.errors import Unauthenticated
from sandql.core.values import Caller
from sandql.sandboxes.borrow import Sandboxes
from sandql.schema.context import Context


def sandboxes_of(scope: Scope) -> Sandboxes:
    """The server's sandboxes, opened by its lifespan."""
    return cast(Sandboxes, scope["state"]["sandboxes"])


def request_id_of(scope: Scope) -> str:
    """The id that `RequestId` gave to the request."""
    return cast(str, scope["state"]["request_id"])


def caller_of(scope: Scope) -> Caller:
    """Who asks, as `Authenticate` found. Raises Unauthenticated: nobody has asked who it is."""
    caller = scope["state"].get("caller")
    if caller is None:
        raise Unauthenticated(MISSING)
    return cast(Caller, caller)


def make_context(scope: Scope) -> Context:
    """A context for one operation of a request; each operation gets its own."""
    return Context(sandboxes_of(scope), caller_of(scope), request_id_of(scope))

"""Contexts: sessions that keep their variables."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import asdict
from functools import partial

from sandql.core.contexts import ContextInfo, ContextRequest
from sandql.core.errors import NotFound
from sandql.core.permissions import Kind, Permission
from sandql.core.values import HOME, Caller
from sandql.resolvers.bounds import check_env, check_limits, find_granted_language, lasting_limits
from sandql.resolvers.guard import guarded
from sandql.resolvers.operations import CreateContext
from sandql.sandboxes.borrow import Sandboxes
from sandql.sandboxes.contexts import Opening
from sandql.sandboxes.new_ids import context_id


@guarded(Kind.EXECUTE, Permission.EXECUTE_CODE)
async def create_context(sandboxes: Sandboxes, caller: Caller, asked: CreateContext, key: str | None = None) -> ContextInfo:
    """Open a context in a kept sandbox. Raises SandqlError."""
    contexts = sandboxes.durable.contexts
    opening = await _opening(sandboxes, asked, caller)
    async with sandboxes.durable.keys.once(caller, key, "CreateContext", asdict(asked), context_id) as claim:
        if not claim.new:
            with suppress(NotFound):  # or else it was not begun
                return contexts.find(caller, claim.id)
        return await contexts.create(caller, claim.id, opening, partial(_opening, sandboxes, asked, lessened=True))


async def _opening(sandboxes: Sandboxes, asked: CreateContext, caller: Caller, *, lessened: bool = False) -> Opening:
    """How a caller, with what it may now, opens what was asked for; what is not granted any more is refused, or a limit `lessened`."""
    settings, where = sandboxes.settings, asked.sandbox_id or HOME
    kept = await sandboxes.find_kept(caller, where)
    provider = sandboxes.provider(caller, asked.provider if kept is None else kept.provider)
    env = check_env(asked.env)
    limits = check_limits(caller, asked.limits, None, settings, None if kept is None else kept.spec.limits, lessened=lessened)
    request = ContextRequest(
        find_granted_language(caller, provider, asked.language),
        env if kept is None else {**kept.spec.env, **env},
        lasting_limits(caller, limits, settings.context_max_s * 1000),
    )
    lease = partial(sandboxes.borrow, caller, where, asked.provider, working=False)
    return Opening(request, lease, sandboxes.account(caller, provider.name))


@guarded(Kind.QUERY)
async def find_context(sandboxes: Sandboxes, caller: Caller, id_: str) -> ContextInfo:
    """The caller's context of that id. Raises NotFound."""
    return sandboxes.durable.contexts.find(caller, id_)


@guarded(Kind.QUERY)
async def list_contexts(sandboxes: Sandboxes, caller: Caller, sandbox_id: str | None) -> list[ContextInfo]:
    """The caller's contexts, those of a sandbox where one is given."""
    return sandboxes.durable.contexts.list(caller, sandbox_id)


@guarded(Kind.QUERY, Permission.EXECUTE_CODE)
async def interrupt_context(sandboxes: Sandboxes, caller: Caller, id_: str) -> bool:
    """Interrupt what runs in a context; whether anything ran. Raises NotFound."""
    return sandboxes.durable.contexts.interrupt(caller, id_)


@guarded(Kind.EXECUTE, Permission.EXECUTE_CODE)
async def restart_context(sandboxes: Sandboxes, caller: Caller, id_: str) -> ContextInfo:
    """Begin a context anew, without its variables, with the limits that its owner has now. Raises NotFound, Forbidden."""
    return await sandboxes.durable.contexts.restart(caller, id_)


@guarded(Kind.QUERY, Permission.EXECUTE_CODE)
async def close_context(sandboxes: Sandboxes, caller: Caller, id_: str) -> None:
    """End a context. Raises NotFound."""
    await sandboxes.durable.contexts.close(caller, id_)

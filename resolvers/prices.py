"""What a run would set aside, by the same check as the run itself."""

from __future__ import annotations

from dataclasses import dataclass

from sandql.core.amounts import Amounts
from sandql.core.kept import KeptSandbox
from sandql.core.permissions import Kind
from sandql.core.settings import Settings
from sandql.core.values import HOME, Caller, Limits
from sandql.resolvers.bounds import check_in_context, check_limits, lasting_limits, limits_in_context
from sandql.resolvers.guard import guarded
from sandql.resolvers.operations import AskedLimits, ExecuteCode
from sandql.sandboxes.borrow import Sandboxes
from sandql.usage.needs import needs_of


@dataclass(frozen=True, slots=True)
class AskedPrice:
    """Something that would run: a program, or a terminal."""

    terminal: bool = False
    sandbox_id: str | None = None
    context_id: str | None = None
    timeout_ms: int | None = None
    limits: AskedLimits | None = None


@guarded(Kind.QUERY, shown="dryRun")
async def price_of(sandboxes: Sandboxes, caller: Caller, asked: AskedPrice) -> Amounts:
    """What would be set aside for it. Raises BadRequest: its limits are not acceptable; NotFound: there is no such sandbox or context."""
    if asked.context_id is not None:
        check_in_context(ExecuteCode("", "", sandbox_id=asked.sandbox_id, limits=asked.limits))
        context = sandboxes.durable.contexts.find(caller, asked.context_id)
        return needs_of(limits_in_context(caller, check_limits(caller, None, asked.timeout_ms, sandboxes.settings), context.limits))
    kept = await sandboxes.find_kept(caller, (asked.sandbox_id or HOME) if asked.terminal else asked.sandbox_id)
    if asked.terminal:
        return needs_of(terminal_limits(caller, sandboxes.settings, kept))
    return needs_of(check_limits(caller, asked.limits, asked.timeout_ms, sandboxes.settings, None if kept is None else kept.spec.limits))


def terminal_limits(caller: Caller, settings: Settings, kept: KeptSandbox | None) -> Limits:
    """The limits of a caller's terminal in a sandbox, the home for None: it may work for as long as it is open."""
    limits = check_limits(caller, None, None, settings, None if kept is None else kept.spec.limits)
    most_ms, granted_ms = settings.terminal_max_s * 1000, caller.permissions.limits.wall_ms
    return lasting_limits(caller, limits, most_ms if granted_ms is None else min(most_ms, granted_ms))

"""How often a caller may do what, by its plan."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Final

from sandql.access.plans import Plan
from sandql.access.rate_note import RATE_NOTE, RateState
from sandql.access.sliding_windows import SlidingWindows
from sandql.core.errors import Forbidden, RateLimited
from sandql.core.permissions import Kind
from sandql.core.values import Caller

if TYPE_CHECKING:
    from sandql.access.redis_windows import RedisWindows

_MOST_CALLERS: Final = 100_000  # of each plan and kind, some 300 bytes each


class RateLimits:
    """Counts operations per caller and kind: together with other servers where there is a Redis for it and it answers, else alone."""

    def __init__(self, plans: Mapping[str, Plan], shared: RedisWindows | None = None) -> None:
        self._plans = plans
        self._shared = shared
        self._windows = {
            (plan.name, kind): SlidingWindows(rate.amount, rate.get_expiry(), _MOST_CALLERS)
            for plan in plans.values()
            for kind, rate in plan.rates.items()
        }

    @property
    def degraded(self) -> bool:
        """Whether rates are counted on this server alone although they should not be."""
        return self._shared is not None and not self._shared.available

    @property
    def plans(self) -> Collection[str]:
        """The names of the plans."""
        return self._plans.keys()

    def plan(self, caller: Caller) -> Plan:
        """The caller's plan. Raises Forbidden: there is no such plan here."""
        found = self._plans.get(caller.plan)
        if found is None:
            raise Forbidden(f"plan: {caller.plan[:64]!r} is not known here; ask the operator to add it to the plans, or for another one")
        return found

    async def spend(self, caller: Caller, kind: Kind, operation: str) -> None:
        """Count one operation.

        Raises:
            RateLimited: it is one too many.
            Forbidden: there is no such plan here.
        """
        plan = self.plan(caller)
        rate = plan.rates.get(kind)
        if rate is None:
            return
        key = caller.acting or caller.subject
        spent = None
        if self._shared is not None:
            spent = await self._shared.hit(f"sandql:rate:{kind}:{plan.name}:{key}", rate.amount, rate.get_expiry())
        if spent is None:
            spent = self._windows[plan.name, kind].hit(key)
        note = RATE_NOTE.get()
        if note is not None:
            note.states[kind] = RateState(rate.amount, rate.get_expiry(), spent.remaining, spent.after_s)
        if spent.admitted:
            return
        retry_after_s = float(max(1, math.ceil(spent.after_s)))
        if note is not None:
            note.refuse(retry_after_s)
        per = f"{rate.multiples} {rate.GRANULARITY.name}s" if rate.multiples > 1 else rate.GRANULARITY.name
        raise RateLimited(
            f"the plan {plan.name!r} admits {rate.amount} {kind} operations per {per}; try again in {retry_after_s:.0f} s",
            retry_after_s=retry_after_s,
            operation=operation,
        )

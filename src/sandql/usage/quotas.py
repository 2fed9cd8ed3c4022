"""Saying that a quota is used up, and how much of it is."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from sandql.core.amounts import UNBOUNDED, Amounts
from sandql.core.errors import QuotaExceeded
from sandql.store.quota_rows import PeriodKey, PeriodState
from sandql.usage.plans import Quota

RESOURCES: Final = (("maxExecutions", "executions", 1), ("maxCpuSeconds", "CPU seconds", 1000), ("maxMemoryMBSeconds", "MB seconds", 1000))


@dataclass(frozen=True, slots=True)
class QuotaState:
    """What is used of a quota, and set aside for runs that go on; it begins anew at `resets_at`, a Unix time in seconds."""

    quota: Quota
    resets_at: int
    used: Amounts
    reserved: Amounts


def quota_exceeded(key: PeriodKey, quota: Quota, state: PeriodState, needs: Amounts) -> QuotaExceeded:
    """The refusal of a run: which bound, what is used of it, and when there is more."""
    ends_at = quota.ends_at(key.starts_at)
    resets = datetime.fromtimestamp(ends_at, UTC).isoformat()
    for (name, unit, scale), most, used, reserved, need in zip(RESOURCES, quota.most, state.used, state.reserved, needs, strict=True):
        if most < UNBOUNDED and used + reserved + need > most:
            text = (
                f"quota {name}: at most {most // scale} {unit} in a {key.period}; {_shown(used, scale)} are used and {_shown(reserved, scale)} "
                f"set aside for runs that go on, and this one may need {_shown(need, scale)}; more comes at {resets}"
            )
            return QuotaExceeded(text, retry_after_s=max(1, int(ends_at - time.time()) + 1))
    return QuotaExceeded("quota: what is left is set aside for other runs; try again later", retry_after_s=1)


def _shown(amount: int, scale: int) -> str:
    return str(amount) if scale == 1 else f"{amount / scale:.3f}"

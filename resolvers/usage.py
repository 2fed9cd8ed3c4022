"""What a caller used, and what is left of its quota."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from typing import Final

from sandql.core.amounts import UNBOUNDED
from sandql.core.errors import BadRequest
from sandql.core.permissions import Kind
from sandql.core.values import Caller, MiB
from sandql.resolvers.guard import guarded, guarded_stream
from sandql.sandboxes.borrow import Sandboxes
from sandql.store.usage_rows import Used, read_day
from sandql.usage.ledger import Ledger
from sandql.usage.quotas import RESOURCES

MAX_DAYS: Final = 366
_DEFAULT_DAYS: Final = 30


class UsageBy(StrEnum):
    """What usage is summed up by."""

    DAY = "DAY"
    PROVIDER = "PROVIDER"
    LANGUAGE = "LANGUAGE"


@dataclass(frozen=True, slots=True)
class UsageSum:
    """What was used of something, which `key` names."""

    key: str
    used: Used


@dataclass(frozen=True, slots=True)
class QuotaPart:
    """One bound of a quota, in the unit of its name; it begins anew at `resets_at`, a Unix time in seconds, or never."""

    resource: str
    limit: float
    used: float
    reserved: float
    resets_at: int | None


@guarded(Kind.QUERY)
async def find_usage(sandboxes: Sandboxes, caller: Caller, first: str | None, last: str | None, by: UsageBy) -> list[UsageSum]:
    """What the caller used from the day `first` to the day `last`, both included; the last 30 days without. Raises BadRequest."""
    last_day = _today() if last is None else _day("to", last)
    first_day = last_day - timedelta(days=min(_DEFAULT_DAYS - 1, last_day.toordinal() - 1)) if first is None else _day("from", first)
    if not 0 <= (last_day - first_day).days < MAX_DAYS:
        raise BadRequest(f"from, to: must be from 1 to {MAX_DAYS} days, got {first_day} to {last_day}")
    sums = await _ledger(sandboxes).sums(caller.subject, first_day.isoformat(), last_day.isoformat(), (by.lower(),))
    return [UsageSum(key, used) for (key,), used in sums]


@guarded(Kind.QUERY)
async def find_quota(sandboxes: Sandboxes, caller: Caller) -> list[QuotaPart]:
    """The bounds of the caller's quota; none for a plan without one."""
    state = await _ledger(sandboxes).quota_state(caller)
    if state is None:
        return []
    parts = [
        QuotaPart(name, most / scale, used / scale, reserved / scale, state.resets_at)
        for (name, _, scale), most, used, reserved in zip(RESOURCES, state.quota.most, state.used, state.reserved, strict=True)
        if most < UNBOUNDED
    ]
    storage = sandboxes.storage_of(caller)
    if storage is not None:
        used_bytes = await asyncio.to_thread(storage.used)
        parts.append(QuotaPart("maxStorageMB", storage.most_bytes / MiB, used_bytes / MiB, 0, None))
    return parts


@guarded_stream(Kind.QUERY)
async def watch_usage(sandboxes: Sandboxes, caller: Caller) -> AsyncGenerator[UsageSum]:
    """What the caller has used today, now and whenever it is counted anew, at most once a second."""
    async with aclosing(_ledger(sandboxes).watch(caller.subject)) as sums:
        async for day, used in sums:
            yield UsageSum(day, used)


def _ledger(sandboxes: Sandboxes) -> Ledger:
    if not isinstance(sandboxes.usage, Ledger):
        raise BadRequest("usage: nothing is counted here")
    return sandboxes.usage


def _today() -> date:
    return datetime.now(UTC).date()


def _day(name: str, text: str) -> date:
    try:
        return read_day(text)
    except ValueError:
        raise BadRequest(f"{name}: must be a date, as 2026-01-31, got {text[:40]!r}") from None

"""Plans: how much of what a caller may use in a day or a month, and keep."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, Final

from sandql.core.amounts import UNBOUNDED, Amounts
from sandql.core.settings import SettingsError
from sandql.core.values import MiB

DAY: Final = "day"
MONTH: Final = "month"
_DAY_S: Final = 86_400
_MOST: Final = 10**12  # of anything in a quota: with milliseconds for seconds it is still a number for a database
_NO_BOUND: Final = Amounts(UNBOUNDED, UNBOUNDED, UNBOUNDED)
_STORAGE: Final = "maxStorageMB"
_BOUNDS: Final = MappingProxyType({"maxExecutions": 1, "maxCpuSeconds": 1000, "maxMemoryMBSeconds": 1000})  # and how many of ours make one


@dataclass(frozen=True, slots=True)
class Quota:
    """The most that may be used in each period, which is a day or a month in UTC, and kept at any time; `UNBOUNDED` is no bound."""

    period: str
    most: Amounts
    storage_bytes: int = UNBOUNDED

    @property
    def bounds_runs(self) -> bool:
        """Whether anything has to be set aside for a run."""
        return self.most != _NO_BOUND

    def starts_at(self, now: float) -> int:
        """When the period of that time began, as a Unix time in seconds."""
        if self.period == DAY:
            return int(now // _DAY_S) * _DAY_S
        return int(datetime.fromtimestamp(now, UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0).timestamp())

    def ends_at(self, starts_at: int) -> int:
        """When the period that began then ends."""
        if self.period == DAY:
            return starts_at + _DAY_S
        begin = datetime.fromtimestamp(starts_at, UTC)
        return int(begin.replace(year=begin.year + begin.month // 12, month=begin.month % 12 + 1).timestamp())


BUILT_IN: Final[Mapping[str, Quota | None]] = MappingProxyType(
    {
        "free": Quota(DAY, Amounts(500, 50_000_000, 25_000_000_000)),
        "pro": Quota(MONTH, Amounts(100_000, 3_600_000_000, 1_800_000_000_000)),
        "enterprise": Quota(MONTH, Amounts(5_000_000, 50_000_000_000, 25_000_000_000_000)),
        "unlimited": None,
    }
)


def read_quotas(tables: Mapping[str, Mapping[str, Any]]) -> Mapping[str, Quota | None]:
    """The quota of each plan: those that come with sandql, and over them what `plans.NAME.quota` of the access file says.

    Raises:
        SettingsError: a table has something unknown, or a value out of its bound.
    """
    quotas = dict(BUILT_IN)
    for plan, table in tables.items():
        if table or plan not in quotas:
            quotas[plan] = _quota(f"plans.{plan}.quota", table)
    return MappingProxyType(quotas)


def _quota(name: str, table: Mapping[str, Any]) -> Quota | None:
    known = ("period", *_BOUNDS, _STORAGE)
    for key in table:
        if key not in known:
            raise SettingsError(f"SANDQL_ACCESS_FILE: {name}.{key} is not known; known are {', '.join(known)}")
    period = table.get("period", DAY)
    if period not in (DAY, MONTH):
        raise SettingsError(f"SANDQL_ACCESS_FILE: {name}.period must be {DAY!r} or {MONTH!r}, got {period!r}")
    amounts = Amounts(*(_bound(f"{name}.{key}", table.get(key), scale) for key, scale in _BOUNDS.items()))
    quota = Quota(period, amounts, _bound(f"{name}.{_STORAGE}", table.get(_STORAGE), MiB))
    return quota if quota.bounds_runs or quota.storage_bytes < UNBOUNDED else None


def _bound(name: str, value: object, scale: int) -> int:
    if value is None:
        return UNBOUNDED
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _MOST:
        raise SettingsError(f"SANDQL_ACCESS_FILE: {name} must be a whole number from 0 to {_MOST}, got {value!r}")
    return value * scale

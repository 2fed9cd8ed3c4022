"""Plans: how often their callers may do what, and how much they may run at one time."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

from limits import RateLimitItem, parse_many

from sandql.core.permissions import Kind
from sandql.core.settings import SettingsError

UNLIMITED: Final = "unlimited"

_CONCURRENCY: Final = "concurrency"
_MOST_RUNS: Final = 10_000
_MOST_OPERATIONS: Final = 1_000_000_000
_MOST_PERIOD_S: Final = 31 * 86_400
_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,64}\Z")
_KINDS: Final = {kind.lower(): kind for kind in Kind}


@dataclass(frozen=True, slots=True)
class Plan:
    """What callers of a plan have. A kind without a rate is not limited; `concurrency` is how many runs at one time, None for any number."""

    name: str
    rates: Mapping[Kind, RateLimitItem] = field(default_factory=lambda: MappingProxyType({}))
    concurrency: int | None = None


# A person who types into a terminal makes some ten operations a second, and an editor asks for the schema every few seconds: both are QUERY.
_BUILT_IN: Final[Mapping[str, Mapping[str, Any]]] = {
    "free": {"execute": "100/15 minutes", "files": "500/15 minutes", "sandbox": "50/15 minutes", "query": "1500/minute", _CONCURRENCY: 4},
    "pro": {"execute": "1000/15 minutes", "files": "5000/15 minutes", "sandbox": "500/15 minutes", "query": "6000/minute", _CONCURRENCY: 16},
    "enterprise": {
        "execute": "10000/15 minutes",
        "files": "50000/15 minutes",
        "sandbox": "5000/15 minutes",
        "query": "30000/minute",
        _CONCURRENCY: 64,
    },
    UNLIMITED: {},
}


def read_plans(written: Mapping[str, Mapping[str, Any]]) -> Mapping[str, Plan]:
    """The plans that come with sandql, and those of the access file: a built-in plan keeps what the file does not name.

    Raises:
        SettingsError: a name or a key is not taken, or a value is no rate or out of its bound.
    """
    names = [*_BUILT_IN, *(name for name in written if name not in _BUILT_IN)]
    return {name: _plan(name, {**_BUILT_IN.get(name, {}), **written.get(name, {})}) for name in names}


def _plan(name: str, table: Mapping[str, Any]) -> Plan:
    if not _NAME.match(name):
        raise SettingsError(f"SANDQL_ACCESS_FILE: plans.{name[:64]!r} must be 1 to 64 letters, digits, _ and -")
    rates: dict[Kind, RateLimitItem] = {}
    concurrency: int | None = None
    for key, value in table.items():
        where = f"SANDQL_ACCESS_FILE: plans.{name}.rates.{key}"
        if key == _CONCURRENCY:
            if type(value) is not int or not 1 <= value <= _MOST_RUNS:
                raise SettingsError(f"{where} must be a whole number from 1 to {_MOST_RUNS}, got {value!r}")
            concurrency = value
        elif key in _KINDS:
            rates[_KINDS[key]] = read_rate(where, value)
        else:
            raise SettingsError(f"{where} is not known; known are {', '.join([*_KINDS, _CONCURRENCY])}")
    return Plan(name, rates, concurrency)


def read_rate(where: str, value: object) -> RateLimitItem:
    """One rate, in the notation of the library `limits`. Raises SettingsError, which says where it was written."""
    expected = 'must be one rate such as "100/15 minutes"'
    if not isinstance(value, str):
        raise SettingsError(f"{where} {expected}, got {value!r}")
    try:
        found = parse_many(value)
    except ValueError:
        found = []
    if len(found) != 1:
        raise SettingsError(f"{where} {expected}, got {value!r}")
    rate = found[0]
    if not (1 <= rate.amount <= _MOST_OPERATIONS and 1 <= rate.get_expiry() <= _MOST_PERIOD_S):
        raise SettingsError(f"{where} must be 1 to {_MOST_OPERATIONS} in 1 second to {_MOST_PERIOD_S // 86_400} days, got {value!r}")
    return rate

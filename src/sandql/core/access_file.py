"""The TOML file in which an operator writes roles and plans; each room reads its own tables of it."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from sandql.core.settings import SettingsError

_SETTING = "SANDQL_ACCESS_FILE"


@dataclass(frozen=True, slots=True)
class AccessFile:
    """Tables by name, as they are written: `roles.NAME`, and of a plan `plans.NAME.rates` and `plans.NAME.quota`."""

    roles: Mapping[str, Mapping[str, Any]]
    rates: Mapping[str, Mapping[str, Any]]
    quotas: Mapping[str, Mapping[str, Any]]


def read_access_file(path: Path | None) -> AccessFile:
    """What the file says; nothing for None. What stands in the tables is not checked here.

    Raises:
        SettingsError: it cannot be read, or has a table that nobody knows.
    """
    if path is None:
        return AccessFile({}, {}, {})
    try:
        written = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise SettingsError(f"{_SETTING}: {str(path)!r} cannot be read: {reason}") from None
    _refuse_others(written, {"roles", "plans"}, "")
    roles = _tables(written.get("roles", {}), "roles")
    plans = _tables(written.get("plans", {}), "plans")
    for name, plan in plans.items():
        _refuse_others(plan, {"rates", "quota"}, f"plans.{name}.")
    rates = {name: _table(plan.get("rates", {}), f"plans.{name}.rates") for name, plan in plans.items()}
    quotas = {name: _table(plan.get("quota", {}), f"plans.{name}.quota") for name, plan in plans.items()}
    return AccessFile(roles, rates, quotas)


def _table(value: object, name: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise SettingsError(f"{_SETTING}: {name} must be a table, got {value!r}")
    return cast("dict[str, Any]", value)


def _tables(value: object, name: str) -> dict[str, Mapping[str, Any]]:
    return {key: _table(table, f"{name}.{key}") for key, table in _table(value, name).items()}


def _refuse_others(table: Mapping[str, Any], known: set[str], prefix: str) -> None:
    for name in table:
        if name not in known:
            raise SettingsError(f"{_SETTING}: {prefix}{name} is not known; known are {', '.join(sorted(known))}")

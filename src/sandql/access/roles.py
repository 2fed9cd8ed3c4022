"""Roles: what a caller may do, by the name of its role. Three come with sandql; an operator writes others as `[roles.NAME]`."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final, cast

from sandql.core.permissions import EVERYTHING, Permission, Permissions, ResourceLimits
from sandql.core.settings import SettingsError
from sandql.core.values import MiB

BUILT_IN: Final = MappingProxyType(
    {
        "viewer": Permissions(),
        "developer": Permissions(frozenset({Permission.EXECUTE_CODE, Permission.ACCESS_FILES, Permission.CREATE_SANDBOX}), network=True),
        "admin": EVERYTHING,
    }
)

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")
_LISTED: Final = re.compile(r"[a-z][a-z0-9._+#-]{0,63}\Z")
_MOST_LISTED: Final = 100
_SWITCHES: Final = {
    "canExecuteCode": Permission.EXECUTE_CODE,
    "canAccessFiles": Permission.ACCESS_FILES,
    "canCreateSandbox": Permission.CREATE_SANDBOX,
    "canAdminister": Permission.ADMINISTER,
}
_KEYS: Final = (*_SWITCHES, "allowedProviders", "allowedLanguages", "network", "resourceLimits")


class Roles:
    """The roles that there are."""

    def __init__(self, written: Mapping[str, Mapping[str, Any]] = MappingProxyType({})) -> None:
        """Take the roles of the access file; one with the name of a role that comes with sandql takes its place.

        Raises:
            SettingsError: a role has a key that is unknown, or a value that is not acceptable.
        """
        self._roles = {**BUILT_IN, **{name: _read_role(name, table) for name, table in written.items()}}

    def permissions_of(self, role: str) -> Permissions | None:
        """What a role may do; None where there is no such role, and then its caller may do nothing."""
        return self._roles.get(role)

    @property
    def names(self) -> list[str]:
        """The roles' names, sorted."""
        return sorted(self._roles)


def _read_role(name: str, table: Mapping[str, Any]) -> Permissions:
    where = f"roles.{name}"
    if not _NAME.match(name):
        raise _wrong(where, f"a name must match {_NAME.pattern[:-2]}", name)
    _refuse_others(table, _KEYS, where)
    return Permissions(
        allowed=frozenset(permission for key, permission in _SWITCHES.items() if _switch(table, key, where)),
        providers=_listed(table, "allowedProviders", where),
        languages=_listed(table, "allowedLanguages", where),
        network=_switch(table, "network", where),
        limits=_read_limits(table.get("resourceLimits", {}), f"{where}.resourceLimits"),
    )


def _switch(table: Mapping[str, Any], key: str, where: str) -> bool:
    value = table.get(key, False)
    if not isinstance(value, bool):
        raise _wrong(f"{where}.{key}", "must be true or false", value)
    return value


def _listed(table: Mapping[str, Any], key: str, where: str) -> frozenset[str] | None:
    if key not in table:
        return None
    value: object = table[key]
    items = cast("list[object]", value) if isinstance(value, list) else None
    if items is None or len(items) > _MOST_LISTED:
        raise _wrong(f"{where}.{key}", f"must be a list of at most {_MOST_LISTED} names", table[key])
    names: list[str] = []
    for item in items:
        if not isinstance(item, str) or not _LISTED.match(item):
            raise _wrong(f"{where}.{key}", f"each must match {_LISTED.pattern[:-2]}", item)
        names.append(item)
    return frozenset(names)


def _read_limits(table: object, where: str) -> ResourceLimits:
    if not isinstance(table, dict):
        raise _wrong(where, "must be a table", table)
    limits = cast("dict[str, Any]", table)
    _refuse_others(limits, tuple(_LIMITS), where)
    return ResourceLimits(**{field: read(f"{where}.{key}", limits[key]) for key, (field, read) in _LIMITS.items() if key in limits})


def _whole(low: int, high: int, unit: int = 1) -> Callable[[str, object], int]:
    def read(where: str, value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise _wrong(where, f"must be a whole number from {low} to {high}", value)
        return value * unit

    return read


def _cores(where: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0.01 <= value <= 1024:
        raise _wrong(where, "must be a number from 0.01 to 1024", value)
    return float(value)


_LIMITS: Final[Mapping[str, tuple[str, Callable[[str, object], Any]]]] = {
    "maxCpuCores": ("cpu_cores", _cores),
    "maxMemoryMB": ("memory_bytes", _whole(16, 65_536, MiB)),
    "maxExecutionTime": ("wall_ms", _whole(1, 3_600_000)),
    "maxProcesses": ("processes", _whole(1, 4096)),
    "maxOpenFiles": ("open_files", _whole(16, 65_536)),
    "maxWorkspaceMB": ("workspace_bytes", _whole(1, 65_536, MiB)),
    "maxOutputBytes": ("output_bytes", _whole(0, 64 * MiB)),
}


def _refuse_others(table: Mapping[str, Any], known: tuple[str, ...], where: str) -> None:
    for key in table:
        if key not in known:
            raise SettingsError(f"SANDQL_ACCESS_FILE: {where}.{key} is not known; known are {', '.join(known)}")


def _wrong(where: str, bound: str, value: object) -> SettingsError:
    return SettingsError(f"SANDQL_ACCESS_FILE: {where}: {bound}, got {str(value)[:100]!r}")

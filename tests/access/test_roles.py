"""Roles: what comes with sandql, and what an operator writes."""

from __future__ import annotations

from pathlib import Path

import pytest

from sandql.access.roles import Roles
from sandql.core.access_file import read_access_file
from sandql.core.permissions import EVERYTHING, Permission, Permissions, ResourceLimits
from sandql.core.settings import SettingsError
from sandql.core.values import MiB


def _roles(tmp_path: Path, text: str) -> Roles:
    file = tmp_path / "access.toml"
    file.write_text(text)
    return Roles(read_access_file(file).roles)


def test_three_roles_come_with_it() -> None:
    roles = Roles()
    assert roles.names == ["admin", "developer", "viewer"]
    assert roles.permissions_of("viewer") == Permissions()
    developer = roles.permissions_of("developer")
    assert developer is not None
    assert developer.allowed == {Permission.EXECUTE_CODE, Permission.ACCESS_FILES, Permission.CREATE_SANDBOX}
    assert roles.permissions_of("admin") == EVERYTHING
    assert roles.permissions_of("Admin") is None
    assert roles.permissions_of("") is None


def test_what_is_left_out_is_not_granted(tmp_path: Path) -> None:
    assert _roles(tmp_path, "[roles.nobody]").permissions_of("nobody") == Permissions()


def test_a_role_has_what_is_written(tmp_path: Path) -> None:
    roles = _roles(
        tmp_path,
        """
        [roles.student]
        canExecuteCode = true
        allowedProviders = ["local"]
        allowedLanguages = ["python", "command"]
        [roles.student.resourceLimits]
        maxCpuCores = 0.5
        maxMemoryMB = 64
        maxExecutionTime = 5000
        maxProcesses = 8
        maxOpenFiles = 32
        maxWorkspaceMB = 10
        maxOutputBytes = 1000
        [roles.mute]
        allowedProviders = []
        """,
    )
    assert roles.permissions_of("student") == Permissions(
        frozenset({Permission.EXECUTE_CODE}),
        frozenset({"local"}),
        frozenset({"python", "command"}),
        limits=ResourceLimits(0.5, 64 * MiB, 5000, 8, 32, 10 * MiB, 1000),
    )
    assert roles.permissions_of("mute") == Permissions(providers=frozenset())


def test_an_own_role_takes_the_place_of_one_that_comes_with_it(tmp_path: Path) -> None:
    assert _roles(tmp_path, "[roles.developer]\ncanExecuteCode = true").permissions_of("developer") == Permissions(
        frozenset({Permission.EXECUTE_CODE})
    )


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ("canExecute = true", "roles.a.canExecute is not known"),
        ("canExecuteCode = 1", "roles.a.canExecuteCode: must be true or false, got '1'"),
        ('canAdminister = "false"', "roles.a.canAdminister"),
        ('allowedProviders = "local"', "roles.a.allowedProviders: must be a list"),
        ('allowedLanguages = ["Python"]', "roles.a.allowedLanguages: each must match"),
        ("allowedLanguages = [1]", "roles.a.allowedLanguages"),
        ("resourceLimits = 3", "roles.a.resourceLimits: must be a table"),
        ("resourceLimits.maxRam = 3", "roles.a.resourceLimits.maxRam is not known"),
        ("resourceLimits.maxMemoryMB = 15", "roles.a.resourceLimits.maxMemoryMB: must be a whole number from 16 to 65536, got '15'"),
        ("resourceLimits.maxMemoryMB = true", "roles.a.resourceLimits.maxMemoryMB"),
        ("resourceLimits.maxExecutionTime = 1.5", "roles.a.resourceLimits.maxExecutionTime"),
        ("resourceLimits.maxProcesses = 0", "roles.a.resourceLimits.maxProcesses"),
        ("resourceLimits.maxCpuCores = 0", "roles.a.resourceLimits.maxCpuCores: must be a number from 0.01"),
        ("resourceLimits.maxCpuCores = nan", "roles.a.resourceLimits.maxCpuCores"),
    ],
)
def test_what_is_not_acceptable_is_named(tmp_path: Path, line: str, named: str) -> None:
    with pytest.raises(SettingsError) as caught:
        _roles(tmp_path, f"[roles.a]\n{line}")
    assert named in str(caught.value)


def test_a_name_that_is_not_acceptable_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="a name must match"):
        _roles(tmp_path, '[roles."a b"]')

"""What a role grants of languages and limits: more is refused where it was asked for, and lessened where it was not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sandql.core.errors import BadRequest, Forbidden
from sandql.core.permissions import EVERYTHING, ResourceLimits
from sandql.core.settings import load_settings
from sandql.core.values import Caller, MiB
from sandql.resolvers.bounds import check_limits
from sandql.resolvers.operations import AskedLimits, ExecuteCode, RunCommand
from tests.resolvers.asking import check

_LIMITS = ResourceLimits(0.5, 64 * MiB, 2_000, 8, 32, 10 * MiB, 1_000)
_STUDENT = Caller("s", "student", permissions=replace(EVERYTHING, limits=_LIMITS))
_PYTHON = Caller("s", "student", permissions=replace(EVERYTHING, languages=frozenset({"python"})))
_COMMAND = Caller("s", "student", permissions=replace(EVERYTHING, languages=frozenset({"command"})))


def test_what_is_not_asked_for_is_lessened() -> None:
    limits = check(ExecuteCode("", "python"), caller=_STUDENT).limits
    assert (limits.wall_ms, limits.cpu_ms, limits.memory_bytes, limits.processes) == (2_000, 1_000, 64 * MiB, 8)
    assert (limits.open_files, limits.workspace_bytes, limits.output_bytes) == (32, 10 * MiB, 1_000)


@pytest.mark.parametrize(
    ("asked", "timeout_ms", "named"),
    [
        (AskedLimits(memory_bytes=64 * MiB + 1), None, f"limits.memory: the role 'student' grants at most {64 * MiB}, got {64 * MiB + 1}"),
        (AskedLimits(memory_bytes=2**62), None, f"limits.memory: the role 'student' grants at most {64 * MiB}, got {2**62}"),
        (None, 2**62, f"timeout: the role 'student' grants at most 2000, got {2**62}"),
        (AskedLimits(processes=9), None, "limits.processes"),
        (AskedLimits(open_files=33), None, "limits.openFiles"),
        (AskedLimits(workspace_bytes=10 * MiB + 1), None, "limits.workspaceBytes"),
        (AskedLimits(output_bytes=1_001), None, "limits.outputBytes"),
        (None, 2_001, "timeout: the role 'student' grants at most 2000, got 2001"),
        (AskedLimits(cpu_ms=501), 1_000, "limits.cpuTime: the role 'student' grants at most 500, got 501"),
    ],
)
def test_more_than_is_granted_is_forbidden_with_the_bound(asked: AskedLimits | None, timeout_ms: int | None, named: str) -> None:
    with pytest.raises(Forbidden) as caught:
        check(ExecuteCode("", "python", limits=asked, timeout_ms=timeout_ms), caller=_STUDENT)
    assert named in str(caught.value)


def test_as_much_as_is_granted_is_not_forbidden() -> None:
    asked = AskedLimits(500, 64 * MiB, 8, 32, 10 * MiB, None, 1_000)
    assert check(ExecuteCode("", "python", limits=asked, timeout_ms=1_000), caller=_STUDENT).limits.cpu_ms == 500


def test_a_role_raises_no_bound_of_the_server() -> None:
    wide = Caller(permissions=replace(EVERYTHING, limits=ResourceLimits(memory_bytes=64 * 1024 * MiB)))
    assert check(ExecuteCode("", "python"), caller=wide).limits.memory_bytes == load_settings().memory_bytes
    with pytest.raises(BadRequest):
        check(ExecuteCode("", "python", limits=AskedLimits(memory_bytes=load_settings().memory_bytes + 1)), caller=wide)


def test_a_sandbox_made_with_wider_limits_is_lessened_when_it_is_used() -> None:
    settings = load_settings()
    wide = check_limits(Caller(), None, None, settings, of_sandbox=True)
    limits = check_limits(_STUDENT, None, None, settings, wide)
    assert (limits.memory_bytes, limits.cpu_ms, limits.processes) == (64 * MiB, 1_000, 8)


def test_a_language_that_is_not_granted_is_forbidden() -> None:
    assert check(ExecuteCode("", "py"), caller=_PYTHON).language == "python"
    with pytest.raises(Forbidden, match=r"language: the role 'student' does not grant 'bash'; it grants: python"):
        check(ExecuteCode("", "SH"), caller=_PYTHON)


def test_commands_are_granted_by_name() -> None:
    with pytest.raises(Forbidden, match="'command'"):
        check(RunCommand(line="python"), caller=_PYTHON)
    assert check(RunCommand(line="ls"), caller=_COMMAND).language == "command"

"""What `sandql doctor` finds on this host, and what it would say of others."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from sandql.core.settings import load_settings
from sandql.providers.local import findings, mends
from sandql.providers.local.doctor import examine

pytestmark = pytest.mark.unprivileged

_QUICK_S = 6.0  # three on a machine that does nothing else


def test_a_host_that_runs_code_is_well(tmp_path: Path) -> None:
    began = time.monotonic()
    found = examine(load_settings(state_dir=tmp_path))
    assert time.monotonic() - began < _QUICK_S
    bad = [finding for finding in found if finding.required and not finding.ok]
    assert not bad
    names = [finding.name for finding in found]
    assert len(set(names)) == len(names)
    assert names[-1] == "a run of print(1)"
    assert "isolation" in found[-1].detail
    assert "python 3." in next(finding.detail for finding in found if finding.name == "languages")
    assert list(tmp_path.iterdir()) == [], "the doctor changed the state folder"


def test_a_state_folder_that_cannot_be_used_is_named() -> None:
    found = findings.look_at_host(load_settings(state_dir=Path("/dev/null/state")))
    state = next(finding for finding in found if finding.name == "state folder")
    assert not state.ok
    assert "/dev/null" in state.detail
    assert "SANDQL_STATE_DIR" in state.mend


@pytest.fixture
def sysctl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A /proc/sys of the test's own."""
    monkeypatch.setattr(mends, "_SYSCTL", str(tmp_path))
    (tmp_path / "kernel").mkdir()
    (tmp_path / "user").mkdir()
    (tmp_path / "user" / "max_user_namespaces").write_text("15000\n")
    return tmp_path


@pytest.mark.parametrize(
    ("name", "value", "is_root", "says"),
    [
        ("user/max_user_namespaces", "0", True, "sysctl -w user.max_user_namespaces=15000"),
        ("user/max_user_namespaces", "0", False, "sysctl -w user.max_user_namespaces=15000"),
        ("kernel/unprivileged_userns_clone", "0", False, "sysctl -w kernel.unprivileged_userns_clone=1"),
        ("kernel/apparmor_restrict_unprivileged_userns", "1", False, "sysctl -w kernel.apparmor_restrict_unprivileged_userns=0"),
        ("kernel/apparmor_restrict_unprivileged_userns", "1", False, "flags=(unconfined) { userns, }"),
        ("kernel/apparmor_restrict_unprivileged_userns", "1", True, "--cap-add SYS_ADMIN"),
        ("kernel/apparmor_restrict_unprivileged_userns", "0", False, "--security-opt seccomp=unconfined"),
    ],
)
def test_the_mend_of_user_namespaces_is_the_one_for_what_forbids_them(sysctl: Path, name: str, value: str, is_root: bool, says: str) -> None:
    (sysctl / name).write_text(value + "\n")
    assert says in mends.of_user_namespaces(is_root)


def test_the_apparmor_mend_names_the_interpreter_itself(sysctl: Path) -> None:
    import sys

    (sysctl / "kernel/apparmor_restrict_unprivileged_userns").write_text("1")
    assert os.path.realpath(sys.executable) in mends.of_namespaces(is_root=False)


def test_the_mend_of_memory_groups_differs_for_root() -> None:
    assert mends.of_memory_groups(is_root=True) != mends.of_memory_groups(is_root=False)


@pytest.mark.parametrize(
    ("pattern", "hard", "is_root", "safe"),
    [
        ("|/apport", 0, False, False),
        ("|/apport", 0, True, True),
        ("|handler", 1, False, True),
        ("core", 0, False, True),
    ],
)
def test_a_handler_of_cores_that_crashes_would_start_is_found(
    monkeypatch: pytest.MonkeyPatch, pattern: str, hard: int, *, is_root: bool, safe: bool
) -> None:
    """Played: what the kernel does with cores is one setting for the whole host."""
    monkeypatch.setattr(findings, "_text", lambda _path: pattern)  # pyright: ignore[reportUnknownLambdaType, reportUnknownArgumentType]
    monkeypatch.setattr(findings.resource, "getrlimit", lambda _kind: (0, hard))  # pyright: ignore[reportUnknownLambdaType, reportUnknownArgumentType]
    assert findings._cores(is_root).ok is safe  # pyright: ignore[reportPrivateUsage]  # a whole examination would ask the kernel

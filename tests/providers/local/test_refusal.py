"""Where the host cannot isolate, nothing is run, and the mend is named."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from typing import Any

import pytest


def _in_chroot() -> bool:
    """Whether / is no mount: then the kernel makes no user namespace, for root neither. A host that makes none for other reasons fails all tests."""
    return os.geteuid() == 0 and subprocess.run(["unshare", "--user", "true"], capture_output=True, check=False).returncode != 0


pytestmark = [
    pytest.mark.unprivileged,
    pytest.mark.skipif(_in_chroot(), reason="in a chroot the kernel makes no user namespace; these run where / is a mount"),
]

_UID = 61_234  # nobody's
_ASK = """
import asyncio, json, sys
from pathlib import Path
from tempfile import TemporaryDirectory
from sandql.core.errors import SandqlError
from sandql.core.settings import load_settings
from sandql.core.values import RunRequest
from sandql.providers.local.doctor import examine
from sandql.providers.registry import make_provider

async def ask(folder):
    provider = make_provider("local", load_settings(state_dir=Path(folder), pool_size=1, node_pool_size=0, program_pool_size=0))
    try:
        await provider.start()
        health, isolation = provider.health(), provider.isolation()
        said = {"available": health.available, "detail": health.detail, "level": isolation.level, "namespaces": len(isolation.namespaces)}
        for home in (None, "alice"):
            try:
                async with provider.fresh() if home is None else provider.home(home) as sandbox:
                    done = await sandbox.run(RunRequest("bash", b"id -u; touch /var/tmp/sandql-escaped"))
                said["ran"] = done.stdout.decode()
            except SandqlError as error:
                said.setdefault("refusals", []).append([error.code, error.message])
        return said
    finally:
        await provider.aclose()

import structlog
structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
with TemporaryDirectory(dir="/var/tmp") as folder:
    said = asyncio.run(ask(folder))
    if "doctor" in sys.argv:
        said["findings"] = [[f.name, f.ok, f.detail, f.mend, f.required] for f in examine(load_settings(state_dir=Path(folder)))]
print(json.dumps(said))
"""


def _ask(*around: str, doctor: bool = False) -> dict[str, Any]:
    """Start a provider inside of what the command `around` makes, and try to run a program."""
    environment = {"PATH": os.environ["PATH"], "HOME": "/", "PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [*around, sys.executable, "-c", _ASK, *(["doctor"] if doctor else [])],
        capture_output=True,
        text=True,
        timeout=60,
        env=environment,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def _ordinary() -> list[str]:
    """What makes root an ordinary user."""
    if os.geteuid() != 0:
        return []
    become = ["setpriv", f"--reuid={_UID}", f"--regid={_UID}", "--clear-groups"]
    if subprocess.run([*become, sys.executable, "-c", "import sandql"], capture_output=True, cwd="/", check=False).returncode:
        pytest.skip("this checkout or its interpreter lies where only root may enter; as an ordinary user this is run by CI")
    return become


@pytest.fixture(autouse=True)
def tools() -> None:
    """These are everywhere where the server can run."""
    assert shutil.which("unshare"), "unshare (util-linux) is needed"
    assert shutil.which("setpriv"), "setpriv (util-linux) is needed"


def _assert_refused(said: dict[str, Any], *words: str) -> None:
    assert "ran" not in said
    assert (said["available"], said["level"], said["namespaces"]) == (False, "none", 0)
    assert [code for code, _ in said["refusals"]] == ["PROVIDER_UNAVAILABLE"] * 2
    for text in (said["detail"], *(message for _, message in said["refusals"])):
        assert all(word in text for word in words), text
    assert not os.path.exists("/var/tmp/sandql-escaped")


def test_without_user_namespaces_it_runs_nothing_and_names_the_mend() -> None:
    said = _ask(*_ordinary(), "unshare", "-Ur", "sh", "-c", 'echo 0 > /proc/sys/user/max_user_namespaces; exec "$0" "$@"', doctor=True)
    _assert_refused(said, "user namespaces", "sysctl -w user.max_user_namespaces=")
    findings = {name: (ok, detail, mend, required) for name, ok, detail, mend, required in said["findings"]}
    assert not findings["user namespaces"][0]
    assert "sysctl -w user.max_user_namespaces=" in findings["user namespaces"][2]
    assert findings["seccomp filter"][0]
    last = said["findings"][-1]
    assert last[0] == "a run of print(1)"
    assert not last[1]
    assert "user namespaces" in last[3]


def test_in_a_container_that_masks_proc_it_runs_nothing_and_names_the_mend() -> None:
    """A mount over a part of /proc, as container engines make it, forbids to mount another."""
    script = 'mount -t tmpfs none /proc/acpi 2>/dev/null || mount -t tmpfs none /proc/tty; exec setpriv --no-new-privs "$0" "$@"'
    said = _ask(*_ordinary(), "unshare", "-Urmpf", "--mount-proc", "sh", "-c", script, doctor=True)
    _assert_refused(said, "own /proc", "systempaths=unconfined")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root is root outside of a namespace")
def test_as_root_of_a_namespace_that_is_root_outside_it_runs_nothing() -> None:
    said = _ask("unshare", "-Ur")
    _assert_refused(said, "root of the host")


def test_as_root_of_an_ordinary_users_namespace_it_runs_as_that_user() -> None:
    said = _ask(*_ordinary(), "unshare", "-Ur")
    assert said["available"], said["detail"]
    assert said["level"] == "reduced"
    assert said["ran"] == "1000\n"
    assert not os.path.exists("/var/tmp/sandql-escaped")


@pytest.mark.skipif(os.geteuid() != 0, reason="an ordinary user's turn is the other tests' run as one")
def test_as_an_ordinary_user_it_runs_with_what_is_there_and_says_so() -> None:
    said = _ask(*_ordinary(), doctor=True)
    assert said["available"], said["detail"]
    assert said["ran"] == "1000\n"
    findings = {name: ok for name, ok, *_ in said["findings"]}
    assert said["level"] == ("full" if findings["memory cgroup"] and findings["Landlock"] else "reduced")
    assert findings["a run of print(1)"]

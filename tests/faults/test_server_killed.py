"""`kill -9` of the whole server under load: nothing is left of it after the next start, and what was acknowledged is there."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from sandql.core.values import FileType, MiB
from tests.faults.server import content_of
from tests.support.engine import alive, cgroup_folders, descendants, identity, open_provider, run, supervisor_of, until

pytestmark = pytest.mark.unprivileged

_TIMES = 20
_ROOT = str(Path(__file__).parents[2])


def _start(state_dir: Path, prefix: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([_ROOT, *sys.path])}
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.faults.server", str(state_dir), prefix], stdout=subprocess.PIPE, text=True, env=environment, cwd=_ROOT
    )
    assert process.stdout is not None
    for line in process.stdout:
        if line == "ready\n":
            return process
    raise AssertionError(f"the server ended with {process.wait()} before it was ready")


def _take_acks(process: subprocess.Popen[str], most: int) -> list[str]:
    """The names of that many files more that were acknowledged."""
    assert process.stdout is not None
    names: list[str] = []
    for line in process.stdout:
        if line.startswith("ack ") and line.endswith("\n"):
            names.append(line.split()[1])
            if len(names) == most:
                break
    return names


def _names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def _assert_nothing_left(state_dir: Path) -> None:
    assert str(state_dir) not in Path("/proc/self/mountinfo").read_text()
    assert _names(state_dir) == {"homes", "run"}
    assert not _names(state_dir / "run")
    sockets = [path for path in state_dir.rglob("*") if path.is_socket()]
    assert not sockets


async def test_kill() -> None:
    with tempfile.TemporaryDirectory(prefix="sandql-killed-", dir="/var/tmp") as folder:
        state_dir = Path(folder)
        acknowledged: set[str] = set()
        servers: list[int] = []
        for number in range(_TIMES):
            process = _start(state_dir, f"round{number}")
            servers.append(process.pid)
            acknowledged |= set(_take_acks(process, 3))
            members = {identity(pid) for pid in descendants(process.pid)}
            victims = [process.pid]
            if number % 2:  # nobody is left to clean up
                victims.append(supervisor_of(process.pid))
            for pid in victims:
                os.kill(pid, signal.SIGKILL)
            acknowledged |= set(_take_acks(process, 1_000_000))
            process.communicate()
            assert await until(lambda members=members: not alive(members)), f"processes are left: {alive(members)}"
        async with open_provider(state_dir=state_dir, pool_size=1, node_pool_size=0, program_pool_size=0) as provider:
            assert (await run(provider, "print(1)")).stdout == b"1\n"
            left = {path for pid in servers for path in cgroup_folders(pid)}
            assert not left, f"control groups are left: {left}"
            assert len(_names(state_dir / "run")) == 1, "run folders are left"
            async with provider.home("writer") as sandbox:
                for name in acknowledged:
                    assert await sandbox.files.read(name, max_bytes=MiB) == content_of(name)
                entries = await sandbox.files.list("", recursive=True)
            assert {entry.type for entry in entries} == {FileType.FILE}
            for entry in entries:
                assert entry.size == len(content_of(entry.name)), f"{entry.name} is half written"
        _assert_nothing_left(state_dir)

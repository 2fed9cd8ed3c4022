"""A started provider on a planted host, and how well it is."""

from __future__ import annotations

import asyncio
import ctypes
import json
import os
import sys
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from sandql.core.settings import load_settings
from sandql.core.values import Execution, Limits, MiB, Outcome, RunRequest
from sandql.providers.base import Provider
from sandql.providers.registry import make_provider
from tests.attacks.host import Host, planted
from tests.support.engine import status_of

PROMPT_S = 3.0  # what a well house needs for `print(1)` at the very most, on a busy machine
_PR_SET_CHILD_SUBREAPER = 36
_CANARY = b"""
import json, os
def names(folder):
    try:
        return sorted(os.listdir(folder))
    except OSError as error:
        return error.strerror
def lines(path):
    try:
        with open(path) as file:
            return len(file.readlines())
    except OSError as error:
        return error.strerror
print(json.dumps({
    "one": 1,
    "files": {folder: names(folder) for folder in ("/", "/tmp", "/dev/shm", "/workspace", "/var/tmp", "/dev", "/dev/pts", "/dev/mqueue")},
    "processes": len(names("/proc")) - len([name for name in names("/proc") if not name.isdigit()]),
    "sockets": lines("/proc/net/unix"),
    "ipc": [lines("/proc/sysvipc/" + kind) for kind in ("shm", "msg", "sem")],
    "environment": sorted(os.environ),
    "hostname": os.uname().nodename,
    "umask": os.umask(0),
    "directory": os.getcwd(),
}))
"""


@dataclass(slots=True)
class House:
    """A provider, the host it runs on, and what a clean sandbox saw before the first attack."""

    provider: Provider
    host: Host
    clean: dict[str, object] = field(default_factory=dict[str, object])
    nice: dict[int, int] = field(default_factory=dict[int, int])

    async def canary(self) -> dict[str, object]:
        """What a program in a fresh sandbox sees. Fails when it does not run well and promptly."""
        began = time.monotonic()
        async with self.provider.fresh() as sandbox:
            execution = await asyncio.wait_for(sandbox.run(RunRequest("python", _CANARY, limits=Limits(wall_ms=5000))), 20)
        elapsed = time.monotonic() - began
        assert execution.outcome is Outcome.COMPLETED, f"the run after the attack ended as {execution.outcome}: {execution.stderr.decode()}"
        assert execution.stderr == b""
        assert elapsed < PROMPT_S, f"the run after the attack took {elapsed:.1f} s"
        return json.loads(execution.stdout)

    async def assert_well(self) -> None:
        """After an attack: the next run is prompt and sees nothing of it, the host is as it was, and no process has lost its priority."""
        assert await self.canary() == self.clean
        assert self.host.changes() == []
        ours = os.getpriority(os.PRIO_PROCESS, 0)  # which a process that was made since has from its parents
        slowed = {pid: value for pid, value in _nice_values().items() if value > self.nice.get(pid, ours)}
        assert not slowed, f"processes of the house were slowed down: {slowed}"

    def assert_unseen(self, execution: Execution) -> None:
        """Nothing that came out of a run holds a secret of the host."""
        outputs = [execution.stdout, execution.stderr, *(artifact.content for artifact in execution.artifacts)]
        for secret in self.host.secrets:
            assert not any(secret in output for output in outputs), f"a run of the attack brought out {secret.decode()}"


@asynccontextmanager
async def open_house(**settings: object) -> AsyncGenerator[House]:
    """Plant a host, start the provider in it, and take both away again; then nothing of them may be left.

    The end asserts: no child process of any depth, no mount, no cgroup, no folder besides the homes.
    """
    # Whatever a crash of a helper leaves behind becomes a child of this process, so that it can be counted.
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    with planted() as host:
        before = _children()
        mounts, groups = _mounts(host), _groups()
        provider = make_provider("local", load_settings(state_dir=host.state_dir, workspace_bytes=256 * MiB, **settings))
        try:
            await provider.start()
            house = House(provider, host)
            house.clean = await house.canary()
            house.nice = _nice_values()
            yield house
        finally:
            await provider.aclose()
        assert await _gone(lambda: _children() - before), f"processes are left: {_describe(_children() - before)}"
        assert await _gone(lambda: _mounts(host) - mounts), f"mounts are left: {_mounts(host) - mounts}"
        assert await _gone(lambda: _groups() - groups), f"cgroups are left: {_groups() - groups}"
        left = [path for path in host.state_dir.iterdir() if path.is_dir() and path.name != "homes"]
        assert not [path for folder in left for path in folder.iterdir()], f"folders are left in {left}"
        assert host.changes() == []
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)  # the other tests' orphans are not ours


async def _gone(what: object) -> bool:
    """Whether it becomes empty within some seconds: the kernel takes its time with what was killed."""
    assert callable(what)
    until = time.monotonic() + 5
    while what():
        if time.monotonic() > until:
            return False
        await asyncio.sleep(0.02)
    return True


def _children() -> set[int]:
    """Every descendant of this process that is alive or a zombie."""
    parents: dict[int, int] = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                stat = Path(f"/proc/{name}/stat").read_text()
            except OSError:
                continue
            parents[int(name)] = int(stat.rpartition(")")[2].split()[1])
    found: set[int] = set()
    fresh = {os.getpid()}
    while fresh:
        fresh = {pid for pid, parent in parents.items() if parent in fresh}
        found |= fresh
    return found


def _describe(pids: set[int]) -> dict[int, str]:
    """What these are: a command and a state. `ps` is not on every machine."""
    return {pid: f"{status.get('Name')}, {status.get('State')}, child of {status.get('PPid')}" for pid in sorted(pids) if (status := status_of(pid))}


def _nice_values() -> dict[int, int]:
    values: dict[int, int] = {}
    for pid in {os.getpid(), *_children()}:
        try:
            values[pid] = os.getpriority(os.PRIO_PROCESS, pid)
        except OSError:
            continue
    return values


def _mounts(host: Host) -> set[str]:
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    return {line for line in lines if str(host.state_dir) in line}


def _groups() -> set[str]:
    """The cgroups of this process's own engine: they carry its pid."""
    mark = f"sandql-{os.getpid()}-"
    return {folder for folder, _, _ in os.walk("/sys/fs/cgroup") if mark in folder}


if sys.platform != "linux":
    raise RuntimeError("attacks are run on Linux only: elsewhere the local provider refuses to run code")

"""What a dead engine left behind is removed by the next, and what a live one has is not touched."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from sandql.core.values import MiB
from sandql.providers.local.cgroup import Cgroups
from sandql.providers.local.rundir import RunDir

pytestmark = pytest.mark.unprivileged

_HOLD = """
import sys
from pathlib import Path
from sandql.core.values import MiB
from sandql.providers.local.cgroup import Cgroups
from sandql.providers.local.rundir import RunDir
if sys.argv[1] == "rundir":
    held = RunDir(Path(sys.argv[2])).__enter__()
    print(held.path, flush=True)
else:
    held = Cgroups.detect("test-leftovers", 64 * MiB, 10)
    group = held.take(1, lasting=True)
    print(held.folder, flush=True)
    if sys.argv[2] == "busy":
        import os, subprocess
        child = subprocess.Popen(["sleep", "1000"], stdout=subprocess.DEVNULL)
        os.write(group.procs_fd, str(child.pid).encode())
        print(child.pid, flush=True)
sys.stdin.read()
"""


def _holder(*args: str) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", _HOLD, *args], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def _line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def _kill(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate()


def test_a_run_folder_is_its_engines_own_until_that_has_died(tmp_path: Path) -> None:
    holder = _holder("rundir", str(tmp_path))
    try:
        theirs = Path(_line(holder))
        with RunDir(tmp_path) as ours:
            assert theirs.is_dir()
            assert {path.name for path in ours.path.iterdir()} >= {"main.py", "cell", "root"}
    finally:
        _kill(holder)
    assert theirs.is_dir()
    with RunDir(tmp_path) as ours:
        assert list(tmp_path.iterdir()) == [ours.path]
    assert list(tmp_path.iterdir()) == []


def test_a_run_folder_that_was_only_begun_is_removed_too(tmp_path: Path) -> None:
    (tmp_path / "tmpbegun" / "below").mkdir(parents=True)
    with RunDir(tmp_path) as ours:
        assert list(tmp_path.iterdir()) == [ours.path]


_needs_groups = pytest.mark.skipif(os.geteuid() != 0, reason="only root has control groups here")


@_needs_groups
def test_groups_of_a_dead_supervisor_are_removed_and_those_of_a_live_one_stay() -> None:
    holder = _holder("cgroup", "idle")
    try:
        theirs = Path(_line(holder))
        assert (theirs / "1").is_dir()
        ours = Cgroups.detect("test-leftovers", 64 * MiB, 10)
        assert (theirs / "1").is_dir()
        ours.remove_all()
        assert (theirs / "1").is_dir()
    finally:
        _kill(holder)
    assert theirs.is_dir()
    ours = Cgroups.detect("test-leftovers", 64 * MiB, 10)
    assert ours.version in ("v1", "v2")
    assert not theirs.exists()
    ours.take(1, lasting=True)
    assert ours.folder is not None
    assert str(ours.folder) in _groups()
    ours.remove_all()
    assert _groups() == set(), "nothing is left in any hierarchy"


@_needs_groups
def test_a_group_that_is_still_busy_is_removed_when_it_is_not() -> None:
    holder = _holder("cgroup", "busy")
    theirs = Path(_line(holder))
    sleeper = int(_line(holder))
    _kill(holder)
    ours = Cgroups.detect("test-leftovers", 64 * MiB, 10)
    try:
        assert theirs.is_dir()
        descriptor = os.pidfd_open(sleeper)
        os.kill(sleeper, 9)
        _wait(descriptor)
        ours.give_back(0)
        ours.take(1)
    finally:
        ours.remove_all()
    assert not theirs.exists()
    assert _groups() == set()


def _groups() -> set[str]:
    return {folder for folder, _, _ in os.walk("/sys/fs/cgroup") if "sandql-test-leftovers" in folder}


def _wait(pidfd: int) -> None:
    import select

    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    assert poll.poll(5000)
    os.close(pidfd)

"""Workspaces while a program races the server, and after the server was killed."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from errno import ENOSPC
from pathlib import Path

import pytest

from sandql.core.errors import BadRequest, Conflict, ResourceError, SandqlError
from sandql.core.values import MiB
from sandql.providers.local.workspace import Workspace
from tests.support.workspaces import QUOTA, SECRET, exchange, make_root, meanwhile, open_workspace

pytestmark = [pytest.mark.unit, pytest.mark.unprivileged]


@pytest.fixture(params=["openat2", "steps"], autouse=True)
def kernel(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test holds on kernels with openat2 and on those without."""
    if request.param == "steps":
        monkeypatch.setattr("sandql.providers.local.beneath._has_openat2", lambda: False)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A workspace's directory, with a secret beside it."""
    return make_root(tmp_path)


@pytest.fixture
def workspace(root: Path) -> Workspace:
    return open_workspace(root)


# --- programs that race ------------------------------------------------------


def test_a_file_swapped_for_a_link_while_it_is_read(root: Path, workspace: Workspace) -> None:
    (root / "evil").symlink_to("../secret")
    (root / "file").write_bytes(b"fine")

    seen: set[bytes] = set()
    with meanwhile(lambda: exchange(root / "file", root / "evil")):
        for _ in range(400):
            try:
                seen.add(workspace.read("file", 100))
            except BadRequest as error:
                assert "symbolic link" in error.message
            seen |= {file.content for file in workspace.collect(("f*", "file"), 10, 1000)}
    assert seen <= {b"fine"}


def test_a_folder_swapped_for_a_link_while_it_is_written(root: Path, workspace: Workspace) -> None:
    outside = root.parent / "outside"
    outside.mkdir()
    (outside / "x").write_bytes(SECRET)
    (root / "evil").symlink_to("../outside")
    (root / "folder").mkdir()

    with meanwhile(lambda: exchange(root / "folder", root / "evil")):
        for number in range(200):
            path = f"folder/x{number % 3}" if number % 2 else "folder/x"
            for call in (lambda path=path: workspace.write(path, b"mine", *QUOTA), lambda path=path: workspace.read(path, 100)):
                try:
                    assert call() in (None, b"mine")
                except SandqlError:
                    pass
    assert [path.name for path in outside.iterdir()] == ["x"]
    assert (outside / "x").read_bytes() == SECRET


def test_a_reader_sees_the_old_bytes_or_the_new(root: Path, workspace: Workspace) -> None:
    contents = [bytes([number]) * 300_000 for number in range(2)]
    workspace.write("file", contents[0], *QUOTA)
    turn = iter(range(1_000_000))
    with meanwhile(lambda: open_workspace(root).write("file", contents[next(turn) % 2], *QUOTA)):
        for _ in range(60):
            assert workspace.read("file", MiB) in contents


def test_what_programs_add_while_the_server_adds_is_kept(root: Path, workspace: Workspace) -> None:
    added = 0

    def add() -> None:
        nonlocal added
        with open(root / "log", "ab") as file:
            file.write(b"program\n")
        added += 1

    with open(root / "log", "ab", buffering=0) as held, meanwhile(add):
        for _ in range(200):
            workspace.write("log", b"server\n", *QUOTA, append=True)
            held.write(b"held\n")
    lines = (root / "log").read_bytes().split(b"\n")[:-1]
    assert [lines.count(line) for line in (b"server", b"held", b"program")] == [200, 200, added]
    assert len(lines) == 400 + added


def test_adding_to_a_file_that_a_program_makes_meanwhile_is_a_conflict(root: Path, workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    fsync = os.fsync

    def make_meanwhile(fd: int) -> None:
        fsync(fd)
        (root / "log").write_bytes(b"program\n")

    monkeypatch.setattr(os, "fsync", make_meanwhile)
    with pytest.raises(Conflict):
        workspace.write("log", b"server\n", *QUOTA, append=True)
    assert {path.name: path.read_bytes() for path in root.iterdir()} == {"log": b"program\n"}


@pytest.mark.parametrize("others", [b"", b"program"])
def test_adding_to_a_file_on_a_disk_that_fills_up(root: Path, workspace: Workspace, monkeypatch: pytest.MonkeyPatch, others: bytes) -> None:
    (root / "log").write_bytes(b"old")
    write = os.write
    left = [2, 1]

    def fill_up(fd: int, data: memoryview) -> int:
        if not left:
            raise OSError(ENOSPC, "No space left on device")
        size = write(fd, data[: left.pop()])
        if not left:
            with open(root / "log", "ab") as file:
                file.write(others)
        return size

    monkeypatch.setattr(os, "write", fill_up)
    with pytest.raises(ResourceError, match="disk is full"):
        workspace.write("log", b"server", *QUOTA, append=True)
    assert (root / "log").read_bytes() == (b"oldser" + others if others else b"old"), "nothing of what a program added goes"


def test_a_workspace_works_on_when_its_descriptor_is_closed_and_reused(root: Path) -> None:
    (root / "file").write_bytes(b"fine")
    fd = os.open(root, os.O_RDONLY)
    workspace = Workspace(fd)
    os.close(fd)
    other = os.open(root.parent, os.O_RDONLY)
    try:
        assert workspace.read("file", 10) == b"fine"
    finally:
        os.close(other)


def test_a_workspace_gives_its_descriptor_back(root: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        open_workspace(root).usage()
    assert len(os.listdir("/proc/self/fd")) == before


_HOLD_LEASE = """
import fcntl, os, signal, sys
signal.signal(signal.SIGIO, signal.SIG_IGN)
fd = os.open(sys.argv[1], os.O_RDWR)
fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_WRLCK)
print("held", flush=True)
sys.stdin.read()
"""


def test_a_lease_does_not_hold_the_server_back(root: Path, workspace: Workspace) -> None:
    (root / "file").write_bytes(b"old")
    command = [sys.executable, "-I", "-c", _HOLD_LEASE, str(root / "file")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(Conflict, match="held or moved by a running program"):
            workspace.read("file", 100)
        assert workspace.collect(("file",), 10, 100) == []
        with pytest.raises(Conflict, match="held or moved by a running program"):
            workspace.write("file", b"added", *QUOTA, append=True)
        workspace.write("file", b"new", *QUOTA)
        holder.communicate(b"")
    assert workspace.read("file", 100) == b"new"


# --- what lasts --------------------------------------------------------------


def test_an_acknowledged_write_is_on_the_disk_with_its_folders(root: Path, workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[tuple[str, str]] = []
    fsync, rename = os.fsync, os.rename

    def name(path: str) -> str:
        return "new" if ".sandql-write-" in path else os.path.relpath(path, root)

    def noted_fsync(fd: int) -> None:
        steps.append(("fsync", name(os.readlink(f"/proc/self/fd/{fd}"))))
        fsync(fd)

    def noted_rename(source: str, target: str, *, src_dir_fd: int, dst_dir_fd: int) -> None:
        steps.append(("rename", target))
        rename(source, target, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd)

    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(os, "rename", noted_rename)
    workspace.write("a/b/file", b"x", *QUOTA)
    assert steps == [("fsync", "."), ("fsync", "a"), ("fsync", "new"), ("rename", "file"), ("fsync", "a/b")]


_WRITE_ON = """
import os, sys
sys.path.insert(0, sys.argv[2])
from sandql.providers.local.workspace import Workspace
workspace = Workspace(os.open(sys.argv[1], os.O_RDONLY))
for number in range(1_000_000):
    workspace.write("n/file", str(number).encode() * 5000, 1 << 30, 1000)
    print(number, flush=True)
"""


def test_a_killed_server_loses_no_acknowledged_write(root: Path, workspace: Workspace) -> None:
    source = next(str(parent) for parent in Path(sys.modules[Workspace.__module__].__file__ or "").parents if (parent / "sandql" / "core").is_dir())
    for _ in range(4):
        command = [sys.executable, "-I", "-c", _WRITE_ON, str(root), source]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
            assert server.stdout is not None
            said = [server.stdout.readline() for _ in range(random.randrange(1, 12))]
            server.kill()
            said += server.stdout.read().split("\n")[:-1]
            acknowledged = int(said[-1])
        content = workspace.read("n/file", MiB)
        assert content in (str(acknowledged).encode() * 5000, str(acknowledged + 1).encode() * 5000)
        workspace.remove_unfinished()
        assert os.listdir(root / "n") == ["file"]


def test_only_what_writes_left_is_removed(root: Path, workspace: Workspace) -> None:
    (root / "a").mkdir()
    theirs = [".sandql-main-0123456789abcdef", ".sandql-main-mine.py", ".sandql-write-mine", "sandql-write-0123456789abcdef"]
    ours = [".sandql-main-0123456789abcdef.R", ".sandql-write-0123456789abcdef", "a/.sandql-write-0123456789abcdef"]
    for name in theirs + ours:
        (root / name).write_bytes(b"")
    workspace.remove_unfinished()
    assert sorted(str(path.relative_to(root)) for path in root.rglob("*")) == sorted([*theirs, "a"])
    assert sorted(entry.path for entry in workspace.list_entries("", True, 10)) == sorted([*theirs, "a"])

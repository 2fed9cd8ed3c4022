"""A control group for each cell, where this process may make them: cgroup v2 when delegated, else v1, else none."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from dataclasses import dataclass, field
from pathlib import Path

from sandql.providers.local.cputime import cpu_ms

_ROOT = Path("/sys/fs/cgroup")
_PREFIX = "sandql-"
_BUSY_S = 0.5
_SPARE = 128  # groups of ended cells that are kept for others


@dataclass(slots=True)
class CellGroup:
    """A group for one cell at a time: what the cell must write itself into, and where its out-of-memory kills are counted."""

    folder: Path
    procs_fd: int
    oom_fd: int
    usual: bool = True  # whether its limits are the default ones

    def close(self) -> None:
        """Close its descriptors."""
        os.close(self.procs_fd)
        os.close(self.oom_fd)


@dataclass(slots=True)
class Cgroups:
    """The groups of one supervisor. `version` is "v2", "v1" or "none"; memory limits are bytes.

    A group whose cell has ended is used again: an empty group is as good as a new one, and making one costs more than a message.
    """

    version: str
    folder: Path | None
    memory_bytes: int
    processes: int
    _used: dict[int, CellGroup] = field(default_factory=dict[int, CellGroup])
    _spare: list[CellGroup] = field(default_factory=list[CellGroup])
    _leaving: list[CellGroup] = field(default_factory=list[CellGroup])
    _made: int = 0
    _lock_fd: int = -1  # on our parent group, for as long as this process lives: nobody else removes it
    _dead: list[Path] = field(default_factory=list[Path])  # parent groups of supervisors that died, with processes still in them

    @classmethod
    def detect(cls, name: str, memory_bytes: int, processes: int) -> Cgroups:
        """Make a parent group in the first hierarchy that lets us, and remove what supervisors left there that died.

        Its folder is called sandql-`name`- and something random.
        """
        # Each twice: another supervisor that starts may take a group that is not yet locked for one that was left.
        for version, parent in [candidate for candidate in _candidates() for _ in range(2)]:
            group = cls(version, None, memory_bytes, processes)
            try:
                group._make_parent(parent, name)
                group._spare.append(group._make())
            except OSError:
                group.remove_all()
                continue
            group._dead = [folder for folder in parent.glob(_PREFIX + "*") if folder != group.folder]
            group._remove_dead()
            return group
        return cls("none", None, memory_bytes, processes)

    def take(self, cell: int) -> CellGroup:
        """An empty group with the default limits, for this cell until `give_back`. Raises OSError."""
        if not self._spare and self._leaving:
            self._sweep()
        if self._dead:
            self._remove_dead()
        group = self._spare.pop() if self._spare else self._make()
        self._used[cell] = group
        return group

    def limit(self, cell: int, memory_bytes: int, processes: int) -> None:
        """Lower a cell's limits before its program starts. Raises OSError."""
        group = self._used.get(cell)
        if group is not None:
            group.usual = False
            self._limit(group.folder, memory_bytes, processes)

    def cpu_ms(self, cell: int) -> int:
        """Processor time of the cell's processes, in milliseconds."""
        group = self._used.get(cell)
        return 0 if group is None else cpu_ms(int(pid) for pid in (group.folder / "cgroup.procs").read_text().split())

    def give_back(self, cell: int) -> None:
        """A cell has ended; its group is free when its last process has gone."""
        group = self._used.pop(cell, None)
        if group is not None:
            self._leaving.append(group)

    def remove_all(self) -> None:
        """Remove all groups; their processes have ended."""
        for group in [*self._used.values(), *self._spare, *self._leaving]:
            group.close()
            _rmdir_soon(group.folder)
        if self.folder is not None:
            _rmdir(self.folder)
        self._remove_dead()
        if self._lock_fd >= 0:
            os.close(self._lock_fd)
            self._lock_fd = -1

    def _make_parent(self, parent: Path, name: str) -> None:
        """Make and lock our own group. Raises OSError."""
        if self.version == "v2":
            with contextlib.suppress(OSError):  # it may be on already, or be the root's to switch on
                _write(parent / "cgroup.subtree_control", "+memory +pids")
        folder = parent / f"{_PREFIX}{name}-{os.urandom(4).hex()}"
        folder.mkdir()
        self.folder = folder
        self._lock_fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        fcntl.flock(self._lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if self.version == "v2":
            _write(folder / "cgroup.subtree_control", "+memory +pids")

    def _remove_dead(self) -> None:
        """Remove the groups of supervisors that are no more. What is locked belongs to one that lives; what is busy is tried again later."""
        self._dead = [folder for folder in self._dead if not _remove_unlocked(folder)]

    def _sweep(self) -> None:
        """Find the groups that have become empty: only an empty one can be removed, and has no charge left."""
        leaving, self._leaving = self._leaving, []
        for group in leaving:
            if os.pread(group.procs_fd, 16, 0):
                self._leaving.append(group)
            elif group.usual and len(self._spare) < _SPARE:
                self._spare.append(group)
            elif _rmdir(group.folder):
                group.close()
            else:
                self._leaving.append(group)  # the kernel holds it for a moment longer than its last process

    def _make(self) -> CellGroup:
        assert self.folder is not None
        self._made += 1
        folder = self.folder / str(self._made)
        folder.mkdir()
        self._limit(folder, self.memory_bytes, self.processes)
        counter = "memory.events" if self.version == "v2" else "memory.oom_control"
        procs = os.open(folder / "cgroup.procs", os.O_RDWR | os.O_CLOEXEC)
        try:
            return CellGroup(folder, procs, os.open(folder / counter, os.O_RDONLY | os.O_CLOEXEC))
        except OSError:
            os.close(procs)
            raise

    def _limit(self, folder: Path, memory_bytes: int, processes: int) -> None:
        if self.version == "v2":
            _write(folder / "memory.max", str(memory_bytes))
            with contextlib.suppress(OSError):  # no swap accounting: then there is no swap to bound
                _write(folder / "memory.swap.max", "0")
            _write(folder / "pids.max", str(processes))
        else:
            _write(folder / "memory.limit_in_bytes", str(memory_bytes))
            with contextlib.suppress(OSError):  # memory and swap together; not there without swap accounting
                _write(folder / "memory.memsw.limit_in_bytes", str(memory_bytes))


def _candidates() -> list[tuple[str, Path]]:
    """The folders in which a group might be made: this process's own groups, and with v2 the one above.

    A v2 group that has processes has no controllers for groups below it, so a service that is delegated a group is itself in one below.
    """
    found: list[tuple[str, Path]] = []
    try:
        lines = Path("/proc/self/cgroup").read_text().splitlines()
    except OSError:
        return found
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if not controllers:
            mounts = [mount for mount in (_ROOT, _ROOT / "unified") if _has_memory(mount)]
            own = [mount / path.lstrip("/") for mount in mounts]
            found += [("v2", folder) for folder in own] + [("v2", folder.parent) for folder in own if folder not in mounts]
        elif "memory" in controllers.split(","):
            found.append(("v1", _ROOT / "memory" / path.lstrip("/")))
    return found


def _has_memory(mount: Path) -> bool:
    try:
        return "memory" in (mount / "cgroup.controllers").read_text().split()
    except OSError:
        return False


def _remove_unlocked(folder: Path) -> bool:
    """Remove a parent group and the cells' groups in it unless its supervisor lives; False where something in it is still ending."""
    try:
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return True
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        for name in [entry.name for entry in os.scandir(fd) if entry.is_dir(follow_symlinks=False)]:
            _rmdir(folder / name)
        folder.rmdir()
    except BlockingIOError:
        return True
    except OSError:
        return not folder.exists()
    finally:
        os.close(fd)
    return True


def _rmdir_soon(folder: Path) -> None:
    """Remove a group whose last process has been reaped; the kernel may hold it for a moment longer."""
    deadline = time.monotonic() + _BUSY_S
    while not _rmdir(folder) and time.monotonic() < deadline:
        time.sleep(0.001)


def _rmdir(folder: Path) -> bool:
    """Remove a group; False where it is still held."""
    try:
        folder.rmdir()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True


def _write(path: Path, text: str) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, text.encode())
    finally:
        os.close(fd)

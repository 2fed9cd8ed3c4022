"""A control group for each cell, where this process may make them: cgroup v2 when delegated, else v1, else none."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass, field
from pathlib import Path

from sandql.core.spent import Spent
from sandql.providers.local.cputime import cpu_ms
from sandql.providers.local.parent_group import ParentGroup, remove_group, remove_group_soon

_ROOT = Path("/sys/fs/cgroup")
_RESIDUE_BYTES = 16 << 20  # cached pages of files, mostly
_SPARE = 128  # groups of ended cells that are kept for others


@dataclass(slots=True)
class CellGroup:
    """A group for one cell at a time: what the cell must write itself into, and where its out-of-memory kills are counted.

    That of a lasting cell is for it alone, so that the kernel's counts are the cell's. Version 1 counts processor time in another hierarchy:
    there the cell has a group as well, `account`. `account_fd` is what else it must write itself into, /dev/null where that is nothing.
    """

    folder: Path
    procs_fd: int
    oom_fd: int
    account_fd: int
    account: Path | None = None
    lasting: bool = False
    usual: bool = True  # whether its limits are the default ones, and it can be another cell's

    def close(self) -> None:
        """Close its descriptors."""
        for fd in (self.procs_fd, self.oom_fd, self.account_fd):
            os.close(fd)

    def remove(self) -> bool:
        """Remove it, if nothing is in it any more."""
        return remove_group(self.folder) and (self.account is None or remove_group(self.account))


@dataclass(slots=True)
class Cgroups:
    """The groups of one supervisor. `version` is "v2", "v1" or "none"; memory limits are bytes.

    A group whose cell has ended is used again: an empty group is as good as a new one, and making one costs more than a message.
    """

    version: str
    memory_bytes: int
    processes: int
    _parent: ParentGroup | None = None
    _accounts: ParentGroup | None = None  # in the hierarchy that counts processor time, with version 1
    _used: dict[int, CellGroup] = field(default_factory=dict[int, CellGroup])
    _spare: list[CellGroup] = field(default_factory=list[CellGroup])
    _leaving: list[CellGroup] = field(default_factory=list[CellGroup])
    _made: int = 0

    @classmethod
    def detect(cls, name: str, memory_bytes: int, processes: int) -> Cgroups:
        """Make a parent group in the first hierarchy that lets us, and remove what supervisors left there that died.

        Its folder is called sandql-`name`- and something random.
        """
        # Each twice: another supervisor that starts may take a group that is not yet locked for one that was left.
        for version, parent in [candidate for candidate in _candidates() for _ in range(2)]:
            group = cls(version, memory_bytes, processes)
            try:
                group._make_parent(parent, name)
                group._spare.append(group._make())
            except OSError:
                group.remove_all()
                continue
            if version == "v1":
                group._make_accounts(name)
            group._remove_dead()
            return group
        return cls("none", memory_bytes, processes)

    @property
    def folder(self) -> Path | None:
        """The folder of all groups, None where there are none."""
        return None if self._parent is None else self._parent.folder

    def take(self, cell: int, *, lasting: bool = False) -> CellGroup:
        """An empty group with the default limits, for this cell until `give_back`; a new one for a lasting cell. Raises OSError."""
        if self._leaving and (lasting or not self._spare):
            self._sweep()
        self._remove_dead()
        group = self._spare.pop() if self._spare and not lasting else self._make(lasting=lasting)
        self._used[cell] = group
        return group

    def limit(self, cell: int, memory_bytes: int, processes: int) -> None:
        """Lower a cell's limits before its program starts. Raises OSError."""
        group = self._used.get(cell)
        if group is not None:
            group.usual = False
            self._limit(group.folder, memory_bytes, processes)

    def cpu_ms(self, cell: int) -> int:
        """Processor time of the cell in milliseconds: all that was used in it if it is a lasting one, else that of its processes."""
        group = self._used.get(cell)
        if group is None:
            return 0
        counted = self._counted_ms(group)
        return _cpu_ms_of_members(group) if counted is None else counted

    def spent(self, cell: int) -> Spent:
        """What a lasting cell has used up to now, as the kernel counted it."""
        group = self._used.get(cell)
        return Spent() if group is None else Spent(self.cpu_ms(cell), self._peak_bytes(group.folder) >> 10)

    def give_back(self, cell: int) -> None:
        """A cell has ended; its group is free when its last process has gone."""
        group = self._used.pop(cell, None)
        if group is not None:
            self._leaving.append(group)

    def remove_all(self) -> None:
        """Remove all groups; their processes have ended."""
        for group in [*self._used.values(), *self._spare, *self._leaving]:
            group.close()
            for folder in (group.folder, group.account):
                if folder is not None:
                    remove_group_soon(folder)
        for parent in (self._parent, self._accounts):
            if parent is not None:
                parent.close()

    def _make_parent(self, parent: Path, name: str) -> None:
        """Make our own group. Raises OSError."""
        if self.version == "v2":
            with contextlib.suppress(OSError):  # it may be on already, or be the root's to switch on
                _write(parent / "cgroup.subtree_control", "+memory +pids")
        self._parent = ParentGroup(parent, name)
        if self.version == "v2":
            _write(self._parent.folder / "cgroup.subtree_control", "+memory +pids")

    def _make_accounts(self, name: str) -> None:
        """Make our own group where version 1 counts processor time; where that may not be, processes are looked at instead."""
        for controllers, path in _own_groups():
            if "cpuacct" in controllers and "memory" not in controllers:
                with contextlib.suppress(OSError):
                    self._accounts = ParentGroup(_ROOT / "cpuacct" / path, name)

    def _remove_dead(self) -> None:
        for parent in (self._parent, self._accounts):
            if parent is not None:
                parent.remove_dead()

    def _sweep(self) -> None:
        """Find the groups that have become empty: only those can be removed.

        What a program gave to one in another group stays charged here. Such a group is no other cell's to pay for.
        """
        leaving, self._leaving = self._leaving, []
        for group in leaving:
            if os.pread(group.procs_fd, 16, 0):
                self._leaving.append(group)
            elif group.usual and len(self._spare) < _SPARE and self._held_bytes(group.folder) <= _RESIDUE_BYTES:
                self._spare.append(group)
            elif group.remove():
                group.close()
            else:
                self._leaving.append(group)  # the kernel holds it for a moment longer than its last process

    def _make(self, *, lasting: bool = False) -> CellGroup:
        assert self._parent is not None
        self._made += 1
        folder = self._parent.folder / str(self._made)
        account = self._accounts.folder / folder.name if lasting and self._accounts is not None else None
        folder.mkdir()
        self._limit(folder, self.memory_bytes, self.processes)
        with contextlib.ExitStack() as stack:

            def opened(path: Path | str, flags: int) -> int:
                fd = os.open(path, flags | os.O_CLOEXEC)
                stack.callback(os.close, fd)
                return fd

            if account is not None:
                account.mkdir()
            procs = opened(folder / "cgroup.procs", os.O_RDWR)
            oom = opened(folder / ("memory.events" if self.version == "v2" else "memory.oom_control"), os.O_RDONLY)
            entered = opened(os.devnull if account is None else account / "cgroup.procs", os.O_WRONLY)
            stack.pop_all()
            return CellGroup(folder, procs, oom, entered, account, lasting, usual=not lasting)

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

    def _counted_ms(self, group: CellGroup) -> int | None:
        """What the kernel counted in a group since it was made, None where it is not known or not of one cell alone. Raises OSError."""
        if not group.lasting:
            return None
        if self.version == "v2":
            lines = (line.split() for line in (group.folder / "cpu.stat").read_bytes().splitlines())
            return next(int(value) for name, value in lines if name == b"usage_usec") // 1_000
        return None if group.account is None else int((group.account / "cpuacct.usage").read_bytes()) // 1_000_000

    def _held_bytes(self, folder: Path) -> int:
        """The memory that is charged to a group now. Raises OSError."""
        return int((folder / ("memory.usage_in_bytes" if self.version == "v1" else "memory.current")).read_bytes())

    def _peak_bytes(self, folder: Path) -> int:
        """The most memory that a group has held. Raises OSError."""
        if self.version == "v1":
            return int((folder / "memory.max_usage_in_bytes").read_bytes())
        with contextlib.suppress(FileNotFoundError):  # before Linux 5.19 there is only what it holds now
            return int((folder / "memory.peak").read_bytes())
        return int((folder / "memory.current").read_bytes())


def _cpu_ms_of_members(group: CellGroup) -> int:
    return cpu_ms(int(pid) for pid in (group.folder / "cgroup.procs").read_text().split())


def _candidates() -> list[tuple[str, Path]]:
    """The folders in which a group might be made: this process's own groups, and with v2 the one above.

    A v2 group that has processes has no controllers for groups below it, so a service that is delegated a group is itself in one below.
    """
    found: list[tuple[str, Path]] = []
    for controllers, path in _own_groups():
        if not controllers:
            mounts = [mount for mount in (_ROOT, _ROOT / "unified") if _has_memory(mount)]
            own = [mount / path for mount in mounts]
            found += [("v2", folder) for folder in own] + [("v2", folder.parent) for folder in own if folder not in mounts]
        elif "memory" in controllers:
            found.append(("v1", _ROOT / "memory" / path))
    return found


def _own_groups() -> list[tuple[list[str], str]]:
    """The groups of this process: the controllers of each, none for v2, and its path without the first slash."""
    try:
        lines = Path("/proc/self/cgroup").read_text().splitlines()
    except OSError:
        return []
    parts = [line.split(":", 2) for line in lines]
    return [(controllers.split(",") if controllers else [], path.lstrip("/")) for _, controllers, path in parts]


def _has_memory(mount: Path) -> bool:
    try:
        return "memory" in (mount / "cgroup.controllers").read_text().split()
    except OSError:
        return False


def _write(path: Path, text: str) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, text.encode())
    finally:
        os.close(fd)

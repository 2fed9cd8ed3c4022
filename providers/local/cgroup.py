"""A control group for each cell, where this process may make them: cgroup v2 when delegated, else v1, else none."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass, field
from pathlib import Path

_ROOT = Path("/sys/fs/cgroup")


@dataclass(slots=True)
class CellGroup:
    """One cell's group: what a cell must write itself into, and where its out-of-memory kills are counted."""

    folder: Path
    procs_fd: int
    oom_fd: int

    def close(self) -> None:
        """Close the descriptors that were passed on."""
        os.close(self.procs_fd)
        os.close(self.oom_fd)


@dataclass(slots=True)
class Cgroups:
    """The groups of one supervisor. `version` is "v2", "v1" or "none"; memory limits are bytes."""

    version: str
    folder: Path | None
    memory_bytes: int
    processes: int
    _removable: list[Path] = field(default_factory=list[Path])

    @classmethod
    def detect(cls, name: str, memory_bytes: int, processes: int) -> Cgroups:
        """Make the parent group `name` in the first hierarchy that lets us."""
        for version, parent in _candidates():
            folder = parent / name
            group = cls(version, folder, memory_bytes, processes)
            try:
                folder.mkdir(exist_ok=True)
                if version == "v2":
                    _write(folder / "cgroup.subtree_control", "+memory +pids")
                probe = group.make("probe")
                probe.close()
                os.rmdir(probe.folder)
            except OSError:
                with contextlib.suppress(OSError):
                    folder.rmdir()
                continue
            return group
        return cls("none", None, memory_bytes, processes)

    def make(self, name: str) -> CellGroup:
        """Make a cell's group with the default limits. Raises OSError."""
        assert self.folder is not None
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        self._limit(folder, self.memory_bytes, self.processes)
        counter = "memory.events" if self.version == "v2" else "memory.oom_control"
        procs = os.open(folder / "cgroup.procs", os.O_WRONLY | os.O_CLOEXEC)
        try:
            return CellGroup(folder, procs, os.open(folder / counter, os.O_RDONLY | os.O_CLOEXEC))
        except OSError:
            os.close(procs)
            raise

    def limit(self, name: str, memory_bytes: int, processes: int) -> None:
        """Lower a cell's limits before its program starts."""
        if self.folder is not None:
            self._limit(self.folder / name, memory_bytes, processes)

    def cpu_ms(self, name: str) -> int | None:
        """CPU time that a cell has used, where its group counts it."""
        if self.version != "v2" or self.folder is None:
            return None
        with contextlib.suppress(OSError, ValueError, IndexError):
            return int((self.folder / name / "cpu.stat").read_text().split()[1]) // 1000
        return None

    def remove(self, name: str) -> None:
        """Remove a cell's group, now or when its last process has gone."""
        if self.folder is not None:
            self._removable.append(self.folder / name)
            self.sweep()

    def sweep(self) -> None:
        """Remove what could not be removed before."""
        kept: list[Path] = []
        for folder in self._removable:
            try:
                folder.rmdir()
            except FileNotFoundError:
                continue
            except OSError:
                kept.append(folder)
        self._removable = kept

    def remove_all(self) -> None:
        """Remove the parent group and what is in it; its processes have ended."""
        if self.folder is None:
            return
        for folder in self.folder.iterdir():
            if folder.is_dir():
                with contextlib.suppress(OSError):
                    folder.rmdir()
        with contextlib.suppress(OSError):
            self.folder.rmdir()

    def _limit(self, folder: Path, memory_bytes: int, processes: int) -> None:
        if self.version == "v2":
            _write(folder / "memory.max", str(memory_bytes))
            with contextlib.suppress(OSError):  # no swap accounting: then there is no swap to bound
                _write(folder / "memory.swap.max", "0")
            _write(folder / "pids.max", str(processes))
        else:
            _write(folder / "memory.limit_in_bytes", str(memory_bytes))


def _candidates() -> list[tuple[str, Path]]:
    """The folders in which a group might be made: this process's own groups."""
    found: list[tuple[str, Path]] = []
    try:
        lines = Path("/proc/self/cgroup").read_text().splitlines()
    except OSError:
        return found
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if not controllers:
            for mount in (_ROOT, _ROOT / "unified"):
                if (mount / "cgroup.controllers").exists() and "memory" in (mount / "cgroup.controllers").read_text():
                    found.append(("v2", mount / path.lstrip("/")))
        elif "memory" in controllers.split(","):
            found.append(("v1", _ROOT / "memory" / path.lstrip("/")))
    return found


def _write(path: Path, text: str) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, text.encode())
    finally:
        os.close(fd)

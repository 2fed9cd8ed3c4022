"""What the kernel says of the server's processes: memory as PSS, CPU time, and which of them is what.

PSS counts a page that n processes share as 1/n of a page in each, so the PSS of a whole tree is what it really holds.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Process:
    """A process below the server. `level` is how many pid namespaces it is below that of the server, `inner` its pid in its own."""

    pid: int
    parent: int
    name: str
    level: int
    inner: int

    @property
    def is_init(self) -> bool:
        """Whether it is the init of a cell, which has no memory of its own: it shares that of the zygote."""
        return self.level == 2 and self.inner == 1

    @property
    def is_cell(self) -> bool:
        """Whether it is a process in a cell, parked or running."""
        return self.level == 2 and self.inner != 1


@dataclass(frozen=True, slots=True)
class Cpu:
    """CPU seconds of a process, and of those of its children that were reaped."""

    own_s: float
    reaped_s: float


def tree(root: int) -> list[Process]:
    """The process and all below it."""
    found: dict[int, Process] = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                found[int(name)] = _read(int(name))
            except (OSError, IndexError, KeyError):
                continue  # it has ended meanwhile
    outer = found[root].level
    mine = {root}
    grew = True
    while grew:
        below = {pid for pid, process in found.items() if process.parent in mine} - mine
        mine |= below
        grew = bool(below)
    return [Process(pid, found[pid].parent, found[pid].name, found[pid].level - outer, found[pid].inner) for pid in sorted(mine)]


def zygote_of(processes: list[Process]) -> Process:
    """The zygote of fresh sandboxes. Raises StopIteration where there is none."""
    parents = {process.parent for process in processes if process.level == 2}
    return next(process for process in processes if process.level == 1 and process.pid in parents)


def template_of(processes: list[Process], zygote: Process) -> Process:
    """The process that a zygote has its cells forked from. Raises StopIteration where there is none."""
    return next(process for process in processes if process.level == 1 and process.parent == zygote.pid)


def pss_bytes(pid: int) -> int:
    """Its proportional set size; 0 when it has ended."""
    return _kib(f"/proc/{pid}/smaps_rollup", "Pss:") * 1024


def tree_pss_bytes(root: int) -> int:
    """What the process and all below it hold."""
    return sum(pss_bytes(process.pid) for process in tree(root) if not process.is_init)


def rss_bytes(pid: int) -> int:
    """Its resident set size."""
    return _kib(f"/proc/{pid}/status", "VmRSS:") * 1024


def forget_peak(pid: int) -> None:
    """Let the peak of its resident set size begin anew."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def peak_rss_bytes(pid: int) -> int:
    """The most that its resident set size has been."""
    return _kib(f"/proc/{pid}/status", "VmHWM:") * 1024


def cpu(pid: int) -> Cpu:
    """Its CPU time; zeros when it has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return Cpu(0.0, 0.0)
    own, reaped = int(fields[11]) + int(fields[12]), int(fields[13]) + int(fields[14])
    return Cpu(own / _TICKS_PER_S, reaped / _TICKS_PER_S)


def _read(pid: int) -> Process:
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    inner = status["NSpid"].split()
    return Process(pid, int(status["PPid"]), status["Name"].strip(), len(inner), int(inner[-1]))


def _kib(path: str, field: str) -> int:
    try:
        for line in Path(path).read_text().splitlines():
            if line.startswith(field):
                return int(line.split()[1])
    except (OSError, ProcessLookupError):
        pass
    return 0

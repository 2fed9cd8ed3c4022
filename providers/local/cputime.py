"""The processor time of a cell: of the processes that live in it, and of those that they have waited for."""

from __future__ import annotations

import os
from collections.abc import Iterable

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
PROCESSORS = len(os.sched_getaffinity(0))


def cpu_ms(pids: Iterable[int]) -> int:
    """Milliseconds that these processes have used, and their reaped children; one that is gone counts nothing."""
    ticks = 0
    for pid in pids:
        try:
            with open(f"/proc/{pid}/stat", "rb") as file:
                ticks += cpu_ticks(file.read())
        except (OSError, IndexError):
            continue
    return ticks_to_ms(ticks)


def ticks_to_ms(ticks: int) -> int:
    """Clock ticks as milliseconds."""
    return ticks * 1000 // _TICKS_PER_S


def cpu_ticks(stat: bytes) -> int:
    """The ticks in a line of /proc/<pid>/stat: user and system, of the process and of its reaped children."""
    return sum(int(field) for field in stat.rsplit(b")", 1)[1].split()[11:15])

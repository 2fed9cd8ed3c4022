"""Memory of cells where no control group bounds it: the resident sizes of a cell's processes, added up now and then.

Less exact than a control group: pages that processes share count in each, and a cell can be over its bound for one interval.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field

from sandql.core.spent import Spent
from sandql.core.values import KiB
from sandql.providers.local.cputime import cpu_ticks, ticks_to_ms


@dataclass(slots=True)
class _Watched:
    memory_bytes: int
    roots: tuple[int, ...] = ()  # host pids of its first program and its init
    spent: Spent = field(default_factory=Spent)  # as far as was seen: a process that was gone before, and that nobody waited for, is not in it


class Watchdog:
    """Which cells are over their memory. Cells are added when their program starts."""

    def __init__(self, memory_bytes: int) -> None:
        self.memory_bytes = memory_bytes
        self._watched: dict[int, _Watched] = {}
        self._inner: dict[int, tuple[int, ...]] = {}  # cell → pids in its zygote's namespace

    @property
    def busy(self) -> bool:
        """Whether there is anything to watch."""
        return bool(self._watched)

    def forked(self, cell: int, pids: tuple[int, ...]) -> None:
        """Remember a new cell's pids, as its zygote sees them."""
        self._inner[cell] = pids

    def add(self, cell: int, memory_bytes: int) -> None:
        """Watch a cell from now on."""
        self._watched[cell] = _Watched(memory_bytes)

    def remove(self, cell: int) -> None:
        """Forget a cell."""
        self._watched.pop(cell, None)
        self._inner.pop(cell, None)

    def over(self, zygotes: list[int]) -> list[int]:
        """The watched cells that use more than they may. `zygotes` are host pids."""
        parents: dict[int, int] = {}
        ticks: dict[int, int] = {}
        for name in os.listdir("/proc"):
            if name.isdigit():
                read = _stat(name)
                if read is not None:
                    parents[int(name)], ticks[int(name)] = read
        self._find_roots({pid for pid, parent in parents.items() if parent in zygotes})
        owner = {root: cell for cell, watched in self._watched.items() for root in watched.roots}
        members: dict[int, list[int]] = {}
        for pid in parents:
            at: int = pid
            while at in parents and at not in owner:
                at = parents[at]
            if at in owner:
                members.setdefault(owner[at], []).append(pid)
        found: list[int] = []
        for cell, pids in members.items():
            watched, memory_bytes = self._watched[cell], _memory_of(pids)
            watched.spent = watched.spent.most(Spent(ticks_to_ms(sum(ticks[pid] for pid in pids)), memory_bytes // KiB))
            if memory_bytes > watched.memory_bytes:
                found.append(cell)
        return found

    def spent(self, cell: int) -> Spent:
        """What was seen of a cell when `over` last looked."""
        watched = self._watched.get(cell)
        return Spent() if watched is None else watched.spent

    def _find_roots(self, children: set[int]) -> None:
        wanted = {pid: cell for cell, pids in self._inner.items() if cell in self._watched and not self._watched[cell].roots for pid in pids}
        if not wanted:
            return
        roots: dict[int, list[int]] = {}
        for pid in children:
            inner = _pid_in_zygote(pid)
            if inner in wanted:
                roots.setdefault(wanted[inner], []).append(pid)
        for cell, pids in roots.items():
            self._watched[cell].roots = tuple(pids)


def _stat(pid: str) -> tuple[int, int] | None:
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            line = file.read()
            return int(line.rsplit(b")", 1)[1].split()[1]), cpu_ticks(line)
    except (OSError, IndexError):
        return None


def _memory_of(pids: list[int]) -> int:
    """Bytes of their own memory, and the largest of what each has of shared memory, which is mostly the same."""
    own = shared = 0
    for pid in pids:
        try:
            with open(f"/proc/{pid}/status", "rb") as file:
                sizes = {line.split(b":")[0]: line.split() for line in file if line.startswith((b"RssAnon", b"RssShmem"))}
        except OSError:
            continue
        own += int(sizes[b"RssAnon"][1]) * KiB if b"RssAnon" in sizes else 0
        shared = max(shared, int(sizes[b"RssShmem"][1]) * KiB if b"RssShmem" in sizes else 0)
    return own + shared


def _pid_in_zygote(pid: int) -> int | None:
    """The pid that a zygote's child has in the zygote's namespace: the last but one, since it is in one more of its own."""
    try:
        with open(f"/proc/{pid}/status", "rb") as file:
            for line in file:
                if line.startswith(b"NSpid:"):
                    numbers = line.split()[1:]
                    return int(numbers[-2]) if len(numbers) > 1 else None
    except OSError:
        return None
    return None

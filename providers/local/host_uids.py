"""The uids of the host that cells and homes have, where this process can give them any."""

from __future__ import annotations

import os
from typing import Final

HOST_UID_BASE: Final = 1_900_000_000  # above every range that distributions and systemd hand out
UIDS: Final = 60_000  # mapped into a zygote from 1000 on
FIRST_RUN_UID: Final = 1001
RUN_UIDS: Final = 29_000  # of the cells of all engines of a server; the next ones belong to homes


def is_real_root() -> bool:
    """Whether this process can give other uids of the host to its cells: root in a user namespace of its own cannot."""
    return os.geteuid() == 0 and any(first <= HOST_UID_BASE and first + count >= HOST_UID_BASE + UIDS for first, _, count in _uid_map())


def is_root_outside() -> bool:
    """Whether this process is root in a user namespace, and outside of it as well: its cells would then be root on the host."""
    return os.geteuid() == 0 and not is_real_root() and any(first == outside == 0 for first, outside, _ in _uid_map())


def _uid_map() -> list[tuple[int, ...]]:
    with open("/proc/self/uid_map", encoding="ascii") as file:
        return [tuple(map(int, line.split())) for line in file]

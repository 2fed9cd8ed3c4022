"""Parked cells as the server has them: our ends of their pipes, and the pools in which they wait."""

from __future__ import annotations

import array
import asyncio
import os
import socket
from collections import deque
from dataclasses import dataclass, field
from typing import Final, cast

from sandql.providers.local.cell.wire import MAX_PACKET, unpack

_FDS_OF_A_CELL: Final = 5


@dataclass(slots=True, eq=False)
class Cell:
    """A parked cell: our ends of its pipes, none of which blocks, and its workspace directory. `close` is for good."""

    id: int
    kind: str
    job_w: int
    stdout_r: int
    stderr_r: int
    status_r: int
    workspace: int

    def alive(self) -> bool:
        """Whether it still waits for a job: its status pipe has neither a word nor an end."""
        try:
            os.read(self.status_r, 1)
        except BlockingIOError:
            return True
        return False

    def close(self) -> None:
        """Close our ends that are still open; a cell without a job ends by that."""
        for name in ("job_w", "stdout_r", "stderr_r", "status_r", "workspace"):
            fd = getattr(self, name)
            if fd >= 0:
                os.close(fd)
                setattr(self, name, -1)


@dataclass(slots=True)
class Pool:
    """The cells of one kind: `size` are kept parked, `parking` were asked for, `waiters` are runs that found none.

    `hits` counts the runs that found one, `cold_starts` those that did not.
    """

    size: int
    parked: deque[Cell] = field(default_factory=deque[Cell])
    parking: int = 0
    waiters: deque[asyncio.Future[Cell]] = field(default_factory=deque[asyncio.Future[Cell]])
    hits: int = 0
    cold_starts: int = 0


@dataclass(frozen=True, slots=True)
class Wanted:
    """A cell of a kept workspace, of that name and uid, and who waits for it; `lasting` where what it uses is to be followed."""

    waiter: asyncio.Future[Cell]
    home: str
    owner: int | None
    lasting: bool


def receive_cell(announcements: socket.socket) -> Cell | int | None:
    """The cell that has announced itself on the socket; its id where no descriptors are left for its pipes; None where there is none."""
    fds = array.array("i")
    try:
        data, ancillary, _, _ = announcements.recvmsg(MAX_PACKET, socket.CMSG_SPACE(_FDS_OF_A_CELL * fds.itemsize), socket.MSG_CMSG_CLOEXEC)
    except BlockingIOError:
        return None
    for level, kind_of, raw in ancillary:
        if level == socket.SOL_SOCKET and kind_of == socket.SCM_RIGHTS:
            fds.frombytes(raw[: len(raw) - len(raw) % fds.itemsize])
    if not data:
        return None
    _, cell_id, kind, _ = cast("tuple[str, int, str, str | None]", unpack(data))
    if len(fds) != _FDS_OF_A_CELL:
        for fd in fds:
            os.close(fd)
        return cell_id
    return Cell(cell_id, kind, *fds)

"""Starting the supervisor process: a clean interpreter with two sockets and nothing of the server's environment."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SupervisorProcess:
    """A supervisor that was started, and our ends: messages, announcements of cells, and what it and its children say on stderr.

    Whoever started it closes the three and reaps the process. None of them blocks.
    """

    process: subprocess.Popen[bytes]
    control: socket.socket
    cells: socket.socket
    log_r: int


def start_supervisor() -> SupervisorProcess:
    """Start a supervisor, which waits for its configuration. Raises OSError: there is no descriptor or process left for it."""
    with contextlib.ExitStack() as theirs, contextlib.ExitStack() as ours:
        control, control_theirs = _socket_pair(ours, theirs)
        cells, cells_theirs = _socket_pair(ours, theirs)
        log_r, log_w = os.pipe2(os.O_CLOEXEC)
        ours.callback(os.close, log_r)
        theirs.callback(os.close, log_w)
        os.set_blocking(log_r, False)
        process = subprocess.Popen(
            [sys.executable, "-I", "-m", "sandql.providers.local.supervisor", str(control_theirs), str(cells_theirs)],
            pass_fds=(control_theirs, cells_theirs),
            env={},  # nothing of the server's environment may reach a process that a cell could look at
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=log_w,
            cwd="/",
        )
        ours.pop_all()
    return SupervisorProcess(process, control, cells, log_r)


def _socket_pair(ours: contextlib.ExitStack, theirs: contextlib.ExitStack) -> tuple[socket.socket, int]:
    mine, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.enter_context(mine)
    theirs.enter_context(other)
    mine.setblocking(False)
    return mine, other.fileno()

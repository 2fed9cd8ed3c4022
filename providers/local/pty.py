"""A cell's terminal: made by the server in the cell's own /dev/pts, before anything runs in the cell.

A cell hands the server its workspace's directory. From there `..` leads up inside the cell's mounts, and so to its devpts: the master never
enters the cell, and the other end has a name there, as programs expect of a terminal.
"""

from __future__ import annotations

import fcntl
import os
import struct
import termios
from typing import Final

from sandql.core.terminals import TerminalSize

_UNLOCK: Final = 0x40045431  # TIOCSPTLCK
_NUMBER: Final = 0x80045430  # TIOCGPTN
_IUTF8: Final = 0o40000
_FLAGS: Final = os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC


class Pty:
    """Both ends of a terminal. `close` it.

    The server keeps the program's end open as well, so that it is there before the program has taken it, and while the program lets go of it.
    """

    def __init__(self, workspace_fd: int, size: TerminalSize) -> None:
        self.slave = -1
        self.master = os.open("../dev/pts/ptmx", _FLAGS, dir_fd=workspace_fd)
        try:
            fcntl.ioctl(self.master, _UNLOCK, struct.pack("i", 0))
            (self.number,) = struct.unpack("i", fcntl.ioctl(self.master, _NUMBER, bytes(4)))
            self.slave = os.open(f"../dev/pts/{self.number}", _FLAGS, dir_fd=workspace_fd)
            if os.geteuid() == 0:
                owner = os.fstat(workspace_fd)
                os.fchown(self.slave, owner.st_uid, owner.st_gid)
            modes = termios.tcgetattr(self.slave)
            modes[0] |= _IUTF8  # one key takes away a whole character, where a program leaves line editing to the terminal
            termios.tcsetattr(self.slave, termios.TCSANOW, modes)
            self.resize(size)
        except BaseException:
            self.close()
            raise

    def resize(self, size: TerminalSize) -> None:
        """Give it another size; the foreground program is told by SIGWINCH."""
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", size.rows, size.cols, 0, 0))

    def close(self) -> None:
        """Close both ends; idempotent."""
        for fd in (self.slave, self.master):
            if fd >= 0:
                os.close(fd)
        self.slave = self.master = -1

"""A cell's terminal: made by the server in the cell's own /dev/pts, before anything runs in the cell.

A cell hands the server its workspace's directory. From there `..` leads up inside the cell's mounts, and so to its devpts: the master never
enters the cell, and the other end has a name there, as programs expect of a terminal.
"""

from __future__ import annotations

import fcntl
import os
import signal
import struct
import termios
from typing import Final

from sandql.core.terminals import TerminalSize

_UNLOCK: Final = 0x40045431  # TIOCSPTLCK
_NUMBER: Final = 0x80045430  # TIOCGPTN
_SIGNAL: Final = 0x40045436  # TIOCSIG
_BEHIND_BYTES: Final = 3 << 10  # of the 4 KiB that the kernel looks at before a program reads them; it sees no key behind these
_KEYS: Final = ((termios.VINTR, signal.SIGINT), (termios.VQUIT, signal.SIGQUIT), (termios.VSUSP, signal.SIGTSTP))
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

    def is_behind(self) -> bool:
        """Whether so much waits to be read that what is typed now may not be looked at before."""
        (waiting,) = struct.unpack("i", fcntl.ioctl(self.slave, termios.FIONREAD, bytes(4)))
        return waiting >= _BEHIND_BYTES

    def interrupt(self, key: bytes) -> bool:
        """Drop what waits to be read and send the foreground program the signal that a key is for, if it is for one that drops what waits."""
        modes = termios.tcgetattr(self.master)
        meant = next((number for at, number in _KEYS if modes[6][at] == key != b"\0"), None)  # no key is a zero
        if meant is None or modes[3] & (termios.ISIG | termios.NOFLSH) != termios.ISIG:
            return False
        termios.tcflush(self.master, termios.TCOFLUSH)  # what the terminal has not looked at, then what it has
        termios.tcflush(self.slave, termios.TCIFLUSH)
        fcntl.ioctl(self.master, _SIGNAL, meant)
        return True

    def close(self) -> None:
        """Close both ends; idempotent."""
        for fd in (self.slave, self.master):
            if fd >= 0:
                os.close(fd)
        self.slave = self.master = -1

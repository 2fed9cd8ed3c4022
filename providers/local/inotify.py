"""The kernel's inotify: one instance, folders that are watched, and what it tells of them. See inotify(7)."""

from __future__ import annotations

import array
import ctypes
import fcntl
import os
import struct
import termios
from collections.abc import Generator
from dataclasses import dataclass
from typing import Final

MODIFY: Final = 0x2
CLOSE_WRITE: Final = 0x8
MOVED_FROM: Final = 0x40
MOVED_TO: Final = 0x80
CREATE: Final = 0x100
DELETE: Final = 0x200
DELETE_SELF: Final = 0x400
MOVE_SELF: Final = 0x800
OVERFLOW: Final = 0x4000
IGNORED: Final = 0x8000
ISDIR: Final = 0x40000000

NAMES: Final = MOVED_FROM | MOVED_TO | DELETE  # what takes a name from a folder

_ONLYDIR: Final = 0x1000000
_MASK_ADD: Final = 0x20000000  # whoever watches the same folder for more is still told of that
_MASK: Final = MODIFY | CLOSE_WRITE | MOVED_FROM | MOVED_TO | CREATE | DELETE | DELETE_SELF | MOVE_SELF | _ONLYDIR
_HEAD: Final = struct.Struct("iIII")
_READ_BYTES: Final = 16 << 10

_libc: Final = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True)
class Told:
    """One thing that was told: of which watch, what (a mask), the number that two halves of a rename share, and of which name."""

    watch: int
    mask: int
    cookie: int
    name: str


class Inotify:
    """An inotify instance, which does not block. `close` it."""

    def __init__(self) -> None:
        self.fd = _checked(_libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))

    def add(self, folder_fd: int, *, names_only: bool = False) -> int:
        """Watch an open folder, for `NAMES` at least; the number of the watch, the same for the same folder. Raises OSError."""
        mask = NAMES | _ONLYDIR | _MASK_ADD if names_only else _MASK
        return _checked(_libc.inotify_add_watch(self.fd, f"/proc/self/fd/{folder_fd}".encode(), mask))

    def remove(self, watch: int) -> None:
        """Watch a folder no more; nothing happens when it is gone."""
        _libc.inotify_rm_watch(self.fd, watch)

    def read(self) -> Generator[Told]:
        """What there is to tell now."""
        try:
            data = os.read(self.fd, _READ_BYTES)
        except BlockingIOError:
            return
        at = 0
        while at < len(data):
            watch, mask, cookie, size = _HEAD.unpack_from(data, at)
            at += _HEAD.size + size
            yield Told(watch, mask, cookie, os.fsdecode(data[at - size : at].rstrip(b"\0")))

    def waiting(self) -> int:
        """How many bytes there are to read."""
        size = array.array("i", [0])
        fcntl.ioctl(self.fd, termios.FIONREAD, size)
        return size[0]

    def close(self) -> None:
        """Close it, and with it all watches."""
        os.close(self.fd)


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result

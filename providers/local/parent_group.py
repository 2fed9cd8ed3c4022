"""The control group below which those of a supervisor's cells are, in one hierarchy; and what others left there that died."""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path
from typing import Final

_PREFIX: Final = "sandql-"
_BUSY_S: Final = 0.5


class ParentGroup:
    """A group of our own, locked for as long as this process lives, so that nobody else removes it."""

    def __init__(self, parent: Path, name: str) -> None:
        """Make it below `parent`; its folder is called sandql-`name`- and something random. Raises OSError."""
        self.folder = parent / f"{_PREFIX}{name}-{os.urandom(4).hex()}"
        self.folder.mkdir()
        self._lock_fd = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._dead = [folder for folder in parent.glob(_PREFIX + "*") if folder != self.folder]
        try:
            fcntl.flock(self._lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self.close()
            raise

    def remove_dead(self) -> None:
        """Remove the groups of supervisors that are no more. What is locked belongs to one that lives; what is busy is tried again later."""
        self._dead = [folder for folder in self._dead if not _remove_unlocked(folder)]

    def close(self) -> None:
        """Remove it, empty by now, and what others left."""
        remove_group(self.folder)
        self.remove_dead()
        os.close(self._lock_fd)


def remove_group(folder: Path) -> bool:
    """Remove a group; False where it is still held."""
    try:
        folder.rmdir()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True


def remove_group_soon(folder: Path) -> None:
    """Remove a group whose last process has been reaped; the kernel may hold it for a moment longer."""
    deadline = time.monotonic() + _BUSY_S
    while not remove_group(folder) and time.monotonic() < deadline:
        time.sleep(0.001)


def _remove_unlocked(folder: Path) -> bool:
    """Remove a parent group and the cells' groups in it unless its supervisor lives; False where something in it is still ending."""
    try:
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return True
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        for name in [entry.name for entry in os.scandir(fd) if entry.is_dir(follow_symlinks=False)]:
            remove_group(folder / name)
        folder.rmdir()
    except BlockingIOError:
        return True
    except OSError:
        return not folder.exists()
    finally:
        os.close(fd)
    return True

"""Walking and removing trees that a hostile program made: any depth, any modes, moved about meanwhile.

One descriptor is open at a time: down by name, without following links, and up by `..`, which is checked to be where we came from.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from errno import ENOTEMPTY, ESTALE
from stat import S_IMODE
from typing import Final

Visit = Callable[[int, list[str]], list[str]]  # an open folder and the names that lead to it -> the names in it to go into
Leave = Callable[[int, str], bool]  # the folder above and the name just left -> whether that one is done with

READ: Final = 0o500  # what an owner needs to look into a folder
CHANGE: Final = 0o700  # and to remove what is in it

_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FOLDER_PATH: Final = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_ATTEMPTS: Final = 100


class TreeMovedError(OSError):
    """A folder was moved while a walk was in it."""

    def __init__(self) -> None:
        super().__init__(ESTALE, "a folder was moved while a walk was in it")


@dataclass(slots=True)
class _Level:
    identity: tuple[int, int]  # device and inode
    mode: int | None  # what to give back on leaving
    pending: list[str]


def walk(top_fd: int, visit: Visit, leave: Leave | None = None, need: int = READ) -> None:
    """Visit a folder and the folders below that `visit` names, depth first; `leave` is called in the folder above each.

    A folder whose owner lacks the `need` bits gets them until the walk has left it (for good, if the walk ends by an error below it).
    A name that is gone or is no folder is passed over.

    Raises:
        TreeMovedError: a folder was moved while the walk was in it.
        OSError: a folder cannot be opened.
    """
    names: list[str] = []
    fd, mode = _open_top(top_fd, need)
    levels: list[_Level] = []
    try:
        levels.append(_Level(_identity(fd), mode, visit(fd, names)))
        while True:
            level = levels[-1]
            if level.pending:
                name = level.pending.pop()
                try:
                    below, mode = _enter(fd, name, need)
                except (FileNotFoundError, NotADirectoryError):
                    continue
                os.close(fd)
                fd = below
                names.append(name)
                levels.append(_Level(_identity(fd), mode, []))
                levels[-1].pending = visit(fd, names)
                continue
            levels.pop()
            above = _ascend(fd, levels[-1].identity) if levels else -1
            if level.mode is not None:
                os.fchmod(fd, level.mode)
            if above < 0:
                return
            os.close(fd)
            fd = above
            name = names.pop()
            if leave is not None and not leave(fd, name):
                levels[-1].pending.append(name)
    finally:
        os.close(fd)


def remove_tree(parent_fd: int, name: str) -> None:
    """Remove a file or a folder with all that is in it; nothing happens when it is not there.

    Raises:
        OSError: something cannot be removed, or somebody goes on making files in it.
    """
    failures = 0

    def leave(fd: int, folder: str) -> bool:
        nonlocal failures
        if _remove_folder(fd, folder):
            return True
        failures += 1
        if failures > _ATTEMPTS:
            raise OSError(ENOTEMPTY, f"{name[:100]!r}: files are made in it faster than they can be removed")
        return False

    for _ in range(_ATTEMPTS):
        if _remove_entry(parent_fd, name):
            return
        try:
            top_fd, _mode = _enter(parent_fd, name, CHANGE)
        except (FileNotFoundError, NotADirectoryError):
            continue
        try:
            walk(top_fd, _clear, leave, CHANGE)
        except TreeMovedError:  # what was removed stays removed, so this comes to an end
            pass
        finally:
            os.close(top_fd)
    raise OSError(ENOTEMPTY, f"{name[:100]!r}: cannot be emptied; is a program still at work in it?")


def _clear(fd: int, names: list[str]) -> list[str]:
    """Remove what is in a folder but for folders that are not empty, whose names it returns."""
    left: list[str] = []
    with os.scandir(fd) as entries:
        for entry in entries:
            done = _remove_folder(fd, entry.name) if entry.is_dir(follow_symlinks=False) else _remove_entry(fd, entry.name)
            if not done:
                left.append(entry.name)
    return left


def _remove_entry(fd: int, name: str) -> bool:
    """Remove a name that may be anything; False where it is a folder that is not empty."""
    try:
        os.unlink(name, dir_fd=fd)
    except FileNotFoundError:
        return True
    except IsADirectoryError:
        return _remove_folder(fd, name)
    return True


def _remove_folder(fd: int, name: str) -> bool:
    try:
        os.rmdir(name, dir_fd=fd)
    except FileNotFoundError:
        return True
    except NotADirectoryError:  # it was replaced meanwhile
        return _remove_entry(fd, name)
    except OSError as error:
        if error.errno == ENOTEMPTY:
            return False
        raise
    return True


def _open_top(fd: int, need: int) -> tuple[int, int | None]:
    """A readable descriptor of a folder that may be open as a path only; and the mode to give back, if it had to be changed."""
    if os.geteuid() == 0:  # no mode stops root
        return os.open(".", _FOLDER, dir_fd=fd), None
    mode = S_IMODE(os.fstat(fd).st_mode)
    changed = mode & need != need
    if changed:  # by this path it is the open folder itself, whatever its name is by now
        os.chmod(f"/proc/self/fd/{fd}", mode | need)
    return os.open(".", _FOLDER, dir_fd=fd), mode if changed else None


def _enter(fd: int, name: str, need: int) -> tuple[int, int | None]:
    if os.geteuid() == 0:
        return os.open(name, _FOLDER, dir_fd=fd), None
    path_fd = os.open(name, _FOLDER_PATH, dir_fd=fd)
    try:
        return _open_top(path_fd, need)
    finally:
        os.close(path_fd)


def _ascend(fd: int, identity: tuple[int, int]) -> int:
    above = os.open("..", _FOLDER, dir_fd=fd)
    if _identity(above) != identity:
        os.close(above)
        raise TreeMovedError
    return above


def _identity(fd: int) -> tuple[int, int]:
    info = os.fstat(fd)
    return info.st_dev, info.st_ino

"""Workspaces for tests: made with a secret beside them, opened as the server does, and disturbed from a thread."""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from sandql.core.values import MiB
from sandql.providers.local.place import Place
from sandql.providers.local.workspace import Workspace

SECRET = b"secret of the server"
QUOTA = (64 * MiB, 1000)

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2
_libc = ctypes.CDLL(None, use_errno=True)


def make_root(folder: Path) -> Path:
    """A workspace's directory, empty, with a secret beside it."""
    (folder / "secret").write_bytes(SECRET)
    root = folder / "workspace"
    root.mkdir()
    return root


def open_workspace(root: Path, place: Place | None = None) -> Workspace:
    """The workspace of a directory, in which all that are given the same place write in turn; nothing has to be closed."""
    fd = os.open(root, os.O_PATH | os.O_DIRECTORY)
    try:
        return Workspace(fd, place)
    finally:
        os.close(fd)


def make_deep(root: Path, levels: int, name: str = "d") -> None:
    """Make folders in folders, deeper than a path can say."""
    fd = os.open(root, os.O_RDONLY)
    for _ in range(levels):
        os.mkdir(name, dir_fd=fd)
        below = os.open(name, os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = below
    os.close(fd)


def exchange(one: Path, other: Path) -> None:
    """Give each the other's name, in one step."""
    if _libc.renameat2(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE):
        raise OSError(ctypes.get_errno(), "renameat2")


@contextmanager
def meanwhile(act: Callable[[], None]) -> Generator[None]:
    """Do something again and again in a thread."""
    stop = threading.Event()

    def work() -> None:
        while not stop.is_set():
            act()

    with ThreadPoolExecutor(1) as pool:
        doing = pool.submit(work)
        try:
            yield
        finally:
            stop.set()
        doing.result()

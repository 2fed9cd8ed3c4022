"""Whose turn it is to write to an audit log, of all processes that do."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

_PATIENCE_S: Final = 1.0  # a line is written in microseconds: who takes longer was stopped
_PAUSE_S: Final = 0.0005


@contextmanager
def audit_turn(folder_fd: int, *, alone: bool = True) -> Generator[None]:
    """Be the only one who writes to the log in an open folder, or with others who only read: not `alone`.

    Raises:
        OSError: somebody else does not come to an end.
    """
    until = time.monotonic() + _PATIENCE_S
    while True:
        try:
            fcntl.flock(folder_fd, (fcntl.LOCK_EX if alone else fcntl.LOCK_SH) | fcntl.LOCK_NB)
            break
        except BlockingIOError as error:
            if time.monotonic() > until:
                raise OSError(error.errno, "another process is in the middle of writing to it") from None
            time.sleep(_PAUSE_S)
    try:
        yield
    finally:
        fcntl.flock(folder_fd, fcntl.LOCK_UN)


def open_folder(folder: Path) -> int:
    """The folder of a log, open for `audit_turn`, to be closed by the caller. Raises OSError."""
    return os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

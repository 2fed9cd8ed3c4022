"""The name of a server in its database, and that no other server takes its state folder."""

from __future__ import annotations

import fcntl
import os
import secrets
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from sandql.core.settings import SettingsError

_FILE: Final = "server-id"
_NAME_BYTES: Final = 32


@contextmanager
def server_name(folder: Path) -> Generator[str]:
    """The name of the server whose state folder that is, made once; its own for as long as this lasts.

    Two servers of one name would each end what they know no work of, though the other does.

    Raises:
        SettingsError: another server has the folder, or it cannot be used.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        fd = os.open(folder / _FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise SettingsError(f"SANDQL_STATE_DIR: {str(folder)!r} cannot be used: {error.strerror}") from None
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SettingsError(f"SANDQL_STATE_DIR: {str(folder)!r} is that of another server that runs; give each a folder of its own") from None
        name = os.pread(fd, _NAME_BYTES, 0).decode("ascii", "replace")
        if len(name) < _NAME_BYTES:
            name = secrets.token_hex(_NAME_BYTES // 2)
            os.pwrite(fd, name.encode(), 0)
            os.fsync(fd)
        yield name
    finally:
        os.close(fd)

"""What the supervisor, its zygotes and templates say when something is wrong: a pipe, passed on to the log a line at a time."""

from __future__ import annotations

import asyncio
import os

import structlog

_log = structlog.get_logger()


class SupervisorLog:
    """Follows the pipe of one supervisor at a time; `last_words` is what was said last."""

    def __init__(self) -> None:
        self._fd = -1
        self.last_words = ""

    def follow(self, fd: int) -> None:
        """Read this pipe from now on, and close it at its end."""
        self.close()
        self._fd = fd
        asyncio.get_running_loop().add_reader(fd, self._read)

    def close(self) -> None:
        """Follow nothing; idempotent."""
        if self._fd >= 0:
            asyncio.get_running_loop().remove_reader(self._fd)
            os.close(self._fd)
            self._fd = -1

    def _read(self) -> None:
        try:
            data = os.read(self._fd, 65_536)
        except BlockingIOError:
            return
        if not data:
            self.close()
            return
        for line in data.decode(errors="replace").splitlines():
            if line.strip():
                self.last_words = line.strip()
                _log.warning("engine", line=line)

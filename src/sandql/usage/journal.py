"""The journal of a server: what was set aside and settled, in a file, before the database is told.

What is in it survives the end of the process, however it ends, as `kill -9` does not take from the kernel what was written; a power
failure may take the last of it. Lines are JSON lists:

    ["R", id, owner, provider, language, day, period, starts_at, executions, cpu_ms, memory_mb_ms]    set aside; `period` is "" without a quota
    ["S", number, id, wall_ms, cpu_ms, memory_kib]                                                     ended, at this cost
    ["F", id]                                                                                          did not start
    ["C", number, owner, provider, language, day, period, starts_at, wall_ms, cpu_ms, memory_kib]      used, and not set aside before
    ["B", number, owner, provider, day, stored, sent]                                                  bytes of files
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

import orjson

RESERVED: Final = "R"
SETTLED: Final = "S"
REFUNDED: Final = "F"
CHARGED: Final = "C"
BYTES: Final = "B"

Entry = Sequence[Any]


class Journal:
    """A file that is only added to, until it is made anew. Closed by `close`."""

    def __init__(self, path: Path) -> None:
        """Raises OSError."""
        self._path = path
        self._fd = _open(path)
        self.size = os.fstat(self._fd).st_size  # bytes

    def write(self, entry: Entry) -> None:
        """Add a line. Raises OSError: it is not added."""
        line = orjson.dumps(entry) + b"\n"
        written = os.write(self._fd, line)
        if written != len(line):  # a full disk takes a part; the next line must not be joined to it
            os.ftruncate(self._fd, self.size)
            raise OSError(f"only {written} of {len(line)} bytes were written")
        self.size += written

    def renew(self, entries: Iterable[Entry]) -> None:
        """Let it hold only these. Raises OSError: it is as it was."""
        new = self._path.with_suffix(".new")
        new.unlink(missing_ok=True)
        fd = _open(new)
        try:
            data = b"".join(orjson.dumps(entry) + b"\n" for entry in entries)
            if data and os.write(fd, data) != len(data):
                raise OSError("the new journal could not be written in full")
            new.rename(self._path)
        except OSError:
            os.close(fd)
            raise
        os.close(self._fd)
        self._fd, self.size = fd, len(data)

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)


def read_journal(path: Path) -> list[list[Any]]:
    """The lines of a journal that nobody writes; a last line that was cut off is removed from it. Raises OSError, ValueError."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return []
    whole = data.rfind(b"\n") + 1
    if whole != len(data):
        os.truncate(path, whole)
    return [orjson.loads(line) for line in data[:whole].splitlines()]


def _open(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)

"""A folder as a stream of .tar.gz, made by a thread that writes no faster than it is read."""

from __future__ import annotations

import asyncio
import fcntl
import os
import threading
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import suppress
from typing import Final

from sandql.core.errors import RateLimited, ResourceError
from sandql.providers.local import archives
from sandql.providers.local.regular import told
from sandql.providers.local.scarce import scarce

_MOST: Final = 16
_MOST_OF_ONE: Final = _MOST // 4
_PIPE_BYTES: Final = 256 << 10


class _Places:
    """How many archives are made, of which homes: clients that take nothing must not keep all others out."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._taken = Counter[str]()

    def take(self, home: str) -> None:
        """Take a place, to be given back. Raises RateLimited."""
        with self._lock:
            if self._taken.total() >= _MOST:
                raise RateLimited(f"archive: at most {_MOST} are made at one time; try again", retry_after_s=1.0)
            if self._taken[home] >= _MOST_OF_ONE:
                raise RateLimited(f"archive: at most {_MOST_OF_ONE} of one sandbox are made at one time; try again", retry_after_s=1.0)
            self._taken[home] += 1

    def give_back(self, home: str) -> None:
        """Give it back."""
        with self._lock:
            self._taken[home] -= 1
            if not self._taken[home]:
                del self._taken[home]


_places: Final = _Places()


async def packed(folder_fd: int, path: str, max_bytes: int, home: str) -> AsyncGenerator[bytes]:
    """The archive of an open folder of a home, which is closed; `path` is for messages. To be begun at once.

    Raises:
        RateLimited, ResourceError: as many as can be are made already.
        PayloadTooLarge: its files have more than `max_bytes`.
        Conflict: a running program holds a file, or moves folders about.
    """
    try:
        _places.take(home)
    except RateLimited:
        os.close(folder_fd)
        raise
    failed: list[Exception] = []
    try:
        with scarce("the archive"):
            read_fd, write_fd = os.pipe2(os.O_CLOEXEC)
    except BaseException:
        os.close(folder_fd)
        _places.give_back(home)
        raise

    def work() -> None:
        try:
            with suppress(BrokenPipeError), open(write_fd, "wb", buffering=_PIPE_BYTES) as target:
                try:
                    with told(path):
                        archives.pack(folder_fd, target, max_bytes)
                except BrokenPipeError:  # nobody reads any more
                    raise
                except Exception as error:  # noted before whoever reads finds the end
                    failed.append(error)
        finally:
            os.close(folder_fd)
            _places.give_back(home)

    with suppress(OSError):  # a user's pipes may be bounded
        fcntl.fcntl(read_fd, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
    os.set_blocking(read_fd, False)
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    try:
        try:
            threading.Thread(target=work, name="sandql-pack", daemon=True).start()
        except RuntimeError:  # the host has no more threads
            for fd in (folder_fd, write_fd):
                os.close(fd)
            _places.give_back(home)
            raise ResourceError("archive: the server can begin no more threads now; try again later", retry_after_s=1.0) from None
        while True:
            try:
                piece = os.read(read_fd, _PIPE_BYTES)
            except BlockingIOError:
                ready.clear()
                loop.add_reader(read_fd, ready.set)  # for this wait only: else what a slow client leaves in the pipe keeps the loop busy
                try:
                    await ready.wait()
                finally:
                    loop.remove_reader(read_fd)
                continue
            if not piece:
                break
            yield piece
    finally:
        os.close(read_fd)
    if failed:
        raise failed[0]

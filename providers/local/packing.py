"""A folder as a stream of .tar.gz, made by a thread that writes no faster than it is read."""

from __future__ import annotations

import asyncio
import fcntl
import os
import threading
from collections.abc import AsyncGenerator
from contextlib import suppress
from typing import Final

from sandql.core.errors import RateLimited
from sandql.providers.local import archives
from sandql.providers.local.regular import told
from sandql.providers.local.scarce import scarce

_MOST: Final = 16
_PIPE_BYTES: Final = 256 << 10

_slots: Final = threading.Semaphore(_MOST)


async def packed(folder_fd: int, path: str, max_bytes: int) -> AsyncGenerator[bytes]:
    """The archive of an open folder, which is closed; `path` is for messages. To be begun at once.

    Raises:
        RateLimited: as many as can be are made already.
        PayloadTooLarge: its files have more than `max_bytes`.
        Conflict: a running program holds a file, or moves folders about.
    """
    if not _slots.acquire(blocking=False):
        os.close(folder_fd)
        raise RateLimited(f"archive: at most {_MOST} are made at one time; try again", retry_after_s=1.0)
    failed: list[Exception] = []
    try:
        with scarce("the archive"):
            read_fd, write_fd = os.pipe2(os.O_CLOEXEC)
    except BaseException:
        os.close(folder_fd)
        _slots.release()
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
            _slots.release()

    with suppress(OSError):  # a user's pipes may be bounded
        fcntl.fcntl(read_fd, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
    os.set_blocking(read_fd, False)
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    try:
        threading.Thread(target=work, name="sandql-pack", daemon=True).start()
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

"""Which descriptors of cells can be read: one epoll for all of them, and that is what the event loop watches.

A descriptor that is watched for as long as a short run lasts costs uvloop eight system calls, and an epoll of our own two.
"""

from __future__ import annotations

import asyncio
import select
from collections.abc import Callable
from typing import Final

_MOST_AT_ONCE: Final = 256


class Readers:
    """Calls back on the running event loop for as long as a descriptor can be read, or has ended. `close` it."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._callbacks: dict[int, Callable[[], object]] = {}
        self._closing = False
        self._epoll = select.epoll()
        self._loop.add_reader(self._epoll.fileno(), self._call)

    def add(self, fd: int, callback: Callable[[], object]) -> None:
        """Begin to watch `fd`, which is to be removed before it is closed. Raises OSError: it cannot be watched."""
        if not self._epoll.closed:
            self._epoll.register(fd, select.EPOLLIN)
            self._callbacks[fd] = callback

    def remove(self, fd: int) -> None:
        """Watch `fd` no more, if it was watched."""
        if self._callbacks.pop(fd, None) is not None:
            self._epoll.unregister(fd)
            self._close_unused()

    def close(self) -> None:
        """Watch no more than what is still watched, and nothing once that was removed."""
        self._closing = True
        self._close_unused()

    def _close_unused(self) -> None:
        if self._closing and not self._callbacks and not self._epoll.closed:
            self._loop.remove_reader(self._epoll.fileno())
            self._epoll.close()

    def _call(self) -> None:
        for fd, _ in self._epoll.poll(0, _MOST_AT_ONCE):
            callback = self._callbacks.get(fd)
            if callback is not None:  # one that was called before it may have removed it
                callback()

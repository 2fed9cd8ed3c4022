"""Watching folders of workspaces for whoever subscribed, by one inotify instance for all."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncGenerator
from errno import EMFILE, ENOSPC
from typing import Final

from sandql.core.errors import ResourceError
from sandql.core.files import FileChanges
from sandql.providers.local import inotify
from sandql.providers.local.watch import Watch
from sandql.providers.local.workspace import Workspace

_TOGETHER_S: Final = 0.03  # what comes within this time is told together
_PAUSE_S: Final = 0.005  # after a full reading: a program that floods the kernel's queue must not take all of the house's time
_RESTART_S: Final = 1.0  # between two times that a watch begins anew


class Watching:
    """All watches of a provider. Made where an event loop runs; `close` it."""

    def __init__(self, most_folders: int) -> None:
        self._most_folders = most_folders
        self._inotify: inotify.Inotify | None = None
        self._watches: defaultdict[int, set[Watch]] = defaultdict(set)
        self._watched: defaultdict[str, set[Watch]] = defaultdict(set)

    def close(self) -> None:
        """Watch nothing any more."""
        if self._inotify is not None:
            asyncio.get_running_loop().remove_reader(self._inotify.fd)
            self._inotify.close()
            self._inotify = None

    def end(self, home: str) -> None:
        """Watch a workspace no more that is being destroyed: the kernel says so only when nobody has it open."""
        for watch in self._watched.get(home, ()):
            watch.gone = True
            watch.woken.set()

    async def changes(self, workspace: Workspace, path: str, recursive: bool, home: str = "") -> AsyncGenerator[FileChanges]:
        """What becomes of a folder of a workspace, and with `recursive` of those below; ends when the folder is gone or has another path.

        `home` is the name by which `end` knows the workspace. What comes first, and at once, is empty: from then on nothing is missed.

        Raises:
            NotFound: there is no such folder.
            ResourceError: there are more folders than may be watched.
        """
        loop = asyncio.get_running_loop()
        watch = Watch(self, workspace, path, recursive, self._most_folders)
        self._watched[home].add(watch)
        try:
            await watch.begin()
            yield FileChanges((), False)
            may_restart_at = loop.time()
            while not watch.gone:
                await watch.woken.wait()
                await asyncio.sleep(_TOGETHER_S)
                if watch.is_lost:
                    await asyncio.sleep(max(0.0, may_restart_at - loop.time()))
                    may_restart_at = loop.time() + _RESTART_S
                    await watch.restart()
                await watch.look_into_new()
                told = await watch.take()
                if told.changes or told.overflow:
                    yield told
        finally:
            watch.end()
            self._watched[home].discard(watch)
            if not self._watched[home]:
                del self._watched[home]

    def add(self, watch: Watch, folder_fd: int, *, names_only: bool = False) -> int:
        """Watch an open folder for somebody, who may need to know only what takes names from it; the number of its watch. Raises ResourceError."""
        try:
            if self._inotify is None:
                self._inotify = inotify.Inotify()
                asyncio.get_running_loop().add_reader(self._inotify.fd, self._read)
            number = self._inotify.add(folder_fd, names_only=names_only)
        except OSError as error:
            if error.errno in (ENOSPC, EMFILE):
                raise ResourceError("fileChanges: this machine can watch no more folders now; watch fewer, or without recursion") from None
            raise
        self._watches[number].add(watch)
        return number

    def drop(self, watch: Watch, number: int) -> None:
        """Watch a folder no more for somebody."""
        watches = self._watches.get(number)
        if watches is None:
            return
        watches.discard(watch)
        if not watches:
            del self._watches[number]
            if self._inotify is not None:
                self._inotify.remove(number)

    def is_idle(self) -> bool:
        """Whether all that the kernel had to tell was heard."""
        return self._inotify is None or self._inotify.waiting() == 0

    def _read(self) -> None:
        assert self._inotify is not None
        touched: set[Watch] = set()
        full = False
        for told in self._inotify.read():
            full = True
            everybody = told.mask & inotify.OVERFLOW
            watches = [watch for some in self._watches.values() for watch in some] if everybody else self._watches.get(told.watch, ())
            for watch in tuple(watches):
                watch.hear(told)
                touched.add(watch)
        for watch in touched:
            watch.settle()
        if self.is_idle():
            for watch in {watch for some in self._watches.values() for watch in some}:
                watch.trust()
        elif full:
            loop = asyncio.get_running_loop()
            loop.remove_reader(self._inotify.fd)
            loop.call_later(_PAUSE_S, self._go_on)

    def _go_on(self) -> None:
        if self._inotify is not None:
            asyncio.get_running_loop().add_reader(self._inotify.fd, self._read)

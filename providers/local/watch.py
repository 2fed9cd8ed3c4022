"""One who watches a folder: which folders are watched for that, and what has not been told yet."""

from __future__ import annotations

import asyncio
import os
from collections import deque
from dataclasses import dataclass, field
from typing import Final, Protocol

from sandql.core.errors import BadRequest, NotFound, ResourceError, SandqlError
from sandql.core.files import ChangeKind, FileChanges
from sandql.providers.local import inotify
from sandql.providers.local.beneath import split_path
from sandql.providers.local.news import News
from sandql.providers.local.regular import told as telling
from sandql.providers.local.threads import in_thread
from sandql.providers.local.workspace import Workspace
from sandql.providers.local.writes import UNFINISHED

_MOST_NAMES: Final = 65_536
_MOST_FRESH: Final = 64
_AT_ONCE: Final = 16  # folders that are looked into before others have their turn


class Kernel(Protocol):
    """Where folders are watched, by numbers."""

    def add(self, watch: Watch, folder_fd: int, *, names_only: bool = False) -> int: ...

    def drop(self, watch: Watch, number: int) -> None: ...

    def is_idle(self) -> bool: ...


@dataclass(eq=False, slots=True)
class _Folder:
    """A folder that is watched; without a parent it is the one that was asked for, or watched no more."""

    number: int
    name: str
    parent: _Folder | None
    names: set[str] = field(default_factory=set[str])
    below: dict[str, _Folder] = field(default_factory=dict[str, "_Folder"])

    def is_in(self, other: _Folder) -> bool:
        """Whether it is that folder, or one below."""
        folder: _Folder | None = self
        while folder is not None and folder is not other:
            folder = folder.parent
        return folder is other

    def path_of(self, name: str) -> str:
        """The path of a name in it."""
        parts = [name]
        folder: _Folder | None = self
        while folder is not None:
            parts.append(folder.name)
            folder = folder.parent
        return "/".join(part for part in reversed(parts) if part)


class Watch:
    """One subscription; `end` it.

    The kernel tells of folders by numbers. Which folder has which number is known from looking: it is opened by its path, and then
    watched. Where it was renamed between the two that is wrong, and shows when the rename is told; then all is looked at anew.
    """

    def __init__(self, kernel: Kernel, workspace: Workspace, path: str, recursive: bool, most_folders: int) -> None:
        self._kernel = kernel
        self._workspace = workspace
        self._path = "/".join(split_path(path))
        self._recursive = recursive
        self._most_folders = most_folders
        self._top = (0, 0)  # which folder was asked for, by its device and inode
        self._above: dict[int, str] = {}  # the folders on the way to it, and the name in each that leads there
        self._folders: dict[int, _Folder] = {}
        self._names = 0
        self._unseen: deque[tuple[_Folder, str, bool]] = deque()  # folders to look into, and whether what is in them is told
        self._fresh: set[_Folder] = set()  # looked into when the kernel may still have had something to tell of before
        self._moving: dict[int, tuple[_Folder, str, bool]] = {}  # by their cookie: what left where, by which name, and whether it is a folder
        self._news = News()
        self.is_lost = False
        self.gone = False
        self.woken = asyncio.Event()

    async def begin(self) -> None:
        """Watch the folder, and those below. Raises NotFound, BadRequest, ResourceError."""
        parts = split_path(self._path)
        for depth, name in enumerate(parts):  # each before the next is opened, so that a rename between the two is told
            self._look_above("/".join(parts[:depth]), name)
        self._look_into(None, self._path, tell=False)
        await self._look_on()
        if self.is_lost:
            self.woken.set()

    async def restart(self) -> None:
        """Look at all folders anew; whoever watches must do so as well."""
        self.end()
        self._news.lose()
        self.is_lost = False
        try:
            await self.begin()
        except (NotFound, BadRequest):
            self.gone = True
        except ResourceError:  # what more there is now is not seen
            self._unseen.clear()
            self.gone = not self._folders  # or nothing would be told any more

    async def look_into_new(self) -> None:
        """Watch folders that are new, and tell what is in them already."""
        try:
            await self._look_on()
        except ResourceError:
            self._unseen.clear()
            self._news.lose()

    async def take(self) -> FileChanges:
        """What was heard since."""
        self.woken.clear()
        news, self._news = self._news, News()
        if self.is_lost or self._unseen:
            self.woken.set()
        if news.is_empty:
            return FileChanges((), news.overflow)
        workspace = self._workspace.again()
        return await in_thread(lambda: news.changes(workspace))

    def end(self) -> None:
        """Watch nothing any more."""
        for number in (*self._folders, *self._above):
            self._kernel.drop(self, number)
        self._folders.clear()
        self._above.clear()
        self._unseen.clear()
        self._moving.clear()
        self._fresh.clear()
        self._names = 0

    def trust(self) -> None:
        """The kernel has nothing to tell any more: the folders are where they were found."""
        self._fresh.clear()

    def hear(self, told: inotify.Told) -> None:
        """Take note of what the kernel tells."""
        if told.mask & inotify.OVERFLOW:
            self.is_lost = True
            return
        if told.mask & inotify.NAMES and self._above.get(told.watch) == told.name and not self._is_at_its_path():
            self.gone = True
        folder = self._folders.get(told.watch)
        if folder is None or self.gone:  # by the path of one that is gone, another may be found
            return
        name, is_folder = told.name, bool(told.mask & inotify.ISDIR)
        if told.mask & (inotify.IGNORED | inotify.DELETE_SELF | inotify.MOVE_SELF):
            if folder.parent is None:
                self.gone = True
            elif not told.mask & inotify.MOVE_SELF:  # of which the folder above tells
                self._drop(folder)
        elif told.mask & inotify.MOVED_FROM:
            self._lose_name(folder, name)
            self._moving[told.cookie] = (folder, name, is_folder)
        elif UNFINISHED.match(name):
            return
        elif told.mask & inotify.MOVED_TO:
            self._arrived(told.cookie, folder, name, is_folder)
        elif told.mask & inotify.CREATE:
            if name not in folder.names:  # else it was found there already
                self._news.note(ChangeKind.CREATED, folder.path_of(name), is_folder)
                self._see(folder, name, is_folder)
        elif told.mask & inotify.DELETE:
            self._lose_name(folder, name)
            if is_folder:
                self._leave(folder, name)
            self._news.note(ChangeKind.REMOVED, folder.path_of(name), is_folder)
        elif told.mask & (inotify.MODIFY | inotify.CLOSE_WRITE):
            self._news.note(ChangeKind.MODIFIED, folder.path_of(name), is_folder)

    def settle(self) -> None:
        """What has left a path and come nowhere that is watched, was removed as far as can be seen."""
        for folder, name, is_folder in self._moving.values():
            if not UNFINISHED.match(name):
                self._news.note(ChangeKind.REMOVED, folder.path_of(name), is_folder)
                self._leave(folder, name)
        self._moving.clear()
        if not self._news.is_empty or self._news.overflow or self._unseen or self.is_lost or self.gone:
            self.woken.set()

    def _arrived(self, cookie: int, folder: _Folder, name: str, is_folder: bool) -> None:
        """Something was renamed to a name in a folder."""
        source = self._moving.pop(cookie, None)
        if source is None or UNFINISHED.match(source[1]):
            is_new = is_folder or name not in folder.names
            self._leave(folder, name)
            self._news.note(ChangeKind.CREATED if is_new else ChangeKind.MODIFIED, folder.path_of(name), is_folder)
            self._see(folder, name, is_folder)
            return
        from_folder, from_name, _ = source
        before = from_folder.path_of(from_name)
        self._leave(folder, name)  # what it took the place of
        moved = self._leave(from_folder, from_name, drop=False)
        self._news.note(ChangeKind.MOVED, folder.path_of(name), is_folder, before)
        self._keep_name(folder, name)
        if moved is not None and folder.is_in(moved):  # by old news, of folders that were moved again since
            self.is_lost = True
            self._drop(moved)
        elif moved is not None:
            moved.parent, moved.name = folder, name
            folder.below[name] = moved
        elif is_folder:
            self._see(folder, name, is_folder)

    def _leave(self, folder: _Folder, name: str, *, drop: bool = True) -> _Folder | None:
        """A folder is no more where it was."""
        left = folder.below.pop(name, None)
        if left is None:
            return None
        if self._is_fresh(left):  # this may have been before it was looked into, and of another folder of that name
            self.is_lost = True
        left.parent = None
        if drop:
            self._drop(left)
        return left

    def _is_fresh(self, left: _Folder) -> bool:
        """Whether a folder, or one below, is not known for sure to be where it was found."""
        if len(self._fresh) > _MOST_FRESH:
            return True
        for fresh in self._fresh:
            folder: _Folder | None = fresh
            while folder is not None:
                if folder is left:
                    return True
                folder = folder.parent
        return False

    def _drop(self, folder: _Folder) -> None:
        """Watch a folder and those below no more."""
        if folder.parent is not None and folder.parent.below.get(folder.name) is folder:
            del folder.parent.below[folder.name]
        waiting = [folder]
        while waiting:
            gone = waiting.pop()
            waiting += gone.below.values()
            gone.below.clear()
            gone.parent = None
            self._names -= len(gone.names)
            self._fresh.discard(gone)
            if self._folders.pop(gone.number, None) is not None:
                self._kernel.drop(self, gone.number)

    def _see(self, folder: _Folder, name: str, is_folder: bool) -> None:
        """Something is there that was not."""
        self._keep_name(folder, name)
        if self._recursive and is_folder:
            self._unseen.append((folder, name, True))

    async def _look_on(self) -> None:
        looked = 0
        while self._unseen and not self.is_lost and not self.gone:
            folder, name, tell = self._unseen.popleft()
            if folder.number not in self._folders or name in folder.below:
                continue
            try:
                self._look_into(folder, name, tell=tell)
            except (NotFound, BadRequest):  # it is gone already, or no folder any more
                continue
            looked += 1
            if looked % _AT_ONCE == 0:
                await asyncio.sleep(0)

    def _look_above(self, path: str, name: str) -> None:
        self._make_room()
        fd = self._workspace.open_folder(path)
        try:
            self._above[self._kernel.add(self, fd, names_only=True)] = name
        finally:
            os.close(fd)

    def _is_at_its_path(self) -> bool:
        """Whether the path of the folder that was asked for still leads to it. Its own end is told late or never while a program stands in it."""
        try:
            fd = self._workspace.open_folder(self._path)
        except (SandqlError, OSError):
            return False
        try:
            return _identity(fd) == self._top
        finally:
            os.close(fd)

    def _make_room(self) -> None:
        if len(self._folders) + len(self._above) >= self._most_folders:
            raise ResourceError(f"path: at most {self._most_folders} folders can be watched at a time; watch a folder below, or without recursion")

    def _look_into(self, parent: _Folder | None, name: str, *, tell: bool) -> None:
        self._make_room()
        path = name if parent is None else parent.path_of(name)
        fd = self._workspace.open_folder(path)
        try:
            if parent is None:
                self._top = _identity(fd)
            number = self._kernel.add(self, fd)
            if number in self._folders:  # it was renamed meanwhile, and is found under two names
                self.is_lost = True
                return
            folder = self._folders[number] = _Folder(number, name, parent)
            if parent is not None:
                parent.below[name] = folder
            self._fresh.add(folder)
            with telling(path):
                self._look_through(fd, folder, tell)
        finally:
            os.close(fd)
        if self._kernel.is_idle():
            self._fresh.clear()

    def _look_through(self, fd: int, folder: _Folder, tell: bool) -> None:
        listing = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=fd)
        try:
            with os.scandir(listing) as entries:
                for entry in entries:
                    if UNFINISHED.match(entry.name):
                        continue
                    is_folder = entry.is_dir(follow_symlinks=False)
                    self._keep_name(folder, entry.name)
                    if tell:
                        self._news.note(ChangeKind.CREATED, folder.path_of(entry.name), is_folder)
                    if is_folder and self._recursive:
                        self._unseen.append((folder, entry.name, tell))
        finally:
            os.close(listing)

    def _keep_name(self, folder: _Folder, name: str) -> None:
        if self._names < _MOST_NAMES and name not in folder.names:
            self._names += 1
            folder.names.add(name)

    def _lose_name(self, folder: _Folder, name: str) -> None:
        if name in folder.names:
            self._names -= 1
            folder.names.discard(name)


def _identity(fd: int) -> tuple[int, int]:
    info = os.fstat(fd)
    return info.st_dev, info.st_ino

"""Listing the folders of a workspace, whole or a page at a time. All block."""

from __future__ import annotations

import os
from bisect import bisect_right
from collections.abc import Callable, Iterable
from heapq import nsmallest
from operator import itemgetter
from stat import S_IFDIR, S_IFLNK, S_IFMT, S_IFREG, S_IMODE
from typing import Final, TypeVar

from sandql.core.errors import BadRequest, ResourceError
from sandql.core.values import FileEntry, FileType
from sandql.providers.local.beneath import MAX_PATH_BYTES, split_path
from sandql.providers.local.globs import Globs, State
from sandql.providers.local.names import sorted_names
from sandql.providers.local.regular import shown
from sandql.providers.local.trees import TreeMovedError, walk
from sandql.providers.local.writes import UNFINISHED, lstat

_ATTEMPTS: Final = 5
_PAGED: Final = 16  # a page is cut from what is looked at, so that may be more than can be returned
_TYPES: Final = {S_IFREG: FileType.FILE, S_IFDIR: FileType.DIRECTORY, S_IFLNK: FileType.SYMLINK}

_Item = TypeVar("_Item")
_Named = tuple[str, os.DirEntry[str]]  # a path as it is shown


class Listing:
    """What of a folder is asked for.

    Args:
        path: the folder's, for messages and as the begin of the paths of what is in it.
        recursive: whether to go into the folders below.
        glob: what the paths must match, relative to the folder; all of them for None.
        first: how many to return; all for None.
        after: the path behind which they begin.
        most: how many may be returned; with `first`, sixteen times as many may be looked at.

    Raises:
        BadRequest: the glob is not acceptable.
    """

    def __init__(self, path: str, *, recursive: bool, glob: str | None, first: int | None, after: str | None, most: int) -> None:
        self._path = path
        self._prefix = "".join(part + "/" for part in split_path(path))
        self._recursive = recursive
        self._globs = _compiled(glob)
        self._first = first
        self._after = after or ""
        self._most = most
        self._most_seen = most if first is None else _PAGED * most
        self._seen = 0
        self._found: list[FileEntry] = []
        self._states: list[State] = []

    def of(self, folder_fd: int) -> list[FileEntry]:
        """The entries of a folder, open as a path, sorted by path.

        Raises:
            ResourceError: there are too many entries, or folders nest deeper than a path can say.
            TreeMovedError: a program moves them about.
        """
        for left in reversed(range(_ATTEMPTS)):
            self._found, self._seen = [], 0
            try:
                walk(folder_fd, self._visit)
                break
            except TreeMovedError:
                if not left:
                    raise
        return sorted(self._found, key=_path) if self._first is None else self._page(self._found, _path, self._first)

    def _visit(self, fd: int, names: list[str]) -> list[str]:
        here = self._prefix + "".join(name + "/" for name in names)
        if not self._recursive and self._globs is None:
            self._found = self._plain(fd, here)
            return []
        matches = self._matcher(names)
        named: list[_Named] = []
        folders: list[str] = []
        with os.scandir(fd) as entries:
            for entry in entries:
                if UNFINISHED.match(entry.name):
                    continue
                self._seen += 1
                self._check_number(self._seen)
                path = shown(here + entry.name)
                if path > self._after and (matches is None or matches(entry.name)):
                    named.append((path, entry))
                if self._recursive and entry.is_dir(follow_symlinks=False) and not self._is_behind(path):
                    self._check_depth(here + entry.name)
                    folders.append(entry.name)
            if self._first is not None and len(named) > self._first:
                named = self._page(named, itemgetter(0), self._first)  # no more of one folder can be in the answer
            self._found += [listed for path, entry in named if (listed := _entry(entry, path)) is not None]
        return folders

    def _plain(self, fd: int, here: str) -> list[FileEntry]:
        """What is in one folder, with no more work than that takes for each name."""
        names = sorted_names(fd)
        self._check_number(len(names.all))
        if here.isascii() and names.are_ascii:
            named: Iterable[tuple[str, str]] = ((here + name, name) for name in names.all[self._begin(names.all, here) :])
        else:  # they are in another order, and shown otherwise, than they are written
            named = sorted((path, name) for name in names.all if (path := shown(here + name)) > self._after)
        found: list[FileEntry] = []
        for path, name in named:
            if UNFINISHED.match(name):
                continue
            if self._first is not None and len(found) >= self._first and path != found[-1].path:
                break
            info = lstat(fd, name)
            if info is not None:
                found.append(file_entry(path, info))
                self._check_alike(len(found))
        return found

    def _page(self, found: list[_Item], path: Callable[[_Item], str], first: int) -> list[_Item]:
        """The first of them, and all that are shown alike to the last of those: the next page begins behind their path."""
        page = nsmallest(first, found, key=path)
        if len(page) == first:
            last = path(page[-1])
            page = [item for item in page if path(item) != last] + [item for item in found if path(item) == last]
            self._check_alike(len(page))
        return page

    def _begin(self, names: tuple[str, ...], here: str) -> int:
        """Where in the sorted names of a folder begins what is asked for."""
        if self._after.startswith(here):
            return bisect_right(names, self._after[len(here) :])
        return len(names) if self._after > here else 0

    def _matcher(self, names: list[str]) -> Callable[[str], bool] | None:
        globs = self._globs
        if globs is None:
            return None
        del self._states[len(names) :]
        state = globs.enter(self._states[-1], names[-1]) if names else globs.start()
        self._states.append(state)
        return lambda name: globs.matches(state, name)

    def _is_behind(self, folder: str) -> bool:
        """Whether all that lies in a folder comes before what is asked for."""
        below = folder + "/"
        return below < self._after and not self._after.startswith(below)

    def _check_number(self, number: int) -> None:
        if number > self._most_seen:
            raise ResourceError(f"path: {self._path[:100]!r} has more than {self._most_seen} entries; list a folder below it, or page by page")

    def _check_alike(self, number: int) -> None:
        if number > self._most:
            raise ResourceError(
                f"path: {self._path[:100]!r} has more than {self._most} entries whose names are not UTF-8 and shown alike; rename some"
            )

    def _check_depth(self, path: str) -> None:
        if len(os.fsencode(path)) > MAX_PATH_BYTES:
            raise ResourceError(f"path: folders below {self._path[:100]!r} nest deeper than {MAX_PATH_BYTES} bytes of path")


def file_entry(path: str, info: os.stat_result) -> FileEntry:
    """An entry of a path as it is shown. The size is 0 for what is neither a file nor a link."""
    mode = info.st_mode
    kind = _TYPES.get(S_IFMT(mode), FileType.OTHER)
    size = info.st_size if kind is FileType.FILE or kind is FileType.SYMLINK else 0
    return FileEntry(path.rpartition("/")[2], path, kind, size, info.st_mtime, S_IMODE(mode))


def _entry(entry: os.DirEntry[str], path: str) -> FileEntry | None:
    try:
        return file_entry(path, entry.stat(follow_symlinks=False))
    except FileNotFoundError:
        return None


def _path(entry: FileEntry) -> str:
    return entry.path


def _compiled(glob: str | None) -> Globs | None:
    if glob is None:
        return None
    try:
        return Globs((split_path(glob),))
    except ValueError as error:
        raise BadRequest(f"glob: {error}") from None

"""File operations in a workspace, by the server, while whatever runs in it may be hostile. All block: call them in a thread."""

from __future__ import annotations

import os
import re
import secrets
import threading
import weakref
from stat import S_IMODE, S_ISDIR, S_ISLNK, S_ISREG
from typing import Final

from sandql.core.errors import BadRequest, ResourceError
from sandql.core.values import FileContent, FileEntry, FileType
from sandql.providers.local.artifacts import collect
from sandql.providers.local.beneath import MAX_PATH_BYTES, open_beneath, split_path, step
from sandql.providers.local.regular import LOOK, kind_of, read_regular, shown, told
from sandql.providers.local.trees import CHANGE, TreeMovedError, remove_tree, walk

__all__ = ["Workspace", "remove_tree"]

_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY
_BLOCK_BYTES: Final = 512  # the unit of st_blocks, whatever the file system's own is
_ATTEMPTS: Final = 5
_UNFINISHED: Final = re.compile(r"\.sandql-write-[0-9a-f]{16}\Z")

_locks: Final[weakref.WeakValueDictionary[tuple[int, int], threading.Lock]] = weakref.WeakValueDictionary()
_locks_guard: Final = threading.Lock()


class Workspace:
    """The files beneath one directory. Paths are relative to it; no symbolic link is ever followed.

    Args:
        root_fd: the directory, open for reading or as a path; it is duplicated, so the caller may close it at any time. The copy is
            closed with the last reference, so that a thread that outlives its cancelled caller never works on a reused number.
    """

    def __init__(self, root_fd: int) -> None:
        self._root = os.dup(root_fd)
        weakref.finalize(self, os.close, self._root)
        info = os.fstat(self._root)
        with _locks_guard:  # one lock a directory, not an object: a quota holds for all who write
            self._writing = _locks.setdefault((info.st_dev, info.st_ino), threading.Lock())

    def list_entries(self, path: str, recursive: bool, most: int) -> list[FileEntry]:
        """What is in a folder, sorted by path; with `recursive`, what is in its folders too.

        A byte of a name that is not UTF-8 is shown as U+FFFD. The size is 0 for what is neither a file nor a link.

        Raises:
            NotFound: there is no such folder.
            BadRequest: it is not a folder, or a symbolic link leads there.
            ResourceError: there are more than `most` entries, or folders nest deeper than a path can say.
        """
        parts = split_path(path)
        prefix = "".join(part + "/" for part in parts)
        found: list[FileEntry] = []

        def visit(fd: int, names: list[str]) -> list[str]:
            here = prefix + "".join(name + "/" for name in names)
            folders: list[str] = []
            with os.scandir(fd) as entries:
                for entry in entries:
                    if (listed := _entry(entry, here)) is None:
                        continue
                    if len(found) >= most:
                        raise ResourceError(f"path: {path[:100]!r} has more than {most} entries; list a folder below it, or without recursion")
                    found.append(listed)
                    if recursive and listed.type is FileType.DIRECTORY:
                        if len(os.fsencode(here + entry.name)) > MAX_PATH_BYTES:
                            raise ResourceError(f"path: folders below {path[:100]!r} nest deeper than {MAX_PATH_BYTES} bytes of path")
                        folders.append(entry.name)
            return folders

        with told(path):
            fd = open_beneath(self._root, parts, LOOK)
            try:
                mode = os.fstat(fd).st_mode
                if not S_ISDIR(mode):
                    raise BadRequest(f"path: {path[:100]!r} is {kind_of(mode)}, not a folder")
                for left in reversed(range(_ATTEMPTS)):
                    try:
                        found.clear()
                        walk(fd, visit)
                        break
                    except TreeMovedError:
                        if not left:
                            raise
            finally:
                os.close(fd)
        return sorted(found, key=lambda entry: entry.path)

    def read(self, path: str, max_bytes: int) -> bytes:
        """A regular file, whole.

        Raises:
            NotFound: there is no such file.
            BadRequest: it is something else, a symbolic link leads there, or its permissions forbid it.
            PayloadTooLarge: it has more than `max_bytes`.
            Conflict: a running program holds it back.
        """
        parts = split_path(path)
        with told(path):
            fd = open_beneath(self._root, parts, LOOK)
            try:
                return read_regular(fd, path, max_bytes)
            finally:
                os.close(fd)

    def write(self, path: str, content: bytes, quota_bytes: int, quota_inodes: int) -> None:
        """Write a file whole, making its parents; a reader sees the old bytes or the new, and once this returns the new ones last.

        A symbolic link of that name is replaced, not followed. New files belong to whom the workspace belongs.

        Raises:
            BadRequest: the path names a folder, or leads through a file or a symbolic link.
            ResourceError: the workspace would have more than `quota_bytes` or `quota_inodes`, or the disk is full.
        """
        parts = split_path(path)
        if not parts:
            raise BadRequest(f"path: must name a file in the workspace, got {path[:100]!r}")
        with self._writing, told(path):
            fd, missing = self._deepest(parts)
            try:
                old = None if len(missing) > 1 else _lstat(fd, parts[-1])
                if old is not None and S_ISDIR(old.st_mode):
                    raise BadRequest(f"path: {path[:100]!r} is a folder")
                self._check_quota(fd, path, len(content), len(missing), old, quota_bytes, quota_inodes)
                for name in missing[:-1]:
                    below = self._make_folder(fd, name)
                    os.close(fd)
                    fd = below
                self._replace(fd, parts[-1], content, S_IMODE(old.st_mode) & 0o777 if old is not None and S_ISREG(old.st_mode) else 0o644)
            finally:
                os.close(fd)

    def usage(self) -> tuple[int, int]:
        """What the workspace takes: bytes on disk, and files and folders in it; a file with several names counts once.

        Raises:
            ResourceError: a program moves folders about too fast for it to be counted.
        """
        for _ in range(_ATTEMPTS):
            try:
                return self._count()
            except TreeMovedError:
                continue
        raise ResourceError("workspace: a program moves its folders about too fast for them to be counted")

    def collect(self, patterns: tuple[str, ...], max_files: int, max_total_bytes: int) -> list[FileContent]:
        """The regular files that paths or globs (`*`, `?`, `**`) name, each once, sorted by path; what is not there is left out.

        Raises:
            BadRequest: a pattern is not acceptable.
            PayloadTooLarge: there are more than `max_files`, or more than `max_total_bytes` in all.
            ResourceError: looking through the workspace takes too long.
        """
        return collect(self._root, patterns, max_files, max_total_bytes)

    def remove_unfinished(self) -> None:
        """Remove what writes left that a crash cut off. No write may be under way."""

        def visit(fd: int, names: list[str]) -> list[str]:
            folders: list[str] = []
            with os.scandir(fd) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(entry.name)
                    elif _UNFINISHED.match(entry.name):
                        os.unlink(entry.name, dir_fd=fd)
            return folders

        walk(self._root, visit, need=CHANGE)

    def _count(self) -> tuple[int, int]:
        used_bytes = used_inodes = 0
        linked: set[tuple[int, int]] = set()

        def visit(fd: int, names: list[str]) -> list[str]:
            nonlocal used_bytes, used_inodes
            folders: list[str] = []
            with os.scandir(fd) as entries:
                for entry in entries:
                    try:
                        info = entry.stat(follow_symlinks=False)
                    except FileNotFoundError:
                        continue
                    if S_ISDIR(info.st_mode):
                        folders.append(entry.name)
                    elif info.st_nlink > 1:
                        identity = (info.st_dev, info.st_ino)
                        if identity in linked:
                            continue
                        linked.add(identity)
                    used_bytes += info.st_blocks * _BLOCK_BYTES
                    used_inodes += 1
            return folders

        walk(self._root, visit)
        return used_bytes, used_inodes

    def _deepest(self, parts: tuple[str, ...]) -> tuple[int, tuple[str, ...]]:
        """The deepest folder of a path that is there, open, and the parts that are not; the last part always counts as missing."""
        fd = step(self._root, ".", _FOLDER)
        for at, part in enumerate(parts[:-1]):
            try:
                below = step(fd, part, _FOLDER)
            except FileNotFoundError:
                return fd, parts[at:]
            except BaseException:
                os.close(fd)
                raise
            os.close(fd)
            fd = below
        return fd, parts[-1:]

    def _check_quota(self, fd: int, path: str, size: int, names: int, old: os.stat_result | None, quota_bytes: int, quota_inodes: int) -> None:
        """Refuse a write of `size` bytes under `names` new names, the last of which may replace `old`."""
        block = os.statvfs(fd).f_frsize
        used_bytes, used_inodes = self.usage()
        freed = old.st_blocks * _BLOCK_BYTES if old is not None and old.st_nlink == 1 else 0
        needed_bytes = (-(-size // block) + names - 1) * block
        needed_inodes = names - (1 if old is not None and old.st_nlink == 1 else 0)
        if used_bytes - freed + needed_bytes > quota_bytes:
            raise ResourceError(
                f"workspace: at most {quota_bytes} bytes, {used_bytes} are used and {path[:100]!r} takes {needed_bytes} more; remove files first"
            )
        if used_inodes + needed_inodes > quota_inodes:
            raise ResourceError(f"workspace: at most {quota_inodes} files and folders, {used_inodes} are there; remove some before {path[:100]!r}")

    def _make_folder(self, fd: int, name: str) -> int:
        try:
            os.mkdir(name, 0o755, dir_fd=fd)
        except FileExistsError:  # made meanwhile: what it is shows when it is opened
            return step(fd, name, _FOLDER)
        os.fsync(fd)
        below = step(fd, name, _FOLDER)
        self._give(below)
        return below

    def _replace(self, folder_fd: int, name: str, content: bytes, mode: int) -> None:
        """Write beside, bring to the disk, rename, and bring that to the disk."""
        beside = f".sandql-write-{secrets.token_hex(8)}"
        fd = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=folder_fd)
        try:
            try:
                view = memoryview(content)
                while view:
                    view = view[os.write(fd, view) :]
                self._give(fd)
                os.fchmod(fd, mode)
                os.fsync(fd)
            finally:
                os.close(fd)
            os.rename(beside, name, src_dir_fd=folder_fd, dst_dir_fd=folder_fd)
        except BaseException:
            try:
                os.unlink(beside, dir_fd=folder_fd)
            except FileNotFoundError:  # a program was faster
                pass
            raise
        os.fsync(folder_fd)

    def _give(self, fd: int) -> None:
        if os.geteuid() == 0:
            owner = os.fstat(self._root)
            os.fchown(fd, owner.st_uid, owner.st_gid)


def _entry(entry: os.DirEntry[str], folder: str) -> FileEntry | None:
    try:
        info = entry.stat(follow_symlinks=False)
    except FileNotFoundError:
        return None
    kind = FileType.OTHER
    for is_of, of_type in ((S_ISREG, FileType.FILE), (S_ISDIR, FileType.DIRECTORY), (S_ISLNK, FileType.SYMLINK)):
        if is_of(info.st_mode):
            kind = of_type
    size = info.st_size if kind in (FileType.FILE, FileType.SYMLINK) else 0
    return FileEntry(shown(entry.name), shown(folder + entry.name), kind, size, info.st_mtime)


def _lstat(fd: int, name: str) -> os.stat_result | None:
    try:
        return os.stat(name, dir_fd=fd, follow_symlinks=False)
    except FileNotFoundError:
        return None

"""File operations in a workspace, by the server, while whatever runs in it may be hostile. All block: call them in a thread."""

from __future__ import annotations

import os
import weakref
from stat import S_IMODE, S_ISDIR, S_ISREG

from sandql.core.errors import BadRequest
from sandql.core.values import FileContent, FileEntry
from sandql.providers.local import rearrange
from sandql.providers.local.artifacts import collect
from sandql.providers.local.beneath import open_beneath, split_path
from sandql.providers.local.listing import Listing, file_entry
from sandql.providers.local.place import Place
from sandql.providers.local.regular import LOOK, kind_of, open_regular, read_regular, shown, told
from sandql.providers.local.trees import remove_tree
from sandql.providers.local.writes import BLOCK_BYTES, Writes, count, lstat, remove_unfinished, write_all
from sandql.usage.storage import Share

__all__ = ["Workspace", "remove_tree"]


class Workspace:
    """The files beneath one directory. Paths are relative to it; no symbolic link is ever followed.

    Args:
        root_fd: the directory, open for reading or as a path; it is duplicated, so the caller may close it at any time. The copy is
            closed by `close`, or with the last reference; not while a thread may still work with it.
        place: what all who write there share; left out where nobody else does.
        share: the part that it has in what its owner keeps, where that is bounded.
    """

    def __init__(self, root_fd: int, place: Place | None = None, share: Share | None = None) -> None:
        self._root = os.dup(root_fd)
        self._closing = weakref.finalize(self, os.close, self._root)
        self._place = place or Place()
        self._share = share

    def close(self) -> None:
        """Close it; idempotent."""
        self._closing()

    def again(self) -> Workspace:
        """The same workspace, to be closed by itself."""
        return Workspace(self._root, self._place, self._share)

    def list_entries(
        self, path: str, recursive: bool, most: int, *, glob: str | None = None, first: int | None = None, after: str | None = None
    ) -> list[FileEntry]:
        """What is in a folder, sorted by path; with `recursive`, what is in its folders too; with a `glob`, what of it that matches.

        A byte of a name that is not UTF-8 is shown as U+FFFD. The size is 0 for what is neither a file nor a link. With `first`, no more than
        that are returned, but for those that are shown alike to the last of them, and `after` is the path behind which they begin.

        Raises:
            NotFound: there is no such folder.
            BadRequest: it is not a folder, or a symbolic link leads there; the glob is not acceptable.
            ResourceError: there are more than `most` entries, or of pages sixteen times as many, or folders nest deeper than a path can say.
        """
        listing = Listing(path, recursive=recursive, glob=glob, first=first, after=after, most=most)
        with told(path):
            fd = open_beneath(self._root, split_path(path), LOOK)
            try:
                mode = os.fstat(fd).st_mode
                if not S_ISDIR(mode):
                    raise BadRequest(f"path: {path[:100]!r} is {kind_of(mode)}, not a folder")
                return listing.of(fd)
            finally:
                os.close(fd)

    def stat(self, path: str) -> FileEntry:
        """What a path names, itself, not what it may lead to. Raises NotFound, BadRequest."""
        parts = split_path(path)
        with told(path):
            fd = open_beneath(self._root, parts, LOOK)
            try:
                info = os.fstat(fd)
            finally:
                os.close(fd)
        return file_entry(shown("/".join(parts)), info)

    def read(self, path: str, max_bytes: int) -> bytes:
        """A regular file, whole; raises as `read_part`."""
        return self.read_part(path, max_bytes, 0, None)[0]

    def read_part(self, path: str, max_bytes: int, offset: int, length: int | None) -> tuple[bytes, int]:
        """At most `length` bytes of a regular file from `offset` on, and how many bytes it has in all.

        Raises:
            NotFound: there is no such file.
            BadRequest: it is something else, a symbolic link leads there, or its permissions forbid it.
            PayloadTooLarge: it is more than `max_bytes`.
            Conflict: a running program holds it back.
        """
        parts = split_path(path)
        with told(path):
            fd = open_beneath(self._root, parts, LOOK)
            try:
                return read_regular(fd, path, max_bytes, offset, length)
            finally:
                os.close(fd)

    def open(self, path: str) -> int:
        """A regular file, open for reading; the caller closes it. Raises as `read`."""
        parts = split_path(path)
        with told(path):
            fd = open_beneath(self._root, parts, LOOK)
            try:
                return open_regular(fd, path)
            finally:
                os.close(fd)

    def open_folder(self, path: str) -> int:
        """A folder, open as a path; the caller closes it. Raises NotFound, BadRequest."""
        parts = split_path(path)
        with told(path):
            return open_beneath(self._root, parts, os.O_PATH | os.O_DIRECTORY)

    def write(self, path: str, content: bytes, quota_bytes: int, quota_inodes: int, *, append: bool = False, mode: int | None = None) -> None:
        """Write a file whole, or behind what it holds, making its parents; once this returns the new bytes last.

        A reader sees the old bytes or the new, of what is added perhaps a part. A symbolic link of that name is replaced, not followed. New
        files belong to whom the workspace belongs.

        Raises:
            BadRequest: the path names a folder, leads through a file or a symbolic link, or names what cannot be added to.
            Conflict: a running program holds the file back, or made it just now.
            ResourceError: the workspace would have more than `quota_bytes` or `quota_inodes`, or the disk is full.
        """
        parts = split_path(path)
        if not parts:
            raise BadRequest(f"path: must name a file in the workspace, got {path[:100]!r}")
        writes = self.writes((quota_bytes, quota_inodes))
        with writes.turn(), told(path):
            fd, missing = writes.deepest(parts)
            try:
                old = None if len(missing) > 1 else lstat(fd, parts[-1])
                if old is not None and S_ISDIR(old.st_mode):
                    raise BadRequest(f"path: {path[:100]!r} is a folder")
                if append and old is not None:
                    writes.append(fd, parts[-1], content, mode, path)
                    return
                writes.room_for(fd, len(content), len(missing), old, path)
                kept_mode = S_IMODE(old.st_mode) & 0o777 if old is not None and S_ISREG(old.st_mode) else 0o644
                with writes.made(fd, missing[:-1]) as folder_fd:
                    writes.replace(folder_fd, parts[-1], lambda target: write_all(target, content), kept_mode if mode is None else mode, new=append)
            finally:
                os.close(fd)

    def writes(self, quota: tuple[int, int]) -> Writes:
        """What writing here needs; it must not be used longer than this workspace."""
        return Writes(self._root, quota, self._place, self._share)

    def freed_by(self, path: str) -> int:
        """How many bytes on disk a file frees when it is replaced; 0 where there is none. Raises BadRequest."""
        try:
            fd = open_beneath(self._root, split_path(path), LOOK)
        except OSError:
            return 0
        try:
            info = os.fstat(fd)
            return info.st_blocks * BLOCK_BYTES if S_ISREG(info.st_mode) and info.st_nlink == 1 else 0
        finally:
            os.close(fd)

    def make_directory(self, path: str, quota: tuple[int, int]) -> None:
        """Make a folder; see `sandql.providers.local.rearrange`."""
        rearrange.make_directory(self.writes(quota), path)

    def move(self, source: str, target: str, overwrite: bool, quota: tuple[int, int]) -> None:
        """Move something; see `sandql.providers.local.rearrange`."""
        rearrange.move(self.writes(quota), source, target, overwrite)

    def copy(self, source: str, target: str, overwrite: bool, recursive: bool, quota: tuple[int, int]) -> None:
        """Copy something; see `sandql.providers.local.rearrange`."""
        rearrange.copy(self.writes(quota), self._root, source, target, overwrite, recursive)

    def remove(self, path: str, recursive: bool, quota: tuple[int, int]) -> None:
        """Remove something; see `sandql.providers.local.rearrange`."""
        rearrange.remove(self.writes(quota), path, recursive)

    def usage(self) -> tuple[int, int]:
        """What the workspace takes: bytes on disk, and files and folders in it; a file with several names counts once.

        Raises:
            ResourceError: a program moves folders about too fast for it to be counted.
        """
        return count(self._root)

    def collect(self, patterns: tuple[str, ...], max_files: int, max_total_bytes: int) -> list[FileContent]:
        """The regular files that paths or globs (`*`, `?`, `**`) name, each once, sorted by path; what is not there is left out.

        Raises:
            BadRequest: a pattern is not acceptable.
            PayloadTooLarge: there are more than `max_files`, or more than `max_total_bytes` in all.
            ResourceError: looking through the workspace takes too long.
        """
        return collect(self._root, patterns, max_files, max_total_bytes)

    def remove_unfinished(self) -> None:
        """Remove what writes and runs left that a crash cut off. None may be under way."""
        remove_unfinished(self._root)

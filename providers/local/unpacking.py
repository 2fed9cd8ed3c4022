"""What a caller's .tar.gz holds, put into a folder. The archive is hostile; so is whatever runs beside. All block."""

from __future__ import annotations

import gzip
import os
import re
import tarfile
import zlib
from collections.abc import Callable
from errno import EEXIST, ELOOP, ENAMETOOLONG, ENOENT, ENOTDIR, ENOTEMPTY
from stat import S_ISDIR
from typing import Final, cast

from sandql.core.errors import BadRequest, Conflict, PayloadTooLarge
from sandql.providers.local.beneath import open_beneath, split_path
from sandql.providers.local.trees import walk
from sandql.providers.local.writes import FOLDER, UNFINISHED, Writes, lstat, write_all

_COPY_BYTES: Final = 256 << 10
_MOST_HEAD_BYTES: Final = 256 << 10  # of one entry, long names and attributes included
_DIGITS: Final = re.compile(rb"[0-9]+")  # Pythons before 3.11.10 and 3.12.6 take for each row of them a time that is quadratic in its length
_MOST_DIGIT_STEPS: Final = 2 * 4096**2  # a path of nothing else, and a link to one
_MOST_GLOBAL_BYTES: Final = 64 << 10  # of attributes for all entries, which are kept
_LAST_MTIME: Final = 1 << 33  # the year 2242: every file system takes it
_BROKEN: Final = (tarfile.TarError, EOFError, ValueError, ArithmeticError, LookupError, RecursionError, TypeError, zlib.error)

Room = Callable[[int, int], None]  # bytes and names that come; raises ResourceError


def unpack(archive_fd: int, folder_fd: int, room: Room, writes: Writes, max_bytes: int, max_entries: int) -> None:
    """Put what a .tar.gz holds into a new, empty folder. Nothing leads out of it: links are made, and never followed.

    Raises:
        BadRequest: it is no .tar.gz, is cut off, or holds what a workspace must not: other paths, hard links, devices.
        PayloadTooLarge: it has more than `max_bytes` when it is unpacked, or more than `max_entries`.
        ResourceError: the workspace is full.
    """
    try:
        with open(os.dup(archive_fd), "rb") as file, gzip.GzipFile(fileobj=file) as unpacked:
            forward = _Forward(unpacked, max_bytes)
            forward.grant(_MOST_HEAD_BYTES)
            # What tarfile asks of a file that it does not write to are just these methods.
            with tarfile.open(fileobj=cast("gzip.GzipFile", forward), mode="r:") as archive:
                left = max_entries
                while (member := archive.next()) is not None:
                    left -= 1
                    if left < 0:
                        raise PayloadTooLarge(f"archive: at most {max_entries} entries, there are more")
                    vars(archive)["members"].clear()  # else it remembers all it has read
                    if sum(len(name) + len(value) for name, value in archive.pax_headers.items()) > _MOST_GLOBAL_BYTES:
                        raise BadRequest(f"archive: attributes for all entries at most {_MOST_GLOBAL_BYTES} bytes, got more")
                    _unpack_member(archive, member, forward, folder_fd, room, writes)
                    forward.grant(_MOST_HEAD_BYTES)
            forward.finish()
    except _BROKEN as error:
        raise BadRequest(f"archive: must be a .tar.gz: {str(error)[:200]}") from None
    except OSError as error:
        if error.errno is None:  # gzip's own
            raise BadRequest(f"archive: must be a .tar.gz: {str(error)[:200]}") from None
        raise


class _Forward:
    """A stream of unpacked bytes that is read and skipped forwards, not further than a bound, and no more at a time than was granted."""

    def __init__(self, stream: gzip.GzipFile, most: int) -> None:
        self._stream = stream
        self._most = most
        self._at = 0
        self._granted = 0
        self._in_head = True
        self._last = b""

    def grant(self, size: int, *, head: bool = True) -> None:
        """Let so many bytes be read from now on: of the head of an entry, or of its content."""
        self._granted = size
        self._in_head = head

    def read(self, size: int = -1, /) -> bytes:
        """The next bytes."""
        if not 0 <= size <= self._granted:
            raise tarfile.ReadError(f"the head of an entry has more than {_MOST_HEAD_BYTES} bytes")
        self._granted -= size
        self._last = self._take(size)
        if self._in_head and sum(len(digits) ** 2 for digits in _DIGITS.findall(self._last)) > _MOST_DIGIT_STEPS:
            raise tarfile.ReadError("the head of an entry is broken")
        return self._last

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """Skip to a position that lies ahead."""
        if whence or offset < self._at:
            raise tarfile.ReadError("an entry lies before another one")
        self._within(offset)
        while self._at < offset and self._take(min(_COPY_BYTES, offset - self._at)):
            pass
        return self._at

    def tell(self) -> int:
        """Where it is."""
        return self._at

    def finish(self) -> None:
        """Make sure that the archive has ended where the last entry was looked for, and that it is whole, which shows at its end only."""
        if self._last.strip(b"\0"):  # tarfile takes the head of an entry that is broken for the end
            raise tarfile.ReadError("the head of an entry is broken")
        while self._take(_COPY_BYTES):
            pass

    def _take(self, size: int) -> bytes:
        data = self._stream.read(size)
        self._at += len(data)
        self._within(self._at)
        return data

    def _within(self, at: int) -> None:
        if at > self._most:
            raise PayloadTooLarge(f"archive: at most {self._most} bytes when it is unpacked, it has more")


def _unpack_member(archive: tarfile.TarFile, member: tarfile.TarInfo, forward: _Forward, top_fd: int, room: Room, writes: Writes) -> None:
    shown = repr(member.name[:100])
    try:
        parts = split_path(member.name)
    except BadRequest as error:
        raise BadRequest(f"archive: {error.message}") from None
    if not parts:
        return
    if any(UNFINISHED.match(part) for part in parts):
        raise BadRequest(f"archive: {shown} is a name for unfinished files of the server; leave it out")
    if member.issparse() or not (member.isreg() or member.isdir() or member.issym()):
        raise BadRequest(f"archive: {shown} is neither a file nor a folder nor a symbolic link; leave it out")
    try:
        folder_fd = _folders(top_fd, parts if member.isdir() else parts[:-1], room, writes)
        try:
            if member.isdir():
                os.fchmod(folder_fd, member.mode & 0o777 | 0o700)
            elif member.issym():
                room(0, 1)
                os.symlink(member.linkname, parts[-1], dir_fd=folder_fd)
                writes.give_link(folder_fd, parts[-1])
            else:
                room(member.size, 1)
                forward.grant(member.size, head=False)
                _unpack_file(archive, member, folder_fd, parts[-1], writes)
        finally:
            os.close(folder_fd)
    except OSError as error:
        reasons = {
            EEXIST: "is there twice",
            ENOTDIR: "lies in a file",
            ELOOP: "lies in a symbolic link",
            ENOENT: "is a link to nowhere",
            ENAMETOOLONG: "is too long",
        }
        if error.errno in reasons:
            raise BadRequest(f"archive: {shown} {reasons[error.errno]}") from None
        raise


def _unpack_file(archive: tarfile.TarFile, member: tarfile.TarInfo, folder_fd: int, name: str, writes: Writes) -> None:
    fd = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=folder_fd)
    try:
        source = archive.fileobj
        left = member.size
        assert source is not None
        source.seek(member.offset_data)
        while left:
            chunk = source.read(min(_COPY_BYTES, left))
            if not chunk:
                raise EOFError("it is cut off")
            write_all(fd, chunk)
            left -= len(chunk)
        writes.give(fd)
        os.fchmod(fd, member.mode & 0o777)
        modified = min(max(int(member.mtime), 0), _LAST_MTIME)
        os.utime(fd, (modified, modified))
    finally:
        os.close(fd)


def _folders(top_fd: int, parts: tuple[str, ...], room: Room, writes: Writes) -> int:
    """A folder below, open; it and those above it are made."""
    try:
        return open_beneath(top_fd, parts, FOLDER)
    except FileNotFoundError:
        pass
    fd = os.open(".", FOLDER | os.O_CLOEXEC, dir_fd=top_fd)
    for part in parts:
        try:
            try:
                os.mkdir(part, 0o755, dir_fd=fd)
            except FileExistsError:
                below = open_beneath(fd, (part,), FOLDER)
            else:
                room(0, 1)
                below = open_beneath(fd, (part,), FOLDER)
                writes.give(below)
        finally:
            os.close(fd)
        fd = below
    return fd


def _is_folder(fd: int, name: str) -> bool:
    info = lstat(fd, name)
    return info is not None and S_ISDIR(info.st_mode)


def merge(source_fd: int, target_fd: int, path: str) -> None:
    """Move what is in one folder into another: folders are merged, everything else takes the place of what is there.

    Raises:
        Conflict: a folder would take the place of something else, or something else that of a folder; nothing was moved.
        OSError: a program moves folders about.
    """

    def check(fd: int, names: list[str]) -> list[str]:
        try:
            there = open_beneath(target_fd, tuple(names), FOLDER)
        except FileNotFoundError:
            return []
        folders: list[str] = []
        try:
            for name in os.listdir(fd):
                ours, theirs = lstat(fd, name), lstat(there, name)
                if ours is None or theirs is None:
                    continue
                if S_ISDIR(ours.st_mode) != S_ISDIR(theirs.st_mode):
                    raise Conflict(f"path: in {path[:100]!r}, {'/'.join([*names, name])[:100]!r} is a folder and something else in the archive")
                if S_ISDIR(ours.st_mode):
                    folders.append(name)
        finally:
            os.close(there)
        return folders

    def move(fd: int, names: list[str]) -> list[str]:
        there = open_beneath(target_fd, tuple(names), FOLDER)
        folders: list[str] = []
        try:
            for name in os.listdir(fd):
                if _is_folder(there, name) and _is_folder(fd, name):  # an empty one would be replaced, for whoever watches it or stands in it
                    folders.append(name)
                    continue
                try:
                    os.rename(name, name, src_dir_fd=fd, dst_dir_fd=there)
                except OSError as error:
                    if error.errno not in (EEXIST, ENOTEMPTY):
                        raise
                    folders.append(name)
            os.fsync(there)
        finally:
            os.close(there)
        return folders

    walk(source_fd, check)
    walk(source_fd, move)

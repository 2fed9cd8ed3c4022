"""Files on their way into a workspace: they lie beside it, where no program sees them, until they are whole.

homes/<name>/uploads/<key>    what has come of one; kept for a while after its client was cut off, so that it can go on
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import secrets
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from stat import S_IMODE, S_ISDIR, S_ISREG
from typing import Final

from sandql.core.errors import BadRequest, Conflict, NotFound, PreconditionFailed, ResourceError
from sandql.providers.local.beneath import split_path
from sandql.providers.local.regular import told
from sandql.providers.local.scarce import scarce
from sandql.providers.local.trees import remove_tree
from sandql.providers.local.writes import BLOCK_BYTES, Writes, lstat

_KEPT_S: Final = 3600.0
_MOST_PARTS: Final = 64
_ONCE: Final = "once-"  # what the names begin with of those that nobody can go on with

Expected = Callable[[str | None], bool]  # of the file that is there: its tag, or None


class Part:
    """What has come of an upload. All its methods block; `close` it. One request at a time has it.

    Args:
        offset: how many bytes the caller thinks have come.
        freed: how many bytes the file frees that it replaces.

    Raises:
        Conflict: another number of bytes has come, or another request has it.
        ResourceError: there are too many.
    """

    def __init__(self, folder: Path, path: str, key: str | None, offset: int, freed: int) -> None:
        self._freed = freed
        self._lock = threading.Lock()  # a request that was cut off may still be writing when it closes this
        self._keep = key is not None
        self._file = folder / _name(path, key)
        with scarce("the upload"):
            folder.mkdir(mode=0o700, exist_ok=True)
            if not self._file.exists() and usage(folder)[1] >= _MOST_PARTS:
                text = f"uploads: at most {_MOST_PARTS} that are not finished; finish or DELETE some, or wait for an hour"
                raise ResourceError(text, retry_after_s=_KEPT_S)
            self._fd = _open_alone(self._file)
        self.offset = os.fstat(self._fd).st_size
        if self.offset != offset:
            self._keep = self.offset > 0
            self.close()
            raise Conflict(f"Upload-Offset: {self.offset} bytes are there, so go on at {self.offset}, got {offset}")
        os.lseek(self._fd, 0, os.SEEK_END)

    def write(self, data: bytes | bytearray, writes: Writes, path: str) -> None:
        """Add bytes. Raises ResourceError: the workspace or the disk is full."""
        with self._lock, told(path):
            if self._fd < 0:
                return  # nobody waits for this any more
            writes.check(len(data) - self._freed, 0, path)
            view = memoryview(data)
            while view:
                written = os.write(self._fd, view)
                self.offset += written
                view = view[written:]

    def commit(self, writes: Writes, path: str, expected: Expected) -> str:
        """Give what has come its name in the workspace, in one step; returns its tag.

        Raises:
            PreconditionFailed: what is there is not what was `expected`.
            BadRequest: the path names a folder, or leads through something that is none.
            ResourceError: the workspace is full.
        """
        parts = split_path(path)
        if not parts:
            raise BadRequest(f"path: must name a file in the workspace, got {path[:100]!r}")
        with self._lock, told(path):
            if self._fd < 0:
                raise Conflict("upload: it was cut off")
            os.fsync(self._fd)  # this takes long, and nobody has to wait for it
            with writes.turn():
                return self._rename(writes, parts, path, expected)

    def close(self) -> None:
        """Close it; what has come is kept where it had a key, else removed."""
        with self._lock:
            fd, self._fd = self._fd, -1
            if fd >= 0:
                if not self._keep:
                    self._file.unlink(missing_ok=True)
                os.close(fd)

    def detach(self) -> int:
        """What has come, open at its begin, to be closed by the caller; it counts no more, and has no name."""
        with self._lock:
            fd = os.dup(self._fd)
            os.lseek(fd, 0, os.SEEK_SET)
            self._file.unlink(missing_ok=True)
            self._keep = True
            return fd

    def _rename(self, writes: Writes, parts: tuple[str, ...], path: str, expected: Expected) -> str:
        fd, missing = writes.deepest(parts)
        try:
            old = None if len(missing) > 1 else lstat(fd, parts[-1])
            if old is not None and S_ISDIR(old.st_mode):
                raise BadRequest(f"path: {path[:100]!r} is a folder")
            if not expected(None if old is None else tag_of(old)):
                raise PreconditionFailed(f"path: {path[:100]!r} is not as the request expects it; look at it again")
            writes.room_for(fd, 0, len(missing), old, path, here=True)
            with writes.made(fd, missing[:-1]) as folder_fd:
                writes.give(self._fd)
                os.fchmod(self._fd, S_IMODE(old.st_mode) & 0o777 if old is not None and S_ISREG(old.st_mode) else 0o644)
                os.fsync(self._fd)
                os.rename(self._file, parts[-1], dst_dir_fd=folder_fd)
                os.fsync(folder_fd)
            self._keep = True
            new = os.fstat(self._fd)
            freed = old is not None and old.st_nlink == 1
            writes.changed((new.st_blocks - (old.st_blocks if old is not None and freed else 0)) * BLOCK_BYTES, 1 - freed)
            return tag_of(new)
        finally:
            os.close(fd)


def folder_of(files: Path) -> Path:
    """Where the uploads of a workspace lie."""
    return files.parent / "uploads"


def offset_of(folder: Path, path: str, key: str) -> int:
    """How many bytes of an upload are kept, 0 where there are none."""
    try:
        return (folder / _name(path, key)).stat().st_size
    except FileNotFoundError:
        return 0


def discard(folder: Path, path: str, key: str) -> None:
    """Remove what has come of an upload.

    Raises:
        NotFound: nothing has.
        Conflict: another request is sending it.
    """
    file = folder / _name(path, key)
    if not file.exists():
        raise NotFound("Upload-Id: nothing is kept of such an upload to this path")
    with scarce("the upload"):
        fd = _open_alone(file)
    try:
        file.unlink(missing_ok=True)
    finally:
        os.close(fd)


def usage(folder: Path) -> tuple[int, int]:
    """How many bytes uploads take that are not whole, and how many there are."""
    used_bytes = used_inodes = 0
    with suppress(FileNotFoundError):
        for entry in os.scandir(folder):
            with suppress(FileNotFoundError):
                if entry.is_file(follow_symlinks=False):
                    used_bytes += entry.stat(follow_symlinks=False).st_blocks * BLOCK_BYTES
                    used_inodes += 1
    return used_bytes, used_inodes


def remove_old(folder: Path) -> None:
    """Remove uploads that nobody went on with."""
    oldest = time.time() - _KEPT_S
    with suppress(FileNotFoundError):
        for entry in os.scandir(folder):
            with suppress(FileNotFoundError):
                if entry.is_file(follow_symlinks=False) and entry.stat(follow_symlinks=False).st_mtime < oldest:
                    os.unlink(entry.path)


def remove_unfinished(folder: Path) -> None:
    """Remove what a crash left of requests that were under way, but for uploads that can go on. No request may be under way."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for entry in os.scandir(folder):
            if entry.is_dir(follow_symlinks=False) or entry.name.startswith(_ONCE):
                remove_tree(fd, entry.name)
    finally:
        os.close(fd)


def _open_alone(file: Path) -> int:
    """Open a file, made where there is none, for this request only. Raises Conflict: another one has it."""
    while True:
        fd = os.open(file, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with suppress(FileNotFoundError):
                if os.stat(file, follow_symlinks=False).st_ino == os.fstat(fd).st_ino:
                    return fd
        except BlockingIOError:
            os.close(fd)
            raise Conflict("Upload-Id: another request is sending this upload now; wait for its end") from None
        except BaseException:
            os.close(fd)
            raise
        os.close(fd)  # it was finished, and got its name in the workspace, between the two


def tag_of(info: os.stat_result) -> str:
    """What changes when a file does: a strong ETag, without its quotes."""
    return f"{info.st_ino:x}-{info.st_size:x}-{info.st_mtime_ns:x}-{info.st_ctime_ns:x}"


def _name(path: str, key: str | None) -> str:
    return f"{_ONCE}{secrets.token_hex(20)}" if key is None else hashlib.sha256(f"{key}\0{path}".encode("utf-8", "surrogateescape")).hexdigest()[:40]

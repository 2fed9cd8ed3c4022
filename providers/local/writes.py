"""What writing into a workspace needs: one writer at a time, a quota, new names that belong to its owner, and files that appear whole."""

from __future__ import annotations

import ctypes
import os
import re
import secrets
from collections.abc import Callable, Generator
from contextlib import contextmanager
from errno import EEXIST, EINVAL, ENOSYS
from stat import S_IMODE, S_ISDIR, S_ISREG, S_IWUSR
from time import monotonic
from typing import Final

from sandql.core.errors import BadRequest, ResourceError
from sandql.providers.local.beneath import step
from sandql.providers.local.place import Place
from sandql.providers.local.regular import kind_of
from sandql.providers.local.trees import TreeMovedError, remove_tree, walk
from sandql.usage.storage import Share

FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY
UNFINISHED: Final = re.compile(r"\.sandql-(write-[0-9a-f]{16}|main-[0-9a-f]{16}\.[A-Za-z]+)\Z")
BLOCK_BYTES: Final = 512  # the unit of st_blocks, whatever the file system's own is
_TRUSTED_S: Final = 30.0  # how long a count is trusted where no program has run since
_PAUSES: Final = 10  # while one runs, counting takes one part of the time in so many
_ATTEMPTS: Final = 5
_COPY_BYTES: Final = 1 << 20
_APPEND: Final = os.O_WRONLY | os.O_APPEND | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_RENAME_NOREPLACE: Final = 1

_libc: Final = ctypes.CDLL(None, use_errno=True)


class Writes:
    """Writing beneath one directory, open at `root`.

    Args:
        quota: the most bytes, and files and folders, that may be there.
        place: what all who write there share.
        share: the part that the workspace has in what its owner keeps, where that is bounded.
    """

    def __init__(self, root: int, quota: tuple[int, int], place: Place, share: Share | None = None) -> None:
        self._root = root
        self._quota = quota
        self._place = place
        self._share = share
        info = os.fstat(root)
        self._owner = (info.st_uid, info.st_gid)

    @contextmanager
    def turn(self) -> Generator[None]:
        """Be the only one who writes. What is used is counted anew after an error."""
        with self._place.turn:
            try:
                yield
            except BaseException:
                self.forget()
                raise

    def check(self, more_bytes: int, more_inodes: int, path: str) -> None:
        """Refuse to write so much more than there is now. Raises ResourceError; QuotaExceeded: the owner would keep too much."""
        most_bytes, most_inodes = self._quota
        beside_bytes, beside_inodes = self._place.beside()
        with self._place.turn:
            used_bytes, used_inodes = self._used()
        used_bytes += beside_bytes
        used_inodes += beside_inodes
        if used_bytes + more_bytes > most_bytes:
            raise ResourceError(
                f"workspace: at most {most_bytes} bytes, {used_bytes} are used and {path[:100]!r} takes {more_bytes} more; remove files first"
            )
        if used_inodes + more_inodes > most_inodes:
            raise ResourceError(f"workspace: at most {most_inodes} files and folders, {used_inodes} are there; remove some before {path[:100]!r}")
        if self._share is not None:
            self._share.check(used_bytes, more_bytes)

    def changed(self, more_bytes: int, more_inodes: int) -> None:
        """Note what a write took, or gave back."""
        if self._place.used is not None:
            used_bytes, used_inodes = self._place.used
            self._place.used = (used_bytes + more_bytes, used_inodes + more_inodes)
            if self._share is not None:
                self._share.note(self._place.used[0] + self._place.beside()[0])
        elif self._share is not None:
            self._share.doubt()

    def forget(self) -> None:
        """Have what is used counted anew."""
        self._place.used = None
        if self._share is not None:
            self._share.doubt()

    def room_for(self, folder_fd: int, size: int, names: int, old: os.stat_result | None, path: str, *, here: bool = False) -> None:
        """Refuse a file of `size` bytes under `names` new names, the last of which may replace `old`. Raises ResourceError.

        A file that is `here` lies beside the workspace already, and counts.
        """
        block = os.statvfs(folder_fd).f_frsize
        freed = old is not None and old.st_nlink == 1
        freed_bytes = old.st_blocks * BLOCK_BYTES if old is not None and freed else 0
        self.check((-(-size // block) + names - 1) * block - freed_bytes, names - freed - here, path)

    def deepest(self, parts: tuple[str, ...]) -> tuple[int, tuple[str, ...]]:
        """The deepest folder of a path that is there, open, and the parts that are not; the last part always counts as missing.

        Raises:
            BadRequest: a part is a name that the house takes for what is not finished, and would remove.
        """
        for part in parts:
            if UNFINISHED.match(part):
                raise BadRequest(f"path: {part!r} is a name for unfinished files of the server; choose another")
        fd = step(self._root, ".", FOLDER)
        for at, part in enumerate(parts[:-1]):
            try:
                below = step(fd, part, FOLDER)
            except FileNotFoundError:
                return fd, parts[at:]
            except BaseException:
                os.close(fd)
                raise
            os.close(fd)
            fd = below
        return fd, parts[-1:]

    @contextmanager
    def made(self, fd: int, names: tuple[str, ...]) -> Generator[int]:
        """Make folders, each in the one before, in the one open at `fd`; the last one, open until the end of the context."""
        below = os.dup(fd)
        try:
            for name in names:
                above, below = below, self._make_folder(below, name)
                os.close(above)
            yield below
        finally:
            os.close(below)

    def append(self, folder_fd: int, name: str, content: bytes, mode: int | None, path: str) -> None:
        """Add to a regular file, the one that a program may be adding to at this time, and bring it to the disk.

        Raises:
            BadRequest: it is something else.
            ResourceError: the workspace would have more than its quota.
        """
        path_fd = step(folder_fd, name, os.O_PATH)
        try:
            old = os.fstat(path_fd)
            if not S_ISREG(old.st_mode):
                raise BadRequest(f"path: {path[:100]!r} is {kind_of(old.st_mode)}; only a regular file can be added to")
            block = os.statvfs(path_fd).f_frsize
            self.check(-(-(old.st_size + len(content)) // block) * block - old.st_blocks * BLOCK_BYTES, 0, path)
            fd = _open_to_add(path_fd, old)
        finally:
            os.close(path_fd)
        try:
            _add_all(fd, content)
            new_mode = S_IMODE(old.st_mode) & 0o777 if mode is None else mode
            if new_mode != S_IMODE(old.st_mode):
                os.fchmod(fd, new_mode)
            os.fsync(fd)
            self.changed((os.fstat(fd).st_blocks - old.st_blocks) * BLOCK_BYTES, 0)
        finally:
            os.close(fd)

    def replace(self, folder_fd: int, name: str, fill: Callable[[int], None], mode: int, *, new: bool = False) -> None:
        """Make a file beside by `fill`, bring it to the disk, rename it, and bring that to the disk: a reader sees the old one or the new.

        Raises:
            OSError: with `new`, EEXIST where there is one already.
        """
        old = lstat(folder_fd, name)
        beside = new_name()
        fd = os.open(beside, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=folder_fd)
        try:
            try:
                fill(fd)
                self.give(fd)
                os.fchmod(fd, mode)
                os.fsync(fd)
                made = os.fstat(fd)
            finally:
                os.close(fd)
            if new:
                rename_new(folder_fd, beside, folder_fd, name)
            else:
                os.rename(beside, name, src_dir_fd=folder_fd, dst_dir_fd=folder_fd)
        except BaseException:
            try:
                os.unlink(beside, dir_fd=folder_fd)
            except FileNotFoundError:  # a program was faster
                pass
            raise
        os.fsync(folder_fd)
        freed = old is not None and old.st_nlink == 1
        self.changed((made.st_blocks - (old.st_blocks if old is not None and freed else 0)) * BLOCK_BYTES, 1 - freed)

    def give(self, fd: int) -> None:
        """Let an open file belong to whom the workspace belongs."""
        if os.geteuid() == 0:
            os.fchown(fd, *self._owner)

    def _make_folder(self, fd: int, name: str) -> int:
        try:
            os.mkdir(name, 0o755, dir_fd=fd)
        except FileExistsError:  # made meanwhile: what it is shows when it is opened
            return step(fd, name, FOLDER)
        os.fsync(fd)
        below = step(fd, name, FOLDER)
        self.give(below)
        self.changed(os.fstat(below).st_blocks * BLOCK_BYTES, 1)
        return below

    def give_link(self, folder_fd: int, name: str) -> None:
        """Let a symbolic link belong to whom the workspace belongs."""
        if os.geteuid() == 0:
            os.chown(name, *self._owner, dir_fd=folder_fd, follow_symlinks=False)

    def _used(self) -> tuple[int, int]:
        place, now, stamp = self._place, monotonic(), self._place.stamp()
        age_s = now - place.counted_at
        alone = stamp is not None and stamp == place.counted_stamp and age_s < _TRUSTED_S
        if place.used is None or not (alone or age_s < _PAUSES * place.count_s):
            place.used = count(self._root)
            place.counted_stamp, place.counted_at, place.count_s = stamp, now, monotonic() - now
        return place.used


def new_name() -> str:
    """A name for what is not finished yet."""
    return f".sandql-write-{secrets.token_hex(8)}"


def new_program_name(suffix: str) -> str:
    """A name for the file of a program that runs: it goes with the run, or at the next start."""
    return f".sandql-main-{secrets.token_hex(8)}{suffix}"


def lstat(fd: int, name: str) -> os.stat_result | None:
    """What a name in a folder is, None where there is none."""
    try:
        return os.stat(name, dir_fd=fd, follow_symlinks=False)
    except FileNotFoundError:
        return None


def rename_new(source_fd: int, source: str, target_fd: int, target: str) -> None:
    """Rename to a name that is not taken, in one step where the file system can."""
    done = _libc.renameat2(source_fd, os.fsencode(source), target_fd, os.fsencode(target), _RENAME_NOREPLACE)
    if done == 0:
        return
    number = ctypes.get_errno()
    if number not in (EINVAL, ENOSYS):
        raise OSError(number, os.strerror(number))
    if lstat(target_fd, target) is not None:
        raise FileExistsError(EEXIST, os.strerror(EEXIST))
    os.rename(source, target, src_dir_fd=source_fd, dst_dir_fd=target_fd)


def copy_bytes(source_fd: int, target_fd: int, most: int, path: str) -> None:
    """Copy from one open file to another. Raises ResourceError: there are more than `most` bytes."""
    copied = 0
    while chunk := os.read(source_fd, _COPY_BYTES):
        copied += len(chunk)
        if copied > most:
            raise ResourceError(f"path: {path[:100]!r} grew while it was copied; try again")
        write_all(target_fd, chunk)


def write_all(fd: int, content: bytes) -> None:
    """Write all of a content."""
    view = memoryview(content)
    while view:
        view = view[os.write(fd, view) :]


def _open_to_add(path_fd: int, old: os.stat_result) -> int:
    """Open a regular file for appending; its owner is not kept out by a mode that it could change."""
    path = f"/proc/self/fd/{path_fd}"
    try:
        return os.open(path, _APPEND)
    except PermissionError:
        if old.st_uid != os.geteuid():
            raise
    mode = S_IMODE(old.st_mode)
    os.chmod(path, mode | S_IWUSR)
    try:
        return os.open(path, _APPEND)
    finally:
        os.chmod(path, mode)


def _add_all(fd: int, content: bytes) -> None:
    """Write all of a content to what is open for appending, or nothing, unless a program adds to it as well."""
    view = memoryview(content)
    begin = at = -1
    try:
        while view:
            size = os.write(fd, view)
            at = os.lseek(fd, 0, os.SEEK_CUR)
            begin = at - size if begin < 0 else begin
            view = view[size:]
    except OSError:
        if at - begin == len(content) - len(view) and os.fstat(fd).st_size == at:  # else what a program added would go too
            os.ftruncate(fd, begin)
        raise


def sync_all(fd: int) -> None:
    """Bring to the disk what was written to the file system on which `fd` is: for many files that is sooner done than for each of them."""
    if _libc.syncfs(fd):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def count(root: int) -> tuple[int, int]:
    """Bytes on disk beneath a directory, and files and folders; a file with several names counts once.

    Raises:
        ResourceError: a program moves folders about too fast for it to be counted.
    """
    for _ in range(_ATTEMPTS):
        try:
            return _count(root)
        except TreeMovedError:
            continue
    raise ResourceError("workspace: a program moves its folders about too fast for them to be counted")


def remove_unfinished(root: int) -> None:
    """Remove what writes and runs left that a crash cut off. None may be under way."""

    def visit(fd: int, names: list[str]) -> list[str]:
        folders: list[str] = []
        with os.scandir(fd) as entries:
            for entry in entries:
                if UNFINISHED.match(entry.name):
                    remove_tree(fd, entry.name)
                elif entry.is_dir(follow_symlinks=False):
                    folders.append(entry.name)
        return folders

    walk(root, visit, need=0o700)


def _count(root: int) -> tuple[int, int]:
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
                        used_inodes += 1  # a name takes as long to look at as a file does
                        continue
                    linked.add(identity)
                used_bytes += info.st_blocks * BLOCK_BYTES
                used_inodes += 1
        return folders

    walk(root, visit)
    return used_bytes, used_inodes

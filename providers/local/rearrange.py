"""Making, moving, copying and removing what is in a workspace, while whatever runs in it may be hostile. All block."""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import contextmanager
from errno import EEXIST, EINVAL, ENOTEMPTY
from stat import S_IMODE, S_ISDIR, S_ISLNK, S_ISREG
from typing import Final

from sandql.core.errors import BadRequest, Conflict, NotFound
from sandql.providers.local.beneath import open_beneath, split_path
from sandql.providers.local.regular import LOOK, kind_of, told
from sandql.providers.local.trees import remove_tree, walk
from sandql.providers.local.writes import BLOCK_BYTES, FOLDER, UNFINISHED, Writes, copy_bytes, lstat, new_name, rename_new, sync_all

_TAKEN: Final = "is there; say overwrite to replace it"
_READ: Final = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


def make_directory(writes: Writes, path: str) -> None:
    """Make a folder and those above it; nothing happens when it is there.

    Raises:
        BadRequest: something else is there, or on the way.
        ResourceError: the workspace is full.
    """
    parts = split_path(path)
    if not parts:
        return
    with writes.turn(), told(path), _folder(writes, parts, path):
        pass


def move(writes: Writes, source: str, target: str, overwrite: bool) -> None:
    """Give a file, folder or link another path, making the folders above it.

    Raises:
        NotFound: there is no `source`.
        Conflict: there is a `target`, and it is not to be overwritten, or is a folder that is not empty.
        BadRequest: a folder would lie in itself.
        ResourceError: the workspace is full.
    """
    from_parts, to_parts = _named("from", source), _named("to", target)
    if len(to_parts) > len(from_parts) and to_parts[: len(from_parts)] == from_parts:
        raise BadRequest(f"to: {target[:100]!r} lies in what is to be moved there")
    with writes.turn(), told(source):
        source_fd, missing = writes.deepest(from_parts)
        try:
            if len(missing) > 1 or lstat(source_fd, from_parts[-1]) is None:
                raise NotFound(f"from: there is no {source[:100]!r}")
            with told(target), _folder(writes, to_parts[:-1], target) as target_fd:
                _rename(source_fd, from_parts[-1], target_fd, to_parts[-1], target, overwrite)
                if from_parts != to_parts:
                    _drop_twin(source_fd, from_parts[-1], target_fd, to_parts[-1])
                os.fsync(target_fd)
            os.fsync(source_fd)
        finally:
            os.close(source_fd)
        if overwrite:  # what was there counted
            writes.forget()


def copy(writes: Writes, root: int, source: str, target: str, overwrite: bool, recursive: bool) -> None:
    """Copy a file, or with `recursive` a folder, making the folders above; a reader sees nothing of the copy, or all.

    Raises:
        NotFound: there is no `source`.
        Conflict: there is a `target`, and it is not to be overwritten, or is a folder that is not empty.
        BadRequest: it is neither, or holds what cannot be copied.
        ResourceError: the workspace is full.
    """
    from_parts, to_parts = split_path(source), _named("to", target)
    with writes.turn(), told(source):
        fd = open_beneath(root, from_parts, LOOK)
        try:
            info = os.fstat(fd)
            if S_ISDIR(info.st_mode) and not recursive:
                raise BadRequest(f"from: {source[:100]!r} is a folder; say recursive to copy it")
            if S_ISDIR(info.st_mode) and to_parts[: len(from_parts)] == from_parts:
                raise BadRequest(f"to: {target[:100]!r} lies in {source[:100]!r}")
            with told(target), _folder(writes, to_parts[:-1], target) as folder_fd:
                if not overwrite and lstat(folder_fd, to_parts[-1]) is not None:  # so that nothing is copied in vain
                    raise Conflict(f"to: {target[:100]!r} {_TAKEN}")
                _copy_into(writes, fd, folder_fd, to_parts[-1], source, target, overwrite)
        finally:
            os.close(fd)
        if overwrite:
            writes.forget()


def remove(writes: Writes, path: str, recursive: bool) -> None:
    """Remove a file, a link or an empty folder, or with `recursive` a folder and all that is in it.

    Raises:
        NotFound: there is none.
        Conflict: it is a folder that is not empty.
    """
    parts = _named("path", path)
    with writes.turn(), told(path):
        fd, missing = writes.deepest(parts)
        try:
            old = None if len(missing) > 1 else lstat(fd, parts[-1])
            if old is None:
                raise NotFound(f"path: there is no {path[:100]!r}")
            if not S_ISDIR(old.st_mode):
                os.unlink(parts[-1], dir_fd=fd)
                if old.st_nlink == 1:
                    writes.changed(-old.st_blocks * BLOCK_BYTES, -1)
            elif recursive:
                beside = new_name()  # at once for whoever looks; what a crash leaves of it goes at the next start
                os.rename(parts[-1], beside, src_dir_fd=fd, dst_dir_fd=fd)
                writes.forget()
                try:
                    remove_tree(fd, beside)
                finally:
                    writes.forget()  # whoever counted meanwhile saw a part of it
            else:
                try:
                    os.rmdir(parts[-1], dir_fd=fd)
                    writes.changed(-old.st_blocks * BLOCK_BYTES, -1)
                except OSError as error:
                    if error.errno == ENOTEMPTY:
                        raise Conflict(f"path: {path[:100]!r} is a folder that is not empty; say recursive to remove it") from None
                    raise
            os.fsync(fd)
        finally:
            os.close(fd)


def _named(name: str, path: str) -> tuple[str, ...]:
    parts = split_path(path)
    if not parts:
        raise BadRequest(f"{name}: must name something in the workspace, got {path[:100]!r}")
    return parts


@contextmanager
def _folder(writes: Writes, parts: tuple[str, ...], path: str) -> Generator[int]:
    """A folder, open; it and those above it are made."""
    fd, missing = writes.deepest((*parts, "."))
    try:
        if len(missing) > 1:
            writes.room_for(fd, 0, len(missing) - 1, None, path)
        with writes.made(fd, missing[:-1]) as folder_fd:
            yield folder_fd
    finally:
        os.close(fd)


def _rename(source_fd: int, source: str, target_fd: int, target: str, path: str, overwrite: bool) -> None:
    try:
        if overwrite:
            os.rename(source, target, src_dir_fd=source_fd, dst_dir_fd=target_fd)
        else:
            rename_new(source_fd, source, target_fd, target)
    except OSError as error:
        if error.errno == EINVAL:
            raise BadRequest(f"to: {path[:100]!r} lies in what is to be moved there") from None
        if error.errno in (EEXIST, ENOTEMPTY) or (overwrite and isinstance(error, IsADirectoryError | NotADirectoryError)):
            why = "is there and cannot be replaced by this" if overwrite else _TAKEN
            raise Conflict(f"to: {path[:100]!r} {why}") from None
        raise


def _drop_twin(source_fd: int, source: str, target_fd: int, target: str) -> None:
    """Remove the old name where both named one file: renaming it to the other does nothing then."""
    old, new = lstat(source_fd, source), lstat(target_fd, target)
    if old is not None and new is not None and os.path.samestat(old, new) and old.st_nlink > 1 and not S_ISDIR(old.st_mode):
        os.unlink(source, dir_fd=source_fd)


def _copy_into(writes: Writes, fd: int, folder_fd: int, name: str, source: str, target: str, overwrite: bool) -> None:
    """Copy what is open as a path at `fd` under a name of its own, bring it to the disk, and rename it."""
    beside = new_name()
    try:
        if S_ISDIR(os.fstat(fd).st_mode):
            _copy_folder(writes, fd, folder_fd, beside, source)
            sync_all(folder_fd)
        else:
            _copy_file(writes, fd, folder_fd, beside, source, durable=True)
        _rename(folder_fd, beside, folder_fd, name, target, overwrite)
        os.fsync(folder_fd)
    except BaseException:
        remove_tree(folder_fd, beside)
        raise


def _copy_file(writes: Writes, path_fd: int, folder_fd: int, name: str, path: str, *, durable: bool = False) -> None:
    """Copy what is open as a path at `path_fd` into a new file."""
    info = os.fstat(path_fd)
    if S_ISLNK(info.st_mode):
        writes.room_for(folder_fd, 0, 1, None, path)
        os.symlink(os.readlink("", dir_fd=path_fd), name, dir_fd=folder_fd)
        writes.give_link(folder_fd, name)
        writes.changed(0, 1)
        return
    if not S_ISREG(info.st_mode):
        raise BadRequest(f"from: {path[:100]!r} is {kind_of(info.st_mode)}, or holds one; only files, folders and links can be copied")
    writes.room_for(folder_fd, info.st_size, 1, None, path)
    source_fd = os.open(f"/proc/self/fd/{path_fd}", _READ)
    try:
        fd = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=folder_fd)
        try:
            copy_bytes(source_fd, fd, info.st_size, path)
            writes.give(fd)
            os.fchmod(fd, S_IMODE(info.st_mode) & 0o777)
            if durable:
                os.fsync(fd)
            writes.changed(os.fstat(fd).st_blocks * BLOCK_BYTES, 1)
        finally:
            os.close(fd)
    finally:
        os.close(source_fd)


def _copy_folder(writes: Writes, path_fd: int, folder_fd: int, name: str, path: str) -> None:
    writes.room_for(folder_fd, 0, 1, None, path)
    os.mkdir(name, 0o700, dir_fd=folder_fd)
    top = os.open(name, FOLDER | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder_fd)
    try:
        writes.give(top)
        writes.changed(os.fstat(top).st_blocks * BLOCK_BYTES, 1)

        def visit(fd: int, names: list[str]) -> list[str]:
            target = open_beneath(top, tuple(names), FOLDER)
            folders: list[str] = []
            try:
                for entry in os.listdir(fd):
                    if UNFINISHED.match(entry):  # this copy itself, for one, where a program moves folders about
                        continue
                    try:
                        entry_fd = os.open(entry, LOOK, dir_fd=fd)
                    except FileNotFoundError:
                        continue
                    try:
                        if not S_ISDIR(os.fstat(entry_fd).st_mode):
                            _copy_file(writes, entry_fd, target, entry, path)
                            continue
                        writes.room_for(target, 0, 1, None, path)
                        with writes.made(target, (entry,)) as below:
                            os.fchmod(below, S_IMODE(os.fstat(entry_fd).st_mode) & 0o777 | 0o700)
                        folders.append(entry)
                    finally:
                        os.close(entry_fd)
            finally:
                os.close(target)
            return folders

        walk(path_fd, visit)
        os.fchmod(top, S_IMODE(os.fstat(path_fd).st_mode) & 0o777 | 0o700)
    finally:
        os.close(top)

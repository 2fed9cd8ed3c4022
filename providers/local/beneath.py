"""Opening what lies beneath a directory, and nothing else, whatever a program does to the path in the meantime.

No symbolic link is followed, neither on the way nor at the end; `..` is never resolved.
"""

from __future__ import annotations

import ctypes
import os
from errno import EAGAIN, ELOOP, ENOTDIR
from functools import cache
from stat import S_ISLNK
from typing import Final

from sandql.core.errors import BadRequest

MAX_PATH_BYTES: Final = 4095  # PATH_MAX without its NUL

_OPENAT2: Final = 437  # the same on all architectures
_RESOLVE: Final = 0x02 | 0x04 | 0x08  # RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS | RESOLVE_BENEATH
_ATTEMPTS: Final = 64
_FOLDER: Final = os.O_PATH | os.O_DIRECTORY

_libc: Final = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


class _OpenHow(ctypes.Structure):
    """struct open_how of <linux/openat2.h>."""

    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


def split_path(path: str) -> tuple[str, ...]:
    """The parts of a path relative to the workspace; none for the workspace itself.

    Raises:
        BadRequest: it is absolute, too long, holds `..`, NUL or what UTF-8 cannot carry.
    """
    try:
        size = len(os.fsencode(path))
    except UnicodeEncodeError:
        raise BadRequest("path: holds a lone surrogate, which UTF-8 cannot carry") from None
    if size > MAX_PATH_BYTES:
        raise BadRequest(f"path: at most {MAX_PATH_BYTES} bytes, got {size}")
    if "\0" in path:
        raise BadRequest(f"path: must not hold a NUL byte, got {path[:100]!r}")
    if path.startswith("/"):
        raise BadRequest(f"path: must be relative to the workspace, got {path[:100]!r}")
    parts = tuple(part for part in path.split("/") if part not in ("", "."))
    if ".." in parts:
        raise BadRequest(f"path: '..' is not allowed, got {path[:100]!r}")
    return parts


def open_beneath(root_fd: int, parts: tuple[str, ...], flags: int) -> int:
    """Open what the parts of a path lead to beneath `root_fd`; the caller closes it.

    `flags` may hold O_PATH, with which a symbolic link at the end is opened itself; nothing is created.

    Raises:
        OSError: ELOOP where a symbolic link is on the way, else as open(2).
    """
    if not _has_openat2():
        return _open_by_steps(root_fd, parts, flags)
    for _ in range(_ATTEMPTS):
        try:
            return _openat2(root_fd, "/".join(parts) or ".", flags)
        except BlockingIOError:  # something was renamed while the kernel looked
            continue
    raise BlockingIOError(EAGAIN, "openat2 was disturbed by renames too often")


def step(folder_fd: int, name: str, flags: int) -> int:
    """Open one name in a folder, not following it; the caller closes it.

    Raises:
        OSError: ELOOP where it is a symbolic link and `flags` ask for something else, else as open(2).
    """
    try:
        return os.open(name, flags | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder_fd)
    except NotADirectoryError:  # with O_DIRECTORY, Linux says this of links too
        if S_ISLNK(os.stat(name, dir_fd=folder_fd, follow_symlinks=False).st_mode):
            raise OSError(ELOOP, os.strerror(ELOOP)) from None
        raise NotADirectoryError(ENOTDIR, os.strerror(ENOTDIR)) from None


def _open_by_steps(root_fd: int, parts: tuple[str, ...], flags: int) -> int:
    """The same, for kernels before 5.6 and for containers whose filter does not know openat2."""
    fd = root_fd
    try:
        for part in parts[:-1]:
            below = step(fd, part, _FOLDER)
            if fd != root_fd:
                os.close(fd)
            fd = below
        return step(fd, parts[-1] if parts else ".", flags)
    finally:
        if fd != root_fd:
            os.close(fd)


def _openat2(root_fd: int, path: str, flags: int) -> int:
    how = _OpenHow(flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0, _RESOLVE)
    fd = int(
        _libc.syscall(
            ctypes.c_long(_OPENAT2), ctypes.c_int(root_fd), ctypes.c_char_p(os.fsencode(path)), ctypes.byref(how), ctypes.c_size_t(ctypes.sizeof(how))
        )
    )
    if fd < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return fd


@cache
def _has_openat2() -> bool:
    """Asked once: the kernel answers ENOSYS where it has no such call, a container's filter EPERM."""
    root_fd = os.open("/", _FOLDER | os.O_CLOEXEC)
    try:
        os.close(_openat2(root_fd, ".", _FOLDER))
    except OSError:
        return False
    else:
        return True
    finally:
        os.close(root_fd)

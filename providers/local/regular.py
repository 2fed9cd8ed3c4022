"""What a name in a workspace is, reading it when it is a regular file, and saying in the house's words why not."""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import contextmanager
from errno import EACCES, EAGAIN, EBUSY, EDQUOT, EEXIST, EINVAL, EISDIR, ELOOP, ENAMETOOLONG, ENOENT, ENOSPC, ENOTDIR, ENOTEMPTY, EPERM, ETXTBSY
from stat import S_ISBLK, S_ISCHR, S_ISDIR, S_ISFIFO, S_ISLNK, S_ISREG, S_ISSOCK
from typing import Final

from sandql.core.errors import BadRequest, Conflict, NotFound, PayloadTooLarge, ResourceError, SandqlError
from sandql.providers.local.trees import TreeMovedError

LOOK: Final = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC  # to see what a name is without touching it: opening a fifo or a device has effects

_CHUNK_BYTES: Final = 1 << 20


def open_regular(path_fd: int, path: str) -> int:
    """What is open as a path at `path_fd`, open for reading; `path` is for messages.

    Raises:
        BadRequest: it is not a regular file.
        OSError: it cannot be opened; EAGAIN where a program holds a lease on it.
    """
    mode = os.fstat(path_fd).st_mode
    if not S_ISREG(mode):
        raise BadRequest(f"path: {path[:100]!r} is {kind_of(mode)}; only regular files can be read")
    # By this path it is the very file that was looked at. Without O_NONBLOCK, a program's lease on it could hold us for 45 seconds.
    return os.open(f"/proc/self/fd/{path_fd}", os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)


def read_regular(path_fd: int, path: str, max_bytes: int, offset: int = 0, length: int | None = None) -> tuple[bytes, int]:
    """The content of what is open as a path at `path_fd`, or `length` bytes of it from `offset` on; and how many bytes it has in all.

    Raises:
        BadRequest: it is not a regular file.
        PayloadTooLarge: it is more than `max_bytes`.
        OSError: it cannot be opened or read; EAGAIN where a program holds a lease on it.
    """
    size = os.fstat(path_fd).st_size
    fd = open_regular(path_fd, path)
    try:
        wanted = size - offset if length is None else length
        if min(wanted, size - offset) > max_bytes:
            raise PayloadTooLarge(f"path: at most {max_bytes} bytes can be read, {path[:100]!r} has {size}")
        most = max_bytes + 1 if length is None else min(length, max_bytes + 1)
        content = bytearray()
        while len(content) < most and (chunk := os.pread(fd, min(_CHUNK_BYTES, most - len(content)), offset + len(content))):
            content += chunk
        if len(content) > max_bytes:  # it grew meanwhile
            raise PayloadTooLarge(f"path: at most {max_bytes} bytes can be read, {path[:100]!r} has more")
        return bytes(content), max(size, offset + len(content)) if content else size
    finally:
        os.close(fd)


def kind_of(mode: int) -> str:
    """What a mode of stat(2) says, in words."""
    for is_kind, words in (
        (S_ISDIR, "a folder"),
        (S_ISLNK, "a symbolic link, which is never followed"),
        (S_ISFIFO, "a fifo"),
        (S_ISSOCK, "a socket"),
        (S_ISCHR, "a device"),
        (S_ISBLK, "a device"),
    ):
        if is_kind(mode):
            return words
    return "a file"


def shown(name: str) -> str:
    """A name or path as text that JSON can carry: each byte that is not UTF-8 becomes U+FFFD."""
    return os.fsencode(name).decode("utf-8", "replace")


@contextmanager
def told(path: str) -> Generator[None]:
    """Say an error of the operating system in the words of the house."""
    try:
        yield
    except OSError as error:
        raise _astold(path[:100], error) from None


def _astold(path: str, error: OSError) -> SandqlError | OSError:
    if isinstance(error, TreeMovedError) or error.errno in (EAGAIN, EBUSY, EEXIST, ENOTEMPTY, ETXTBSY):
        return Conflict(f"path: {path!r} is held or moved by a running program; try again when it has ended")
    if error.errno == ENOENT:
        return NotFound(f"path: there is no {path!r}")
    if error.errno in (ENOSPC, EDQUOT):
        return ResourceError(f"workspace: the disk is full; {path!r} was not written")
    reasons = {
        ELOOP: "a symbolic link is on the way, and none is followed",
        ENOTDIR: "leads through something that is not a folder",
        EISDIR: "is a folder",
        EINVAL: "this file system does not take such a name",
        ENAMETOOLONG: "each part at most 255 bytes",
        EACCES: "its permissions do not allow this",
        EPERM: "its permissions do not allow this",
    }
    reason = reasons.get(error.errno or 0)
    return error if reason is None else BadRequest(f"path: {path!r}: {reason}")

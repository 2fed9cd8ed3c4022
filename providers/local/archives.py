"""Folders of a workspace as .tar.gz. All block."""

from __future__ import annotations

import gzip
import os
import tarfile
from stat import S_IMODE, S_ISDIR, S_ISLNK, S_ISREG
from typing import IO, Final

from sandql.core.errors import Conflict, PayloadTooLarge
from sandql.providers.local.regular import LOOK
from sandql.providers.local.trees import walk
from sandql.providers.local.writes import UNFINISHED

_LEVEL: Final = 1  # of compression: a stream should keep up with the network
_READ: Final = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


def pack(folder_fd: int, target: IO[bytes], max_bytes: int) -> None:
    """Write a folder that is open as a path as .tar.gz: files, folders and links; what is none of these is left out.

    Raises:
        PayloadTooLarge: its files have more than `max_bytes`, holes included.
        Conflict: a program cuts a file meanwhile.
        OSError: a program holds a file, or moves folders about.
    """
    left = max_bytes
    with (
        gzip.GzipFile(filename="", mode="wb", compresslevel=_LEVEL, fileobj=target, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w|", format=tarfile.PAX_FORMAT) as archive,
    ):

        def visit(fd: int, names: list[str]) -> list[str]:
            nonlocal left
            folders: list[str] = []
            for name in sorted(os.listdir(fd)):
                if UNFINISHED.match(name):
                    continue
                try:
                    entry_fd = os.open(name, LOOK, dir_fd=fd)
                except FileNotFoundError:
                    continue
                try:
                    info = os.fstat(entry_fd)
                    left -= info.st_size if S_ISREG(info.st_mode) else 0
                    if left < 0:
                        raise PayloadTooLarge(f"archive: at most {max_bytes} bytes of files, there are more; take a folder below")
                    _pack_entry(archive, entry_fd, info, "/".join([*names, name]))
                    if S_ISDIR(info.st_mode):
                        folders.append(name)
                finally:
                    os.close(entry_fd)
            vars(archive)["members"].clear()  # else it remembers all it has written
            return folders[::-1]  # `walk` takes the last one first

        walk(folder_fd, visit)


def _pack_entry(archive: tarfile.TarFile, path_fd: int, info: os.stat_result, name: str) -> None:
    member = tarfile.TarInfo(name)
    member.mode = S_IMODE(info.st_mode) & 0o777
    member.mtime = int(info.st_mtime)
    if S_ISDIR(info.st_mode):
        member.type = tarfile.DIRTYPE
        archive.addfile(member)
    elif S_ISLNK(info.st_mode):
        member.type = tarfile.SYMTYPE
        member.linkname = os.readlink("", dir_fd=path_fd)
        archive.addfile(member)
    elif S_ISREG(info.st_mode):
        member.size = info.st_size
        with open(os.open(f"/proc/self/fd/{path_fd}", _READ), "rb") as file:
            archive.addfile(member, _Exactly(file, info.st_size))


class _Exactly:
    """As many bytes of a file as its head says, though a program may let it grow meanwhile."""

    def __init__(self, file: IO[bytes], size: int) -> None:
        self._file = file
        self._left = size

    def read(self, length: int = -1, /) -> bytes:
        """The next bytes. Raises Conflict: a program has cut the file."""
        size = self._left if length < 0 else min(length, self._left)
        data = self._file.read(size)
        if len(data) < size:
            raise Conflict("archive: a running program has cut a file while it was packed; try again")
        self._left -= size
        return data

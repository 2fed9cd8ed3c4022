"""Bringing files out of a workspace when a run has ended: by path or glob, regular files only, within bounds."""

from __future__ import annotations

import os
import time
from stat import S_ISREG
from typing import Final

from sandql.core.errors import BadRequest, PayloadTooLarge, ResourceError
from sandql.core.values import FileContent
from sandql.providers.local.beneath import MAX_PATH_BYTES, open_beneath, split_path
from sandql.providers.local.globs import Globs, State, is_glob
from sandql.providers.local.regular import LOOK, read_regular, shown
from sandql.providers.local.trees import TreeMovedError, walk

_ATTEMPTS: Final = 5
_COLLECT_S: Final = 5.0


def collect(root_fd: int, patterns: tuple[str, ...], max_files: int, max_total_bytes: int) -> list[FileContent]:
    """The regular files beneath `root_fd` that paths or globs name; see `Workspace.collect`."""
    taken = _Taken(max_files, max_total_bytes)
    globs: list[tuple[str, ...]] = []
    for pattern in patterns:
        parts = split_path(pattern)
        if is_glob(pattern):
            globs.append(parts)
            continue
        try:
            fd = open_beneath(root_fd, parts, LOOK)
        except OSError:  # it is not there, or links lead there
            continue
        taken.take(fd, "/".join(parts))
    if globs:
        try:
            compiled = Globs(tuple(globs))
        except ValueError as error:
            raise BadRequest(f"artifacts: {error}") from None
        _collect_globs(root_fd, compiled, taken)
    return sorted(taken.files.values(), key=lambda file: file.path)


def _collect_globs(root_fd: int, globs: Globs, taken: _Taken) -> None:
    states: list[State] = []
    deadline = time.monotonic() + _COLLECT_S

    def visit(fd: int, names: list[str]) -> list[str]:
        del states[len(names) :]
        states.append(globs.enter(states[-1], names[-1]) if names else globs.start())
        here = "".join(name + "/" for name in names)
        folders: list[str] = []
        with os.scandir(fd) as entries:
            for entry in entries:
                if time.monotonic() > deadline:
                    raise ResourceError(f"artifacts: looking through the workspace took more than {_COLLECT_S:g} s; name paths instead of globs")
                if entry.is_dir(follow_symlinks=False):
                    if len(os.fsencode(here + entry.name)) < MAX_PATH_BYTES and globs.enter(states[-1], entry.name):
                        folders.append(entry.name)
                elif globs.matches(states[-1], entry.name):
                    try:
                        file_fd = os.open(entry.name, LOOK, dir_fd=fd)
                    except OSError:  # it is gone
                        continue
                    taken.take(file_fd, here + entry.name)
        return folders

    for _ in range(_ATTEMPTS):
        try:
            walk(root_fd, visit)
        except TreeMovedError:  # what was taken stays taken
            continue
        return
    raise ResourceError("artifacts: a program moves the workspace's folders about too fast for them to be looked through")


class _Taken:
    """The files collected so far, within their bounds."""

    def __init__(self, max_files: int, max_total_bytes: int) -> None:
        self.files: dict[str, FileContent] = {}
        self._max_files = max_files
        self._max_total_bytes = max_total_bytes
        self._left_bytes = max_total_bytes

    def take(self, fd: int, path: str) -> None:
        """Add the file open as a path at `fd`, which is closed, unless it is none or cannot be read. Raises PayloadTooLarge."""
        try:
            if path in self.files or not S_ISREG(os.fstat(fd).st_mode):
                return
            self.files[path] = FileContent(shown(path), self._read(fd, path))
        except OSError:  # a mode or a lease that the program set: its own wish
            return
        finally:
            os.close(fd)
        self._left_bytes -= len(self.files[path].content)

    def _read(self, fd: int, path: str) -> bytes:
        if len(self.files) >= self._max_files:
            raise PayloadTooLarge(f"artifacts: at most {self._max_files} files, there are more; name fewer")
        try:
            return read_regular(fd, path, self._left_bytes)[0]
        except PayloadTooLarge:
            raise PayloadTooLarge(f"artifacts: at most {self._max_total_bytes} bytes in all, {shown(path)[:100]!r} goes beyond") from None

"""Homes: the kept workspaces, one directory for each owner below the state folder.

    homes/<name>/files    what the owner sees as /workspace

`name` is a hash of the owner, so that an owner can be any text. When the server is root, each home has a uid of its own.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from dataclasses import dataclass
from pathlib import Path

from sandql.core.errors import ResourceError, SandqlError
from sandql.providers.local.supervisor import FIRST_RUN_UID, HOST_UID_BASE, RUN_UIDS, UIDS
from sandql.providers.local.workspace import Workspace, remove_tree

_FIRST_HOME_UID = FIRST_RUN_UID + RUN_UIDS + 1
_INSIDE_BASE = 1000  # the first uid inside a zygote stands for HOST_UID_BASE


@dataclass(frozen=True, slots=True)
class Home:
    """A kept workspace. `owner_uid` is the uid of its files inside a zygote, or None where the server is not root."""

    name: str
    files: Path
    owner_uid: int | None


class Homes:
    """All homes below one directory."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._real_root = os.geteuid() == 0
        folder.mkdir(mode=0o711, parents=True, exist_ok=True)
        self._uids = self._used_uids()
        self._remove_unfinished()

    def get(self, owner: str) -> Home:
        """The owner's home, made on first use.

        Raises:
            ResourceError: there are as many homes as this host can keep apart.
        """
        name = hashlib.sha256(owner.encode()).hexdigest()[:40]
        files = self.folder / name / "files"
        if not files.is_dir():
            self._make(name, files)
        os.utime(self.folder / name)
        files.chmod(0o700)  # a run may have changed it
        uid = files.stat().st_uid - HOST_UID_BASE + _INSIDE_BASE if self._real_root else None
        return Home(name, files, uid)

    def remove_idle(self, idle_s: float) -> None:
        """Remove the homes that nobody has used for so long."""
        oldest = time.time() - idle_s
        with os.scandir(self.folder) as entries:
            idle = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False) and entry.stat().st_mtime < oldest]
        if not idle:
            return
        fd = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            for name in idle:
                remove_tree(fd, name)
        finally:
            os.close(fd)
        self._uids = self._used_uids()

    def _remove_unfinished(self) -> None:
        """Remove what writes left half done when the last server was killed."""
        for files in self.folder.glob("*/files"):
            with contextlib.suppress(OSError, SandqlError):
                fd = os.open(files, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
                try:
                    Workspace(fd).remove_unfinished()
                finally:
                    os.close(fd)

    def _make(self, name: str, files: Path) -> None:
        (self.folder / name).mkdir(mode=0o711, exist_ok=True)
        making = self.folder / name / "making"
        making.mkdir(mode=0o700, exist_ok=True)
        if self._real_root:
            uid = next((uid for uid in range(_FIRST_HOME_UID, _INSIDE_BASE + UIDS) if uid not in self._uids), None)
            if uid is None:
                raise ResourceError(f"homes: at most {_INSIDE_BASE + UIDS - _FIRST_HOME_UID} can be kept on one host")
            self._uids.add(uid)
            host = HOST_UID_BASE + uid - _INSIDE_BASE
            os.chown(making, host, host)
        making.rename(files)

    def _used_uids(self) -> set[int]:
        return {path.stat().st_uid - HOST_UID_BASE + _INSIDE_BASE for path in self.folder.glob("*/files")} if self._real_root else set()

"""Homes: the kept workspaces, one directory for each owner below the state folder.

    homes/<name>/files    what the owner sees as /workspace

`name` is a hash of the owner, so that an owner can be any text. When the server is root, each home has a uid of its own.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import threading
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from sandql.core.errors import ResourceError, SandqlError
from sandql.providers.local.scarce import scarce
from sandql.providers.local.supervisor import FIRST_RUN_UID, HOST_UID_BASE, RUN_UIDS, UIDS, is_real_root
from sandql.providers.local.workspace import Workspace, remove_tree

_FIRST_HOME_UID = FIRST_RUN_UID + RUN_UIDS + 1
_REMOVING = "removing-"  # a home that is on its way out; what a crash leaves of it goes at a later sweep
_INSIDE_BASE = 1000  # the first uid inside a zygote stands for HOST_UID_BASE


@dataclass(frozen=True, slots=True)
class Home:
    """A kept workspace. `owner_uid` is the uid of its files inside a zygote, or None where the server is not root."""

    name: str
    files: Path
    owner_uid: int | None


class Homes:
    """All homes below one directory. Its methods block, and may be called in any thread."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._real_root = is_real_root()
        self._lock = threading.Lock()
        self._lent: Counter[str] = Counter()
        folder.mkdir(mode=0o711, parents=True, exist_ok=True)
        self._uids = self._used_uids()
        self._remove_unfinished()

    def lend(self, owner: str) -> Home:
        """The owner's home, made on first use, to be given back: until then it is not idle.

        Raises:
            ResourceError: there are as many homes as this host can keep apart, or no disk or descriptor is left for one.
        """
        name = hashlib.sha256(owner.encode()).hexdigest()[:40]
        files = self.folder / name / "files"
        with self._lock, scarce("the home"):
            if not files.is_dir():
                self._make(name, files)
            os.utime(self.folder / name)
            files.chmod(0o700)  # a run may have changed it
            uid = self._uid_of(files) if self._real_root else None
            self._lent[name] += 1
        return Home(name, files, uid)

    def give_back(self, home: Home) -> None:
        """Its owner has done with it for now; from now on it is idle."""
        with self._lock:
            self._lent[home.name] -= 1
            if not self._lent[home.name]:
                del self._lent[home.name]
            with contextlib.suppress(OSError):
                os.utime(self.folder / home.name)

    def remove_idle(self, idle_s: float) -> None:
        """Remove the homes that nobody has used for so long. One that cannot be removed is left for the next time."""
        oldest = time.time() - idle_s
        for name in os.listdir(self.folder):
            with contextlib.suppress(OSError):
                if self._is_idle(name, oldest):
                    self._remove(name, oldest)

    def _is_idle(self, name: str, oldest: float) -> bool:
        try:
            return name not in self._lent and os.lstat(self.folder / name).st_mtime < oldest
        except FileNotFoundError:
            return False

    def _remove(self, name: str, oldest: float) -> None:
        uid = self._uid_of(self.folder / name / "files")
        away = f"{_REMOVING}{secrets.token_hex(8)}"
        with self._lock:  # not for as long as removing takes: lending waits for it
            if not self._is_idle(name, oldest):
                return  # it was lent in this moment
            os.rename(self.folder / name, self.folder / away)
        fd = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            remove_tree(fd, away)
        finally:
            os.close(fd)
        with self._lock:
            self._uids.discard(uid)

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

    def _uid_of(self, files: Path) -> int:
        """The uid of a home's files inside a zygote, -1 where there are none."""
        try:
            return files.stat().st_uid - HOST_UID_BASE + _INSIDE_BASE
        except FileNotFoundError:
            return -1

    def _used_uids(self) -> set[int]:
        return {self._uid_of(path) for path in self.folder.glob("*/files")} if self._real_root else set()

"""Homes and other kept workspaces, one directory for each below the state folder.

    homes/<name>/files    what a program sees as /workspace

The `name` of a home is a hash of its owner, so that an owner can be any text; that of another kept sandbox is its id, which says `sb_` first.
When the server is root, each has a uid of its own.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import secrets
import threading
import time
from collections import Counter
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from sandql.core.clock import ticks
from sandql.core.errors import NotFound, ResourceError, SandqlError
from sandql.providers.local import uploads
from sandql.providers.local.host_uids import FIRST_RUN_UID, HOST_UID_BASE, RUN_UIDS, UIDS, is_real_root
from sandql.providers.local.place import Place
from sandql.providers.local.scarce import scarce
from sandql.providers.local.workspace import Workspace, remove_tree

_FIRST_HOME_UID = FIRST_RUN_UID + RUN_UIDS + 1
_KEPT = "sb_"  # what the names of sandboxes that are no homes begin with
_REMOVING = "removing-"  # a home that is on its way out; what a crash leaves of it goes at a later sweep
_RETRY_S = 1.0
_INSIDE_BASE = 1000  # the first uid inside a zygote stands for HOST_UID_BASE


@dataclass(frozen=True, slots=True)
class Home:
    """A kept workspace. `owner_uid` is the uid of its files inside a zygote, or None where the server is not root."""

    name: str
    files: Path
    owner_uid: int | None
    place: Place = field(compare=False)


def name_of_home(owner: str) -> str:
    """The name of an owner's home."""
    return hashlib.sha256(owner.encode()).hexdigest()[:40]


def _not_known(_name: str) -> int | None:
    return None


class Homes:
    """All homes below one directory. Its methods block, and may be called in any thread. `stamp` is as in `Place`, of a home by its name."""

    def __init__(self, folder: Path, stamp: Callable[[str], int | None] = _not_known) -> None:
        self.folder = folder
        self._stamp = stamp
        self._places: dict[str, Place] = {}
        self._real_root = is_real_root()
        self._lock = threading.Lock()
        self._lent: Counter[str] = Counter()
        self._opened_at = time.time() - ticks()
        folder.mkdir(mode=0o711, parents=True, exist_ok=True)
        self._uids = self._used_uids()

    @contextlib.contextmanager
    def in_use(self) -> Generator[None]:
        """Remove what a killed server left half written, unless another process is at work here; none removes it while this lasts."""
        fd = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                pass  # `sandql run` beside a server, whose writes are not to be disturbed
            else:
                self._remove_unfinished()
            fcntl.flock(fd, fcntl.LOCK_SH)
            yield
        finally:
            os.close(fd)

    def lend(self, owner: str) -> Home:
        """The owner's home, made on first use, to be given back: until then it is not idle.

        Raises:
            ResourceError: there are as many homes as this host can keep apart, or no disk or descriptor is left for one.
        """
        return self._lend(name_of_home(owner), make=True)

    def make(self, name: str) -> None:
        """Make the workspace of a kept sandbox, unless it is there; raises as `lend`."""
        self.give_back(self._lend(name, make=True))

    def lend_kept(self, name: str) -> Home:
        """The workspace of a kept sandbox, to be given back. Raises NotFound: there is none."""
        return self._lend(name, make=False)

    def kept(self) -> set[str]:
        """The names of the kept sandboxes that there are, those whose removal was cut off included."""
        names = (name.removeprefix(_REMOVING) for name in os.listdir(self.folder))
        return {name for name in names if name.startswith(_KEPT)}

    def remove(self, name: str) -> None:
        """Remove a kept sandbox, in which nothing runs any more, whoever has it lent; nothing happens when it is gone.

        Raises:
            ResourceError: not all of it can be removed now; it is gone for everybody, and a second call goes on.
        """
        away = _REMOVING + name
        with self._lock:
            uid = max(self._uid_of(self.folder / path / "files") for path in (name, away))
            with contextlib.suppress(FileNotFoundError):
                os.rename(self.folder / name, self.folder / away)
            self._places.pop(name, None)
        try:
            self._clear(away, uid)
        except OSError as error:
            raise ResourceError(f"the sandbox's files cannot all be removed now: {error.strerror}", retry_after_s=_RETRY_S) from None

    def is_lent(self, name: str) -> bool:
        """Whether somebody has it, and has not given it back."""
        return name in self._lent

    def _lend(self, name: str, *, make: bool) -> Home:
        files = self.folder / name / "files"
        with self._lock, scarce("the sandbox's files"):
            if not files.is_dir():
                if not make:
                    raise NotFound("sandboxId: this sandbox is gone")
                self._make(name, files)
            os.utime(self.folder / name)
            files.chmod(0o700)  # a run may have changed it
            uid = self._uid_of(files) if self._real_root else None
            self._lent[name] += 1
            place = self._places.get(name)
            if place is None:
                place = self._places[name] = Place(partial(self._stamp, name), partial(uploads.usage, uploads.folder_of(files)))
        return Home(name, files, uid, place)

    def give_back(self, home: Home) -> None:
        """Its owner has done with it for now; from now on it is idle."""
        with self._lock:
            self._lent[home.name] -= 1
            if not self._lent[home.name]:
                del self._lent[home.name]
            with contextlib.suppress(OSError):
                os.utime(self.folder / home.name)

    def remove_idle(self, idle_s: float) -> list[str]:
        """Remove the homes that nobody has used for so long; returns their names. One that cannot be removed is left for the next time."""
        removed: list[str] = []
        now = min(self._opened_at + ticks(), time.time())  # a clock that was set since must not make what was used just now look old
        oldest = now - idle_s
        for name in os.listdir(self.folder):
            with contextlib.suppress(OSError):
                if name.startswith(_KEPT) or not self._is_idle(name, oldest):
                    uploads.remove_old(self.folder / name / "uploads")
                elif self._remove(name, oldest):
                    removed.append(name)
        return removed

    def _is_idle(self, name: str, oldest: float) -> bool:
        try:
            return name not in self._lent and os.lstat(self.folder / name).st_mtime < oldest
        except FileNotFoundError:
            return False

    def _remove(self, name: str, oldest: float) -> bool:
        """Remove a home; False where it is not idle any more."""
        uid = self._uid_of(self.folder / name / "files")
        away = f"{_REMOVING}{secrets.token_hex(8)}"
        with self._lock:  # not for as long as removing takes: lending waits for it
            if not self._is_idle(name, oldest):
                return False  # it was lent in this moment
            os.rename(self.folder / name, self.folder / away)
            self._places.pop(name, None)
        with contextlib.suppress(OSError):  # what is left of it goes at a later sweep
            self._clear(away, uid)
        return True

    def _clear(self, name: str, uid: int) -> None:
        """Remove a folder, whose uid may then be another's."""
        fd = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            remove_tree(fd, name)
        finally:
            os.close(fd)
        with self._lock:
            self._uids.discard(uid)

    def _remove_unfinished(self) -> None:
        """Remove what writes and runs left half done when the last server was killed."""
        for folder in self.folder.glob("*/uploads"):
            with contextlib.suppress(OSError):
                uploads.remove_unfinished(folder)
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
        uid = -1
        try:
            making.mkdir(mode=0o700, exist_ok=True)
            if self._real_root:
                uid = self._free_uid()
                self._uids.add(uid)
                host = HOST_UID_BASE + uid - _INSIDE_BASE
                os.chown(making, host, host)
            making.rename(files)
        except BaseException:
            self._uids.discard(uid)
            for folder in (making, making.parent):
                with contextlib.suppress(OSError):
                    folder.rmdir()
            raise

    def _free_uid(self) -> int:
        uid = next((uid for uid in range(_FIRST_HOME_UID, _INSIDE_BASE + UIDS) if uid not in self._uids), None)
        if uid is None:
            raise ResourceError(f"homes: at most {_INSIDE_BASE + UIDS - _FIRST_HOME_UID} can be kept on one host")
        return uid

    def _uid_of(self, files: Path) -> int:
        """The uid of a home's files inside a zygote, -1 where there are none."""
        try:
            return files.stat().st_uid - HOST_UID_BASE + _INSIDE_BASE
        except FileNotFoundError:
            return -1

    def _used_uids(self) -> set[int]:
        return {self._uid_of(path) for path in self.folder.glob("*/files")} if self._real_root else set()

"""What callers keep: the bytes of all their sandboxes together, against what their plans give.

Nothing walks through the files of a sandbox when one of them is written. What each sandbox holds is noted as its files change, and counted anew
only where that is not known: after a start of the server, and when a program has run there since.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from typing import Final, Protocol

from sandql.core.errors import QuotaExceeded
from sandql.core.values import MiB

_TRUSTED_S: Final = 600.0  # a count is made anew after so long: a home may have been swept meanwhile


class Holding(Protocol):
    """What a sandbox holds. Both methods may be called in any thread."""

    def stamp(self) -> int | None:
        """A number that is another one when a program has run there since; None while one runs."""
        ...

    def count(self) -> int:
        """Bytes on disk, what is on its way there included; 0 where it is gone. Blocks. Raises ResourceError: it changes too fast."""
        ...


class _Held:
    """What is known of one sandbox: how much it was last said to hold, and whether that is in doubt."""

    def __init__(self, holding: Holding) -> None:
        self.holding = holding
        self.size = 0
        self._doubtful = True
        self._stamp: int | None = None
        self._noted_at = 0.0
        self._notes = 0
        self._lock = threading.Lock()

    def note(self, size: int) -> None:
        """It holds so many bytes, or will soon."""
        with self._lock:
            self._note(size, self.holding.stamp())

    def doubt(self) -> None:
        """It may hold another number of bytes than was said."""
        with self._lock:
            self._doubtful = True
            self._notes += 1

    def count(self) -> None:
        """Count it, unless that is known."""
        with self._lock:
            if self._is_known():
                return
            notes, stamp = self._notes, self.holding.stamp()
        size = self.holding.count()
        with self._lock:
            if notes == self._notes:  # or else whoever writes there knows better, for the count may have seen only a part of it
                self._note(size, stamp)

    def _note(self, size: int, stamp: int | None) -> None:
        self.size, self._stamp, self._noted_at, self._doubtful = size, stamp, time.monotonic(), False
        self._notes += 1

    def _is_known(self) -> bool:
        if self._doubtful or time.monotonic() - self._noted_at > _TRUSTED_S:
            return False
        stamp = self.holding.stamp()
        return stamp is None or stamp == self._stamp  # while a program runs, who watches it notes what it writes


class Storage:
    """What one caller keeps on this server. `most_bytes` is what its plan gives."""

    def __init__(self, most_bytes: int) -> None:
        self.most_bytes = most_bytes
        self._lock = threading.Lock()
        self._held: dict[str, _Held] = {}

    def hold(self, holdings: Mapping[str, Holding]) -> None:
        """These sandboxes are the caller's now, each by a name, and no others."""
        with self._lock:
            self._held = {name: self._held.get(name) or _Held(holding) for name, holding in holdings.items()}

    def share(self, name: str) -> Share:
        """The part that one of the sandboxes has in it."""
        return Share(self, self._held[name])

    def used(self) -> int:
        """Bytes in all of the caller's sandboxes. Blocks. Raises ResourceError: they cannot be counted now."""
        held = list(self._held.values())
        for one in held:
            one.count()
        return sum(one.size for one in held)

    def check(self, more: int) -> None:
        """Refuse what would take so much more. Blocks. Raises QuotaExceeded, ResourceError."""
        self._refuse_beyond(self.used(), more)

    def take(self, own: _Held, size: int, more: int) -> None:
        """Note that a sandbox holds so much and that more comes, in one step for all who write. Blocks. Raises as `check`; then nothing comes."""
        others = [one for one in list(self._held.values()) if one is not own]
        for one in others:
            one.count()
        with self._lock:
            own.note(size)
            if more >= 0:  # a folder takes something though it asks for nothing; what makes a file smaller is let happen in any case
                self._refuse_beyond(size + sum(one.size for one in others), more)
                own.note(size + more)

    def _refuse_beyond(self, used: int, more: int) -> None:
        if used + more > self.most_bytes:
            raise QuotaExceeded(
                f"quota maxStorageMB: at most {self.most_bytes // MiB} MB are kept in all sandboxes of yours together; {used / MiB:.3f} are used "
                f"and this takes {more / MiB:.3f} more; remove files or a sandbox first, since time alone brings no more"
            )


class Share:
    """The part of one sandbox in what its caller keeps, for whoever writes there."""

    def __init__(self, storage: Storage, own: _Held) -> None:
        self._storage = storage
        self._own = own

    def check(self, size: int, more: int) -> None:
        """Note that it holds `size` bytes and that so many more come: until `note` says otherwise they count. Blocks.

        Raises:
            QuotaExceeded: the caller would keep more than its plan gives.
            ResourceError: what it keeps cannot be counted now.
        """
        self._storage.take(self._own, size, more)

    def check_run(self, more: int) -> None:
        """Refuse a program that needs so much room before it begins, and any when there is none left. Blocks. Raises as `check`."""
        self._storage.check(max(more, 1))

    def note(self, size: int) -> None:
        """Note that it holds so many bytes now."""
        self._own.note(size)

    def doubt(self) -> None:
        """Have what it holds counted anew."""
        self._own.doubt()

    def grown(self, size: int) -> bool:
        """Note what it holds while a program runs there; whether that is more than there may be. Blocks. Raises ResourceError."""
        self._own.note(size)
        return self._storage.used() > self._storage.most_bytes

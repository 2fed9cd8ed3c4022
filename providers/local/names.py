"""The sorted names of folders: of large ones they are kept for a while, since who lists one page by page asks for them again and again."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from dataclasses import dataclass
from time import time_ns
from typing import Final

_MOST_KEPT: Final = 4
_LEAST_NAMES: Final = 1000
_MOST_NAMES: Final = 100_000
_SETTLED_NS: Final = 100_000_000  # clocks of file systems go by ticks: what changed more recently could change again unseen

_Key = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Names:
    """All names in a folder, sorted."""

    all: tuple[str, ...]
    are_ascii: bool


_kept: Final[OrderedDict[_Key, Names]] = OrderedDict()
_guard: Final = threading.Lock()


def sorted_names(folder_fd: int) -> Names:
    """The names in an open folder, as they are now. Raises OSError."""
    key = _key(folder_fd)
    with _guard:
        kept = _kept.get(key)
        if kept is not None:
            _kept.move_to_end(key)
            return kept
    listed = sorted(os.listdir(folder_fd))
    names = Names(tuple(listed), all(map(str.isascii, listed)))
    if _LEAST_NAMES <= len(listed) <= _MOST_NAMES and time_ns() - max(key[2:]) > _SETTLED_NS and _key(folder_fd) == key:
        with _guard:
            _kept[key] = names
            while len(_kept) > _MOST_KEPT:
                _kept.popitem(last=False)
    return names


def _key(folder_fd: int) -> _Key:
    """What is another one when a name has come or gone."""
    info = os.fstat(folder_fd)
    return info.st_dev, info.st_ino, info.st_mtime_ns, info.st_ctime_ns

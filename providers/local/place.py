"""What all who work on the files of one workspace share, whoever they work for."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

_MOST_READERS: Final = 4  # threads that one workspace may keep busy with reading


def _never_run() -> int | None:
    return None


def _nothing() -> tuple[int, int]:
    return 0, 0


@dataclass(eq=False, slots=True)
class Place:
    """Whose turn it is to write, and what the workspace was found to use: bytes, and files and folders.

    Args:
        stamp: a number that is another one when a program has run there since, or None while one runs or where that is not known.
        beside: how many bytes and files lie elsewhere and count as well.
    """

    stamp: Callable[[], int | None] = _never_run
    beside: Callable[[], tuple[int, int]] = _nothing
    changing: asyncio.Lock = field(default_factory=asyncio.Lock)  # so that no workspace keeps more than one thread waiting for its turn
    reading: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_MOST_READERS))
    turn: threading.RLock = field(default_factory=threading.RLock)
    unpacking: asyncio.Lock = field(default_factory=asyncio.Lock)  # what lies unpacked beside the workspace is counted by itself only
    used: tuple[int, int] | None = None
    counted_stamp: int | None = None
    counted_at: float = 0.0
    count_s: float = 0.0

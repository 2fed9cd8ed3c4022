"""What a kept workspace holds, counted from outside: for the sum of what its owner keeps."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sandql.providers.local import uploads
from sandql.providers.local.writes import count


@dataclass(frozen=True, slots=True)
class LocalHolding:
    """See `sandql.usage.storage.Holding`; `files` is the directory of the workspace, and `stamp` as in `Place`."""

    files: Path
    stamp: Callable[[], int | None]

    def count(self) -> int:
        """Bytes on disk, with uploads that are not whole."""
        try:
            fd = os.open(self.files, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except FileNotFoundError:
            return 0
        try:
            return count(fd)[0] + uploads.usage(uploads.folder_of(self.files))[0]
        finally:
            os.close(fd)

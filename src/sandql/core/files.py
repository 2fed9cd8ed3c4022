"""What becomes of files while somebody watches."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from sandql.core.values import FileType


class ChangeKind(StrEnum):
    """What became of a path."""

    CREATED = "CREATED"
    MODIFIED = "MODIFIED"
    REMOVED = "REMOVED"
    MOVED = "MOVED"


@dataclass(frozen=True, slots=True)
class FileChange:
    """A path that changed, relative to the workspace; `previous_path` is set for what was MOVED."""

    kind: ChangeKind
    path: str
    type: FileType
    previous_path: str | None = None


@dataclass(frozen=True, slots=True)
class FileChanges:
    """What came together. After an `overflow` changes are missing: whoever watches must look anew."""

    changes: tuple[FileChange, ...]
    overflow: bool

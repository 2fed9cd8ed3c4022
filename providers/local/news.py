"""What became of paths, in order: whoever applies it one by one arrives at what there is."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from typing import Final

from sandql.core.errors import SandqlError
from sandql.core.files import ChangeKind, FileChange, FileChanges
from sandql.core.values import FileType
from sandql.providers.local.regular import shown
from sandql.providers.local.workspace import Workspace

_MOST_TOGETHER: Final = 4096


@dataclass(frozen=True, slots=True)
class _Noted:
    kind: ChangeKind
    path: str
    is_folder: bool
    before: str | None


class News:
    """Changes that come together. `overflow` says that there were more than can be told."""

    def __init__(self) -> None:
        self._noted: list[_Noted] = []
        self._last: dict[str, ChangeKind] = {}
        self.overflow = False

    @property
    def is_empty(self) -> bool:
        """Whether nothing became of any path."""
        return not self._noted

    def note(self, kind: ChangeKind, path: str, is_folder: bool, before: str | None = None) -> None:
        """Note what became of a path; `before` is where it was when it was moved. Who is told of a file reads it later, so once is enough."""
        if kind is ChangeKind.MODIFIED and self._last.get(path) in (ChangeKind.CREATED, ChangeKind.MODIFIED):
            return
        if is_folder and kind is not ChangeKind.CREATED:  # other files may have the paths below it from now on
            self._last.clear()
        self._last[path] = kind
        self._noted.append(_Noted(kind, path, is_folder, before))
        if len(self._noted) > _MOST_TOGETHER:
            self.lose()

    def lose(self) -> None:
        """Give up what was noted."""
        self._noted.clear()
        self._last.clear()
        self.overflow = True

    def changes(self, workspace: Workspace) -> FileChanges:
        """All of it. Blocks: it looks at what paths are in the workspace, and closes that."""
        types: dict[str, FileType] = {}
        with closing(workspace):
            for noted in self._noted:
                if not noted.is_folder and noted.path not in types:
                    types[noted.path] = _type_of(workspace, noted.path)
        changes: list[FileChange] = []
        for noted in self._noted:
            type_ = FileType.DIRECTORY if noted.is_folder else types[noted.path]
            changes.append(FileChange(noted.kind, shown(noted.path), type_, None if noted.before is None else shown(noted.before)))
        return FileChanges(tuple(changes), self.overflow)


def _type_of(workspace: Workspace, path: str) -> FileType:
    try:
        found = workspace.stat(path).type
    except SandqlError:  # it is gone again
        return FileType.FILE
    return FileType.FILE if found is FileType.DIRECTORY else found  # a folder has come to its place since, and that is told as well

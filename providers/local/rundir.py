"""The folder in which one engine runs: its zygotes' main program and mount point. Folders of engines that died are swept."""

from __future__ import annotations

import contextlib
import dis
import fcntl
import importlib.util
import marshal
import os
import shutil
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Final

ENTRY_NAME: Final = "<sandql>"  # as in cell/python.py


class RunDir:
    """A new folder below `parent`, locked for as long as this process lives, and removed at the end."""

    def __init__(self, parent: Path) -> None:
        self._parent = parent
        self._lock = -1

    def __enter__(self) -> RunDir:
        self._parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        parent_fd = os.open(self._parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(parent_fd, fcntl.LOCK_EX)  # so that a folder without a lock is always a dead one's, not one that is being made
            _sweep(self._parent)
            self.path = Path(tempfile.mkdtemp(dir=self._parent))
            self._lock = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            fcntl.flock(self._lock, fcntl.LOCK_EX)
        finally:
            os.close(parent_fd)
        cell = Path(__file__).resolve().parent / "cell"
        (self.path / "cell").symlink_to(cell)
        (self.path / "main.py").write_bytes(_entry_without_frame((cell / "entry.py").read_bytes()))
        (self.path / "root").mkdir()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        shutil.rmtree(self.path, ignore_errors=True)
        os.close(self._lock)


def _entry_without_frame(source: bytes) -> bytes:
    """The zygote's main file, compiled so that CPython takes its frame for one that has not begun, and shows it to nobody.

    A frame shows once it is past its first RESUME instruction; this code has none. The interpreter accepts a compiled file under
    any name, so that a run's command line reads `python3 main.py`.
    """
    code = compile(source, ENTRY_NAME, "exec", dont_inherit=True)
    instructions = bytearray(code.co_code)
    for at in range(0, len(instructions), 2):
        if instructions[at] == dis.opmap["RESUME"]:
            instructions[at : at + 2] = bytes((dis.opmap["NOP"], 0))
    return importlib.util.MAGIC_NUMBER + bytes(12) + marshal.dumps(code.replace(co_code=bytes(instructions)))


def _sweep(parent: Path) -> None:
    for folder in parent.iterdir():
        with contextlib.suppress(OSError):
            lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(lock)

"""The calibration: interpreters started directly, with nothing of sandql, in the same minutes on the same machine.

"bare" is `python -I -c 'print(1)'` of the server's base interpreter, from an empty venv so that no package's .pth file slows it,
started by posix_spawn with an empty environment. What it prints is thrown away; its exit status is looked at.
"""

from __future__ import annotations

import os
import select
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Final

from benchmarks.failure import Failed

_PATH: Final = "/usr/local/bin:/usr/bin:/bin"
_STDIO: Final = (
    (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
    (os.POSIX_SPAWN_OPEN, 1, "/dev/null", os.O_WRONLY, 0),
    (os.POSIX_SPAWN_OPEN, 2, "/dev/null", os.O_WRONLY, 0),
)
_IN_BWRAP: Final = "--unshare-all --die-with-parent --ro-bind /usr /usr --proc /proc --dev /dev --tmpfs /tmp"


@dataclass(frozen=True, slots=True)
class Command:
    """A program that is started again and again. The first of `argv` is a path."""

    argv: tuple[str, ...]

    def spawn(self) -> int:
        """Start it with an empty environment; returns its pid."""
        return os.posix_spawn(self.argv[0], self.argv, {}, file_actions=_STDIO)

    def once(self) -> float:
        """Run it to its end; returns the wall time in seconds. Raises Failed."""
        began = perf_counter()
        pid = self.spawn()
        status = os.waitpid(pid, 0)[1]
        elapsed = perf_counter() - began
        self._check(status)
        return elapsed

    def cpu_once(self) -> float:
        """Run it to its end; returns its CPU time in seconds, that of its own children included. Raises Failed."""
        _, status, usage = os.wait4(self.spawn(), 0)
        self._check(status)
        return usage.ru_utime + usage.ru_stime

    def runs_per_s(self, at_once: int, seconds: float) -> float:
        """Keep `at_once` of it running for so long; returns how many ended in a second. Raises Failed."""
        poll = select.poll()
        pids: dict[int, int] = {}
        began = perf_counter()
        done = 0

        def start() -> None:
            pid = self.spawn()
            fd = os.pidfd_open(pid)
            pids[fd] = pid
            poll.register(fd, select.POLLIN)

        for _ in range(at_once):
            start()
        while pids:
            for fd, _ in poll.poll():
                status = os.waitpid(pids.pop(fd), 0)[1]
                poll.unregister(fd)
                os.close(fd)
                self._check(status)
                done += 1
                if perf_counter() - began < seconds:
                    start()
        return done / (perf_counter() - began)

    def _check(self, status: int) -> None:
        if status:
            raise Failed(f"{' '.join(self.argv)!r} ended with wait status {status}")


@dataclass(frozen=True, slots=True)
class Bare:
    """The programs to compare with; None where this machine has no such program."""

    python: Command
    python_in_bwrap: Command | None
    node: Command | None
    bash: Command | None


@contextmanager
def bare_commands() -> Generator[Bare]:
    """Make the empty venv and find the programs; the venv is removed on every way out."""
    base = str(getattr(sys, "_base_executable", sys.executable))
    with tempfile.TemporaryDirectory(prefix="sandql-bare-") as folder:
        subprocess.run([base, "-m", "venv", "--without-pip", folder], check=True)
        python = (f"{folder}/bin/python", "-I", "-c", "print(1)")
        yield Bare(Command(python), _in_bwrap(python, folder), _command("node", "-e", "console.log(1)"), _command("bash", "-c", "echo 1"))


def _command(name: str, *arguments: str) -> Command | None:
    path = shutil.which(name, path=_PATH)
    return None if path is None else Command((path, *arguments))


def _in_bwrap(python: tuple[str, ...], folder: str) -> Command | None:
    """The same under bubblewrap, which then has as little to mount as it can."""
    path = shutil.which("bwrap", path=_PATH)
    if path is None:
        return None
    argv = [path, *_IN_BWRAP.split(), "--ro-bind", folder, folder]
    for name in ("/bin", "/lib", "/lib32", "/lib64"):
        if os.path.islink(name):
            argv += ["--symlink", os.readlink(name), name]
        elif os.path.isdir(name):
            argv += ["--ro-bind", name, name]
    prefix = Path(os.path.realpath(python[0])).parent.parent
    if prefix != Path("/usr"):
        argv += ["--ro-bind", str(prefix), str(prefix)]
    command = Command((*argv, *python))
    try:
        command.once()
    except Failed:  # a host without user namespaces has bwrap and cannot use it
        return None
    return command

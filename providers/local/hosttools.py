"""Finding the programs of this host that a cell can run, and asking them what they are."""

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

PATH: Final = "/usr/local/bin:/usr/bin:/bin"  # where a cell finds programs

_SHOWN: Final = ("/usr/", "/bin/", "/sbin/", "/lib")  # every cell has these of the host
_PROBE_S: Final = 5.0
_PROBE_BYTES: Final = 4096
_OTHERS_ENTER: Final = 0o005
_ELF: Final = b"\x7fELF"


@dataclass(frozen=True, slots=True)
class Program:
    """A program by its real path. `mounts` are the host folders outside /usr, /bin and /lib* that it needs."""

    path: str
    mounts: tuple[str, ...] = ()

    def ask(self, *args: str, version: str) -> str | None:
        """What the first group of the expression `version` finds in what the program prints, or None."""
        found = re.search(version, probe((self.path, *args)))
        return None if found is None else found.group(1)

    @property
    def search_path(self) -> dict[str, str]:
        """The PATH with which the program finds its companions, where that is not the usual one."""
        return {"PATH": f"{os.path.dirname(self.path)}:{PATH}"} if self.mounts else {}


def find_program(*names: str, folders: tuple[str, ...] | None = None) -> Program | None:
    """The first program of these names, in the server's PATH and the usual folders, that a cell can run.

    Scripts are passed over: the shims of version managers need files and settings that a cell does not have.
    """
    where = folders or tuple(dict.fromkeys([*os.environ.get("PATH", "").split(os.pathsep), *PATH.split(":")]))
    for name in names:
        for folder in where:
            if os.path.isabs(folder) and (found := as_program(os.path.join(folder, name))) is not None:
                return found
    return None


def as_program(path: str) -> Program | None:
    """The program at a path, links followed, or None where a cell could not run it."""
    real = os.path.realpath(path)
    if not _is_elf(real):
        return None
    if real.startswith(_SHOWN):
        return Program(real) if _others_can_use(real, "/") else None
    mount = _prefix(real)
    return Program(real, (mount,)) if mount is not None and _others_can_use(real, mount) else None


def probe(argv: tuple[str, ...], env: dict[str, str] | None = None) -> str:
    """What a program prints, both outputs in one; empty where it fails."""
    try:
        done = subprocess.run(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={"PATH": PATH, "HOME": "/", "LANG": "C.UTF-8"} if env is None else env,
            cwd="/",
            timeout=_PROBE_S,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout[:_PROBE_BYTES].decode(errors="replace")


def _prefix(real: str) -> str | None:
    """The folder that holds all of a program installed outside /usr, or None where that would show too much of the host."""
    folder = os.path.dirname(real)
    prefix = os.path.dirname(folder) if os.path.basename(folder) == "bin" else folder
    home = str(Path.home())
    shared = {"/", "/opt", "/srv", "/home", "/root", "/var", "/tmp", "/etc", home, os.path.join(home, ".local")}
    return None if prefix in shared or home.startswith(prefix + "/") else prefix


def _others_can_use(real: str, base: str) -> bool:
    """Whether a cell's user can reach and run a file that is shown to it from `base` on."""
    if os.geteuid() != 0:  # a cell then runs as this very user
        return os.access(real, os.R_OK | os.X_OK)
    at = real
    while os.stat(at).st_mode & _OTHERS_ENTER == _OTHERS_ENTER:
        if at == base:
            return True
        at = os.path.dirname(at)
    return False


def _is_elf(real: str) -> bool:
    try:
        with open(real, "rb") as file:
            return file.read(len(_ELF)) == _ELF and os.access(real, os.X_OK)
    except OSError:
        return False

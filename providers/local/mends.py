"""What an operator can do where this host lacks something that a cell needs. Each is a sentence or two with the exact words to type."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Final

_SYSCTL: Final = "/proc/sys"
_FEW: Final = 16  # a zygote and its parked cells take more
_CONTAINER: Final = (
    "In a container its own filter forbids it: start it with `--security-opt seccomp=unconfined --security-opt apparmor=unconfined "
    "--security-opt systempaths=unconfined`"
)

PROC: Final = (
    "A mount lies over a part of /proc, as container engines do it, and then the kernel lets no user namespace mount its own: start the "
    "container with `--security-opt systempaths=unconfined` (Podman: `--security-opt unmask=ALL`; Kubernetes: `procMount: Unmasked`)."
)
FILE_SYSTEMS: Final = "The kernel needs CONFIG_TMPFS and CONFIG_UNIX98_PTYS, and nothing (a container's filter, AppArmor, SELinux) may forbid mounts."
ROOT_OUTSIDE: Final = (
    "this process is root in a user namespace in which root is root of the host too, and so would be every program that it runs: "
    "start it as an ordinary user, or as root outside of the namespace"
)
SECCOMP: Final = "Use a kernel with CONFIG_SECCOMP_FILTER; all distributions' have it."
CORES: Final = "Give the server a hard core limit of 1 byte (LimitCORE=1 in the service's unit), or set kernel.core_pattern to a name without a pipe."
LANDLOCK: Final = "Use Linux 5.19 or newer and put `landlock` into the list of the kernel's `lsm=` parameter."


def of_user_namespaces(is_root: bool) -> str:
    """What makes user namespaces possible on this host, by what forbids them."""
    few = _sysctl("user/max_user_namespaces")
    if few.isdecimal() and int(few) < _FEW:
        return f"At most {few} may be made: `sysctl -w user.max_user_namespaces=15000`, and keep that in a file of /etc/sysctl.d."
    if not is_root and _sysctl("kernel/unprivileged_userns_clone") == "0":
        return "They are for root only: `sysctl -w kernel.unprivileged_userns_clone=1`, and keep that in a file of /etc/sysctl.d."
    if not is_root and _sysctl("kernel/apparmor_restrict_unprivileged_userns") == "1":
        return _apparmor()
    return f"{_CONTAINER}{_as_root(is_root)}. Elsewhere the kernel needs CONFIG_USER_NS."


def of_namespaces(is_root: bool) -> str:
    """What makes the other namespaces possible."""
    if not is_root and _sysctl("kernel/apparmor_restrict_unprivileged_userns") == "1":
        return _apparmor()
    return f"{_CONTAINER}{_as_root(is_root)}."


def of_memory_groups(is_root: bool) -> str:
    """What lets this user bound the memory of a group of processes."""
    if not Path("/sys/fs/cgroup/cgroup.controllers").exists():
        first = "Only root can use cgroup v1: run the server as root" if not is_root else "Mount the memory hierarchy of cgroup v1"
        return f"{first}, or start the machine with `systemd.unified_cgroup_hierarchy=1`."
    if is_root:
        return "In a container: mount /sys/fs/cgroup writable. On a host: run the server as a systemd service with `Delegate=yes`."
    return "Have systemd delegate it: `systemd-run --user --scope -p Delegate=yes sandql serve`, or a service with `Delegate=yes`."


def _as_root(is_root: bool) -> str:
    return " and `--cap-add SYS_ADMIN`, or run the server as an ordinary user there" if is_root else ""


def _apparmor() -> str:
    python = os.path.realpath(sys.executable)
    return (
        f"AppArmor restricts them (Ubuntu 23.10 and newer). Either allow this interpreter: write `abi <abi/4.0>, "
        f"profile sandql {python} flags=(unconfined) {{ userns, }}` into /etc/apparmor.d/sandql and `apparmor_parser -r` that file. "
        "Or allow all programs: `sysctl -w kernel.apparmor_restrict_unprivileged_userns=0`."
    )


def _sysctl(name: str) -> str:
    try:
        return Path(_SYSCTL, name).read_text().strip()
    except OSError:
        return ""

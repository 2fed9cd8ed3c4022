"""What this host has of what cells need, looked at without starting the engine."""

from __future__ import annotations

import json
import os
import platform
import re
import resource
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sandql.core.settings import Settings
from sandql.providers.local import mends
from sandql.providers.local.cgroup import Cgroups
from sandql.providers.local.host_uids import is_root_outside

_MACHINES: Final = ("x86_64", "aarch64")
_KERNEL: Final = (5, 14)  # from here on the limit of processes counts per user namespace, and so per cell
_FDS_OF_A_RUN: Final = 5
_PROBE_S: Final = 10.0
_NAMESPACES: Final = ("mount", "pid", "net", "ipc", "uts", "cgroup")


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at. `mend` says what to do where it is not ok; without a `required` one no code can be run."""

    name: str
    ok: bool
    detail: str
    mend: str = ""
    required: bool = True


def look_at_host(settings: Settings) -> list[Finding]:
    """Look at the kernel, its limits, the control groups and the folders. Takes half a second, most of it in a process of its own."""
    probed = _probe()
    is_root = os.geteuid() == 0
    found = [_machine(), _kernel(), _user_namespaces(probed, is_root), _other_namespaces(probed, is_root), _namespace_limits(settings)]
    found += [_proc(probed), _file_systems(probed), _seccomp(probed), _landlock(probed), _memory_groups(settings, is_root)]
    return [*found, _open_files(settings), _cores(is_root), _state_dir(settings.state_dir)]


def reasons(found: list[Finding]) -> str:
    """Why no code can be run here, with the mends, in one text; empty where nothing that is required is missing."""
    return " ".join(f"{finding.name}: {finding.detail}. {finding.mend}".rstrip() for finding in found if finding.required and not finding.ok)


def _probe() -> dict[str, str | int]:
    """What the kernel let a process of its own do; a step that is missing from the answer failed as a whole."""
    command = [sys.executable, "-I", str(Path(__file__).with_name("probe.py"))]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_PROBE_S, check=True, cwd="/")
        return json.loads(done.stdout)
    except subprocess.CalledProcessError as error:
        reason = (error.stderr.strip().splitlines() or [f"exit code {error.returncode}"])[-1]
    except (OSError, ValueError, subprocess.TimeoutExpired) as error:
        reason = str(error)
    return dict.fromkeys(("user", "nested", "seccomp", "proc", "mounts", *_NAMESPACES), reason)


def _machine() -> Finding:
    machine = platform.machine()
    return Finding("machine", machine in _MACHINES, machine, f"Use a machine of one of these kinds: {', '.join(_MACHINES)}.")


def _kernel() -> Finding:
    release = os.uname().release
    version = tuple(int(number) for number in re.findall(r"\d+", release)[:2])
    wanted = ".".join(map(str, _KERNEL))
    mend = f"Use Linux {wanted} or newer: before, an ordinary user's limit of processes counts those of all runs together."
    return Finding("kernel", version >= _KERNEL, f"Linux {release}", mend, required=False)


def _user_namespaces(probed: dict[str, str | int], is_root: bool) -> Finding:
    if is_root_outside():
        return Finding("user namespaces", False, mends.ROOT_OUTSIDE)
    reason = probed["user"] or probed["nested"]
    detail = "can be made, one in another" if not reason else f"cannot be made: {reason}"
    return Finding("user namespaces", not reason, detail, "" if not reason else mends.of_user_namespaces(is_root))


def _other_namespaces(probed: dict[str, str | int], is_root: bool) -> Finding:
    if probed["user"]:
        return _not_tried("other namespaces")
    missing = {name: probed[name] for name in _NAMESPACES if probed[name]}
    if is_root and probed.get("root mounts"):
        missing["mount, as root"] = probed["root mounts"]
    detail = "; ".join(f"{name}: {reason}" for name, reason in missing.items()) or ", ".join(_NAMESPACES)
    return Finding("other namespaces", not missing, detail, mends.of_namespaces(is_root))


def _not_tried(name: str) -> Finding:
    return Finding(name, False, "not tried: it takes a user namespace", required=False)


def _namespace_limits(settings: Settings) -> Finding:
    wanted = settings.max_concurrent_runs + settings.pool_size + settings.node_pool_size + settings.program_pool_size
    limits = {name: _number(f"/proc/sys/user/max_{name}_namespaces") for name in ("user", "mnt", "pid", "net", "ipc", "uts", "cgroup")}
    low = {name: value for name, value in limits.items() if value is not None and value < wanted}
    detail = ", ".join(f"max_{name}_namespaces = {value}" for name, value in low.items()) or f"for {wanted} cells and more"
    mend = "; ".join(f"sysctl -w user.max_{name}_namespaces={4 * wanted}" for name in low) + ", and keep that in a file of /etc/sysctl.d."
    return Finding("namespace limits", not low, detail, mend, required=any(value == 0 for value in low.values()))


def _proc(probed: dict[str, str | int]) -> Finding:
    if probed["user"]:
        return _not_tried("own /proc")
    reason = probed["proc"]
    return Finding("own /proc", not reason, f"cannot be mounted: {reason}" if reason else "can be mounted, others' processes hidden", mends.PROC)


def _file_systems(probed: dict[str, str | int]) -> Finding:
    if probed["user"]:
        return _not_tried("own tmpfs, devpts")
    reason = probed["mounts"]
    return Finding("own tmpfs, devpts", not reason, f"cannot be mounted: {reason}" if reason else "can be mounted", mends.FILE_SYSTEMS)


def _seccomp(probed: dict[str, str | int]) -> Finding:
    reason = probed["seccomp"]
    return Finding("seccomp filter", not reason, str(reason) or "can be installed", mends.SECCOMP)


def _landlock(probed: dict[str, str | int]) -> Finding:
    abi = int(probed.get("landlock", 0))
    return Finding("Landlock", abi > 0, f"ABI {abi}" if abi else "the kernel has none, or it is off", mends.LANDLOCK, required=False)


def _memory_groups(settings: Settings, is_root: bool) -> Finding:
    groups = Cgroups.detect(str(os.getpid()), settings.memory_bytes, settings.processes)
    groups.remove_all()
    if groups.version != "none":
        return Finding("memory cgroup", True, f"cgroup {groups.version}, memory can be bounded", required=False)
    detail = "none that this user may use: a run's memory is looked at ten times a second instead"
    return Finding("memory cgroup", False, detail, mends.of_memory_groups(is_root), required=False)


def _open_files(settings: Settings) -> Finding:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    wanted = _FDS_OF_A_RUN * (settings.max_concurrent_runs + settings.pool_size + settings.node_pool_size + settings.program_pool_size) + 256
    enough = hard == resource.RLIM_INFINITY or hard >= wanted
    detail = f"at most {'any number' if hard == resource.RLIM_INFINITY else hard}, {wanted} are wanted for {settings.max_concurrent_runs} runs"
    mend = f"Raise the hard limit to {wanted}: LimitNOFILE={wanted} in the service's unit, or `ulimit -Hn {wanted}` by root before the start."
    return Finding("open files", enough, detail, f"{mend} Or lower SANDQL_MAX_CONCURRENT_RUNS.", required=False)


def _cores(is_root: bool) -> Finding:
    """Programs have a core limit of 1, at which the host's handler is not started; no user but root can give it to them where the hard limit is 0."""
    piped = _text("/proc/sys/kernel/core_pattern").startswith("|")
    safe = not piped or is_root or resource.getrlimit(resource.RLIMIT_CORE)[1] != 0
    detail = "of programs that crash are written nowhere" if safe else "a program that crashes has the host's handler started, with its memory"
    return Finding("core dumps", safe, detail, mends.CORES, required=False)


def _state_dir(folder: Path) -> Finding:
    there = folder
    while not there.exists() and there != there.parent:
        there = there.parent
    usable = there.is_dir() and os.access(there, os.W_OK | os.X_OK)
    detail = str(folder) if usable else f"{folder}: {there} is not a folder that this user may write to"
    return Finding("state folder", usable, detail, "Set SANDQL_STATE_DIR to a folder that this user may write to.")


def _text(path: str) -> str:
    try:
        return Path(path).read_text()
    except OSError:
        return ""


def _number(path: str) -> int | None:
    try:
        return int(_text(path))
    except ValueError:
        return None

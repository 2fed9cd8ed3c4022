"""How a process becomes a cell: namespaces, mounts, limits, identity, Landlock, seccomp. In this order, each step for good."""

import ctypes
import os
import resource

from cell import linux
from cell.linux import CLONE_NEWCGROUP, CLONE_NEWIPC, CLONE_NEWNS, CLONE_NEWUSER, CLONE_NEWUTS
from cell.seccomp import install
from cell.tree import mount_cell

_NAMESPACES = CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP
UID_INSIDE = 1000  # what every cell sees itself as

_LANDLOCK_CREATE, _LANDLOCK_RESTRICT = 444, 446
_MAKE_DEVICES = 0x40 | 0x800  # LANDLOCK_ACCESS_FS_MAKE_CHAR, MAKE_BLOCK
_SCOPES = 0x3  # from ABI 6: abstract sockets and signals stay inside


def landlock_abi():
    """The kernel's Landlock ABI, 0 where it has none."""
    try:
        return linux.syscall(_LANDLOCK_CREATE, None, ctypes.c_size_t(0), ctypes.c_uint(1))
    except OSError:
        return 0


def make_ruleset(abi):
    """A Landlock ruleset for all cells: no device is made anywhere, no abstract socket or process outside is reached.

    Writing is bounded by read-only mounts that no cell can change; rules for each cell's own mounts would say that again, and cost
    a tenth of making the cell.
    """
    attribute = (ctypes.c_uint64 * 3)(_MAKE_DEVICES, 0, _SCOPES if abi >= 6 else 0)
    size = 24 if abi >= 6 else 16 if abi >= 4 else 8
    return linux.syscall(_LANDLOCK_CREATE, ctypes.byref(attribute), ctypes.c_size_t(size), ctypes.c_uint(0))


def confine(owner, home, sizes, cgroup_fds, ruleset, seccomp_program):
    """Turn this process, just forked into a new pid namespace, into a cell.

    `owner` is its uid in the zygote's user namespace, `sizes` the bytes and inodes of its workspace, `cgroup_fds` the open
    cgroup.procs files to enter, `ruleset` a Landlock ruleset or -1. Its network namespace is the one it was forked in.
    Afterwards it has no capability, and no system call gives it one.
    """
    for fd in cgroup_fds:
        os.write(fd, b"0")
    linux.unshare(_NAMESPACES)
    mount_cell(owner, home, *sizes)
    linux.sethostname(b"sandbox")
    os.chdir("/workspace")
    if owner != UID_INSIDE:
        os.setresgid(owner, owner, owner)
        os.setresuid(owner, owner, owner)
    linux.unshare(CLONE_NEWUSER)
    linux.prctl(linux.PR_SET_DUMPABLE, 1)  # else its own entries in /proc belong to root
    _write("/proc/self/setgroups", b"deny")
    _write("/proc/self/gid_map", b"%d %d 1" % (UID_INSIDE, owner))
    _write("/proc/self/uid_map", b"%d %d 1" % (UID_INSIDE, owner))
    linux.prctl(linux.PR_SET_NO_NEW_PRIVS, 1)
    linux.drop_capabilities()
    if ruleset >= 0:
        linux.syscall(_LANDLOCK_RESTRICT, ctypes.c_int(ruleset), ctypes.c_uint(0))
    install(seccomp_program)


def set_zygote_limits():
    """What every cell inherits: no core file, little locked memory, few queued signals and messages."""
    for kind, value in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_MEMLOCK, 65_536),
        (resource.RLIMIT_MSGQUEUE, 65_536),
        (resource.RLIMIT_SIGPENDING, 256),
    ):
        _lower(kind, value)


def set_limits(processes, open_files, cpu_s, file_bytes, data_bytes):
    """Lower this process's own limits; a hard limit that is lower already stays."""
    _lower(resource.RLIMIT_NPROC, processes)
    _lower(resource.RLIMIT_NOFILE, open_files)
    _lower(resource.RLIMIT_CPU, cpu_s)
    _lower(resource.RLIMIT_FSIZE, file_bytes)
    if data_bytes >= 0:
        _lower(resource.RLIMIT_DATA, data_bytes)


def _lower(kind, value):
    try:
        resource.setrlimit(kind, (value, value))
    except ValueError:  # over the hard limit, which only the real root could raise
        hard = resource.getrlimit(kind)[1]
        resource.setrlimit(kind, (hard, hard))


def _write(path, data):
    fd = os.open(path, os.O_WRONLY)
    try:
        os.write(fd, data)
    finally:
        os.close(fd)

"""How a process becomes a cell: namespaces, mounts, identity, limits, Landlock, seccomp. In this order, each step for good."""

import ctypes
import os
import resource

from cell import linux
from cell.linux import CLONE_NEWCGROUP, CLONE_NEWIPC, CLONE_NEWNS, CLONE_NEWUSER, CLONE_NEWUTS
from cell.script import Script
from cell.seccomp import prepare
from cell.tree import HOMES, add_cell_mounts, add_own_proc

_NAMESPACES = CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP
UID_INSIDE = 1000  # what every cell sees itself as

_SIG_SETMASK = 2
_SECCOMP_SET_MODE_FILTER = 1
_CAPABILITY_VERSION = 0x20080522

_LANDLOCK_CREATE = 444
_MAKE_DEVICES = 0x40 | 0x800  # LANDLOCK_ACCESS_FS_MAKE_CHAR, MAKE_BLOCK
_LIMITED = (resource.RLIMIT_NPROC, resource.RLIMIT_NOFILE, resource.RLIMIT_FSIZE, resource.RLIMIT_DATA, resource.RLIMIT_CPU)
_IDS_SIZE = 32  # a line of a uid map, padded
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


class Confinement:
    """The steps by which a cell is made: its file tree by the zygote, which is then in it, and the rest by the process that was forked there.

    `private` are the paths of which it has its own view, `sizes` the bytes and inodes of its workspace, `limits` those of its
    processes as for `set_limits`; `grouped` says whether it enters a control group, `ruleset` is a Landlock ruleset or -1, `homes`
    says whether its workspace is a kept one. After `enter` it has no capability, and no system call gives it one.
    """

    def __init__(self, private, sizes, limits, grouped, ruleset, seccomp_program, homes):
        self._sizes = sizes
        self._options = ctypes.create_string_buffer(160)
        self._ids = ctypes.create_string_buffer(64)
        self._home = ctypes.create_string_buffer(256) if homes else None
        tree = self._tree = Script()
        tree.add("unshare", _NAMESPACES)
        add_cell_mounts(tree, private, self._options, self._home)
        tree.add("sethostname", b"sandbox", 7)
        tree.seal()
        script = self._script = Script()
        script.add("setsid")
        script.add("rt_sigprocmask", _SIG_SETMASK, bytes(8), None, 8)
        self._group_step = script.add("write", 0, b"0", 1) if grouped else None
        add_own_proc(script)
        script.add("chdir", b"/workspace")
        self._gid_step = script.add("setresgid", 0, 0, 0)
        self._uid_step = script.add("setresuid", 0, 0, 0)
        script.add("unshare", CLONE_NEWUSER)
        script.add("prctl", linux.PR_SET_DUMPABLE, 1, 0, 0, 0)  # else its own entries in /proc belong to root
        script.add_write(b"/proc/self/setgroups", b"deny")
        script.add_write(b"/proc/self/gid_map", (self._ids, _IDS_SIZE))
        script.add_write(b"/proc/self/uid_map", (self._ids, _IDS_SIZE))
        script.add_write(b"/proc/sys/user/max_inotify_instances", b"8")  # its zygote has 128 for all cells
        for kind, value in zip(_LIMITED, limits, strict=True):  # from here on it can open nothing: its zygote may have more open already
            if value >= 0:
                script.add("prlimit64", 0, kind, _limit(kind, value), None)
        for capability in range(_capabilities()):
            script.add("prctl", linux.PR_CAPBSET_DROP, capability, 0, 0, 0)
        script.add("prctl", linux.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        script.add("capset", _CAPABILITY_VERSION.to_bytes(4, "little") + bytes(4), bytes(24))
        if ruleset >= 0:
            script.add("landlock_restrict_self", ruleset, 0)
        script.add("seccomp", _SECCOMP_SET_MODE_FILTER, 0, prepare(seccomp_program))
        script.seal()

    def prepare(self, owner, home, group_fd):
        """Set what differs from cell to cell, in the zygote: the uid of the cell's files, its home's name, its cgroup.procs."""
        self._options.value = b"size=%d,nr_inodes=%d,uid=%d,gid=%d,mode=1777" % (*self._sizes, owner, owner)
        self._ids.value = (b"%d %d 1" % (UID_INSIDE, owner)).ljust(_IDS_SIZE)
        if self._home is not None:
            self._home.value = os.fsencode(f"{HOMES}/{home}/files")
        if self._group_step is not None:
            self._script.set(self._group_step, 0, group_fd)
        for step in (self._gid_step, self._uid_step):
            for argument in range(3):
                self._script.set(step, argument, owner)

    def make_tree(self):
        """Enter new mount, IPC, host-name and cgroup namespaces with a cell's mounts, in the zygote.

        It is the zygote, so that it can hold the mounts until it has said how the cell ended: the kernel takes them down when the
        last who has them lets go, and that takes longer than most programs. Raises OSError.
        """
        self._tree.run()

    def enter(self):
        """Become a cell, in the child. Raises OSError with the name of the step that failed: then the process must end."""
        self._script.run()


def _capabilities():
    """How many capabilities the kernel knows."""
    with open("/proc/sys/kernel/cap_last_cap", "rb") as file:
        return int(file.read()) + 1


def set_zygote_limits():
    """What every cell inherits: no core file, little locked memory, few queued signals and messages."""
    for kind, value in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_MEMLOCK, 65_536),
        (resource.RLIMIT_MSGQUEUE, 65_536),
        (resource.RLIMIT_SIGPENDING, 256),
    ):
        _lower(kind, value)


def set_limits(*limits):
    """Lower this process's own limits: processes, open files, bytes of a file, bytes of data, seconds of CPU; -1 leaves one as it is."""
    for kind, value in zip(_LIMITED, limits, strict=True):
        if value >= 0:
            _lower(kind, value)


def _limit(kind, value):
    """A limit as prlimit(2) takes it, no higher than it may be."""
    hard = resource.getrlimit(kind)[1]
    value = value if hard == resource.RLIM_INFINITY else min(value, hard)
    return value.to_bytes(8, "little") * 2


def _lower(kind, value):
    try:
        resource.setrlimit(kind, (value, value))
    except ValueError:  # over the hard limit, which only the real root could raise
        hard = resource.getrlimit(kind)[1]
        resource.setrlimit(kind, (hard, hard))

"""How a process becomes a cell: namespaces, mounts, identity, limits, Landlock, seccomp. In this order, each step for good."""

import ctypes
import errno
import fcntl
import os
import resource
import sys

from cell import linux
from cell.linux import (
    CLONE_CHILD_CLEARTID,
    CLONE_CHILD_SETTID,
    CLONE_NEWCGROUP,
    CLONE_NEWIPC,
    CLONE_NEWNET,
    CLONE_NEWNS,
    CLONE_NEWPID,
    CLONE_NEWUSER,
    CLONE_NEWUTS,
    CLONE_PARENT,
    CLONE_PARENT_SETTID,
)
from cell.pages import needless_memory
from cell.rights import Message
from cell.script import Script, StepFailed
from cell.seccomp import filter_header
from cell.steps import AT_FDCWD, ROOM_AT
from cell.tree import add_own_proc
from cell.wire import ANNOUNCED, CELLS_FD, FORK_FD, STATUS_FD

UID_INSIDE = 1000  # what every cell sees itself as
FIRST_RECEIVED = 6  # the first descriptor that a template receives: its own are those below
_CHANGED_BY_PYTHON = (2, 13, 25)  # SIGINT, SIGPIPE, SIGXFSZ: a program must find them at their defaults
_RECEIVED = 8  # descriptors that come with each cell
_PLACES = 6  # pieces of memory that its message goes to
_WORD = 8
ANSWER = 4  # bytes of a template's answer to its zygote

_ALL_FDS = 0xFFFFFFFF
_STAT_BYTES = 256  # of a struct stat, at most
_MSG_CMSG_CLOEXEC = 0x40000000
_SIGCHLD = 17
_SIG_SETMASK = 2
_SECCOMP_SET_MODE_FILTER = 1
_CAPABILITY_VERSION = 0x20080522

_LANDLOCK_CREATE = 444
_LANDLOCK_ADD_RULE = 445
_PATH_BENEATH = 1
_REFER = 0x2000  # LANDLOCK_ACCESS_FS_REFER, to move a name into another folder: every ruleset forbids it that does not allow it
_MAKE_DEVICES = 0x40 | 0x800  # LANDLOCK_ACCESS_FS_MAKE_CHAR, MAKE_BLOCK
_LIMITED = (resource.RLIMIT_NPROC, resource.RLIMIT_NOFILE, resource.RLIMIT_FSIZE, resource.RLIMIT_DATA, resource.RLIMIT_CPU)
_IDS_SIZE = 32  # a line of a uid map, padded
_SCOPES = 0x3  # from ABI 6: abstract sockets and signals stay inside


def landlock_abi():
    """The kernel's Landlock ABI, 0 where it has none that lets a program rename from one folder into another: the first one has not."""
    try:
        abi = linux.syscall(_LANDLOCK_CREATE, None, ctypes.c_size_t(0), ctypes.c_uint(1))
    except OSError:
        return 0
    return abi if abi >= 2 else 0


def make_ruleset(abi):
    """A Landlock ruleset for all cells: no device is made anywhere, no abstract socket or process outside is reached.

    Writing is bounded by read-only mounts that no cell can change; rules for each cell's own mounts would say that again, and cost
    a tenth of making the cell.
    """
    attribute = (ctypes.c_uint64 * 3)(_MAKE_DEVICES | _REFER, 0, _SCOPES if abi >= 6 else 0)
    size = 24 if abi >= 6 else 16 if abi >= 4 else 8
    ruleset = linux.syscall(_LANDLOCK_CREATE, ctypes.byref(attribute), ctypes.c_size_t(size), ctypes.c_uint(0))
    root = os.open("/", os.O_PATH | os.O_CLOEXEC)
    rule = _REFER.to_bytes(8, sys.byteorder) + root.to_bytes(4, sys.byteorder)  # a struct landlock_path_beneath_attr, which is packed
    linux.syscall(_LANDLOCK_ADD_RULE, ctypes.c_int(ruleset), ctypes.c_int(_PATH_BENEATH), ctypes.c_char_p(rule), ctypes.c_uint(0))
    os.close(root)
    return ruleset


class Confinement:
    """The steps by which a template forks cells and makes them: a loop, which each cell leaves at its end.

    What differs from cell to cell comes in a message that the kernel writes to where the steps look for it, and eight descriptors with it,
    numbered from FIRST_RECEIVED: the cell's pid, network, mount and IPC namespaces, the two files that put it into its control groups (anything
    where `config` knows of none), and both ends of its status pipe. `config` is the zygote's, `ruleset` the descriptor of a Landlock
    ruleset or -1. A cell that has made the steps has no capability, and no system call gives it one; the server has been told of it.

    With `alone` a cell goes on to read the steps that start its program, and the template gives up all memory but that of the steps, so
    that a fork has little to copy; `warm` are paths that such a program looks up.
    """

    def __init__(self, config, ruleset, *, alone=False, warm=()):
        script = self._script = Script(room=alone)
        told = self._told = script.put(bytes(_WORD))  # to the zygote, next: a pid, or an error number below 0; at first 0
        kind = self._kind = script.put(bytes(_WORD))
        ids, announcement = script.put(bytes(_IDS_SIZE)), script.put(bytes(ANNOUNCED))
        pids, network, mounts, ipc, group, account, status_w, status_r = range(FIRST_RECEIVED, FIRST_RECEIVED + _RECEIVED)
        # What a cell opens itself gets the next numbers: the ends of its pipes, and its workspace.
        job_r, job_w, out_r, out_w, err_r, err_w, workspace = range(FIRST_RECEIVED + _RECEIVED, FIRST_RECEIVED + _RECEIVED + 7)
        received = Message(script, _PLACES, (0,) * _RECEIVED)
        sent = Message(script, 1, (job_w, out_r, err_r, status_r, workspace))

        if alone:
            for start, size in needless_memory():
                script.add("munmap", start, size)
        # The template comes back here when it has forked a cell or failed to.
        first = script.add("close_range", FIRST_RECEIVED, _ALL_FDS, 0)
        script.add("write", FORK_FD, told, ANSWER)
        script.add("recvmsg", FORK_FD, received.address, _MSG_CMSG_CLOEXEC)
        script.add("setns", pids, CLONE_NEWPID, told, jumps_to=first)
        _add_fork(script, told, first)

        # From here on it is the cell.
        script.add("set_robust_list", *linux.robust_list())
        script.add("setsid")  # so that a signal reaches the program with what it started, and no other cell
        script.add("rt_sigprocmask", _SIG_SETMASK, bytes(8), None, 8)
        if config["grouped"]:
            script.add("write", group, b"0", 1)
            script.add("write", account, b"0", 1)
        script.add("setns", mounts, CLONE_NEWNS)
        script.add("setns", network, CLONE_NEWNET)
        script.add("setns", ipc, CLONE_NEWIPC)
        script.add("unshare", CLONE_NEWUTS | CLONE_NEWCGROUP)
        script.add("sethostname", b"sandbox", 7)
        add_own_proc(script)
        script.add("chdir", b"/workspace")
        gids = script.add("setresgid", 0, 0, 0)
        uids = script.add("setresuid", 0, 0, 0)
        script.add("unshare", CLONE_NEWUSER)
        script.add("prctl", linux.PR_SET_DUMPABLE, 1, 0, 0, 0)  # else its own entries in /proc belong to root
        script.add_write(b"/proc/self/setgroups", b"deny")
        script.add_write(b"/proc/self/gid_map", (ids, _IDS_SIZE))
        script.add_write(b"/proc/self/uid_map", (ids, _IDS_SIZE))
        script.add_write(b"/proc/sys/user/max_inotify_instances", b"8")  # its zygote has 128 for all cells
        script.add_write(b"/proc/sys/user/max_inotify_watches", b"4096")  # the host has some ten thousands or more, the server's own among them
        _add_pipes(script, (job_w, out_r, err_r, status_r))
        script.add("openat", AT_FDCWD, b".", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC, 0)
        _add_limits(script, config["limits"][config["grouped"]])  # from here on it may be able to open nothing
        for capability in range(_capabilities()):
            script.add("prctl", linux.PR_CAPBSET_DROP, capability, 0, 0, 0)
        script.add("prctl", linux.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        script.add("capset", _CAPABILITY_VERSION.to_bytes(4, "little") + bytes(4), bytes(24))
        if ruleset >= 0:
            script.add("landlock_restrict_self", ruleset, 0)
        program = config["seccomp_cell"]
        script.add("seccomp", _SECCOMP_SET_MODE_FILTER, 0, script.put(filter_header(program, script.put(program))))
        script.add("sendmsg", CELLS_FD, sent.address, 0)
        for fd, standard, flags in ((job_r, 0, 0), (out_w, 1, 0), (err_w, 2, 0), (status_w, STATUS_FD, os.O_CLOEXEC)):
            script.add("dup3", fd, standard, flags)
        script.add("close_range", STATUS_FD + 1, _ALL_FDS, 0)
        size, steps = _add_reading(script, warm) if alone else (0, 0)
        script.seal()
        if alone:
            script.point(size, 1, script.address(steps, 2))
        sent.lay_out((announcement, 0))
        received.lay_out(
            (ids, _IDS_SIZE),
            (script.address(gids, 0), 3 * _WORD),
            (script.address(uids, 0), 3 * _WORD),
            (kind, _WORD),
            (sent.size_address(0), _WORD),
            (announcement, ANNOUNCED),
        )

    @staticmethod
    def message(owner, kind, announcement):
        """What differs: the uid of the cell's files, its kind, a number, and what it tells the server with its pipes. Raises OSError."""
        if len(announcement) > ANNOUNCED:
            raise OSError(errno.E2BIG, f"announcement: at most {ANNOUNCED} bytes, got {len(announcement)}")
        words = (*(owner,) * 6, kind, len(announcement))
        ids = (b"%d %d 1" % (UID_INSIDE, owner)).ljust(_IDS_SIZE)
        return ids + b"".join([word.to_bytes(_WORD, sys.byteorder) for word in words]) + announcement.ljust(ANNOUNCED, b"\0")

    def run(self):
        """Fork cells until the zygote ends. Returns only in a cell: the number that came as its kind.

        Raises OSError, with the name of the step that failed: the process, a cell or the template, must end then.
        """
        try:
            self._script.run()
        except StepFailed as error:
            if error.errno == errno.EPIPE:
                os._exit(0)  # the zygote, or in a cell the server, is gone
            raise
        return ctypes.c_uint64.from_address(self._kind).value

    def run_alone(self):
        """Fork cells until the zygote ends, with nothing but the steps. Never returns."""
        self._script.run_alone()


def _add_fork(script, told, first):
    """Add the fork of a cell, a child of the zygote; after it the template goes on with the first step.

    It is clone(2) as libc's fork calls it, but for CLONE_PARENT. There is one thread and nobody holds a lock, so that nothing
    else of what libc does at a fork is needed.
    """
    flags = CLONE_PARENT | CLONE_PARENT_SETTID | CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID | _SIGCHLD
    tid = linux.tid_address()
    last = (tid, 0) if os.uname().machine == "x86_64" else (0, tid)  # the other one is for a new thread's storage
    script.add("clone", flags, 0, told, *last, jumps_to=first)


def _add_pipes(script, servers):
    """Add a cell's three pipes; the ends that are the server's don't block."""
    pair = script.put(bytes(8))
    for _ in range(3):
        script.add("pipe2", pair, 0)
    for fd in servers:
        script.add("fcntl", fd, fcntl.F_SETFL, os.O_NONBLOCK)


def _add_limits(script, limits):
    for kind, value in zip(_LIMITED, limits, strict=True):
        if value >= 0:
            script.add("prlimit64", 0, kind, _limit(kind, value), None)


def _add_reading(script, warm):
    """Add the calls that read further steps into the script's room; returns the one that reads their size, and the one that it is for."""
    for number in _CHANGED_BY_PYTHON:
        script.add("rt_sigaction", number, bytes(32), None, 8)
    found = script.put(b"", _STAT_BYTES)
    for path in warm:  # in a new overlay each look-up is a first one, and takes ten times as long
        script.add("newfstatat", AT_FDCWD, os.fsencode(path), found, 0, jumps_to=len(script) + 1)
    return script.add("read", 0, 0, _WORD), script.add("read", 0, ROOM_AT, 0)


def _capabilities():
    """How many capabilities the kernel knows."""
    with open("/proc/sys/kernel/cap_last_cap", "rb") as file:
        return int(file.read()) + 1


def set_zygote_limits():
    """What every cell inherits: no core file, little locked memory, few queued signals, and little of the 800 KiB a user has for POSIX queues.

    With a core limit of 1 byte there is neither a file nor, where the host pipes cores to a handler of its own, one that is started for this.
    """
    for kind, value in (
        (resource.RLIMIT_CORE, 1),
        (resource.RLIMIT_MEMLOCK, 65_536),
        (resource.RLIMIT_MSGQUEUE, 4_096),
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

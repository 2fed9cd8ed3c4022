"""A zygote: a small, single-threaded interpreter from which cells are forked. It never runs a caller's code.

supervisor ── control socket ──> zygote ── fork ──> cell (parked) ── announces its pipes ──> server
                                   └── reaps, and writes how a run ended to the run's status pipe
"""

import _signal
import _socket
import gc
import os
import select
import sys

from cell import linux, python
from cell.confine import UID_INSIDE, Confinement, landlock_abi, make_ruleset, set_zygote_limits
from cell.job import STATUS_FD
from cell.networks import Networks
from cell.seccomp import install
from cell.tree import build_tree, private_paths, seal_tree
from cell.wire import CELLS_FD, CONTROL_FD, MAX_PACKET, frame, pack, unpack

_SIGKILL = 9
_SIGCHLD = 17
_STATUS_R, _STATUS_W = 5, 6  # in a cell that is being made; its zygote has older things there


class _Cell:
    __slots__ = ("cause", "init_pid", "network", "oom_before", "oom_fd", "status_fd", "tree")

    def __init__(self, init_pid, network, tree, status_fd, oom_fd):
        self.init_pid = init_pid
        self.network = network
        self.tree = tree  # its mount namespace
        self.status_fd = status_fd
        self.oom_fd = oom_fd
        self.oom_before = _oom_kills(oom_fd) if oom_fd >= 0 else 0  # groups are used again
        self.cause = None


class Zygote:
    """The state of one zygote process."""

    def __init__(self, config):
        self.config = config
        self.control = _socket.socket(fileno=CONTROL_FD)
        self.cells_socket = _socket.socket(fileno=CELLS_FD)
        self.cells = {}  # id → _Cell
        self.mains = {}  # pid of a cell's first program → id
        self.ending = []  # cells whose init was killed and is not yet reaped
        self.networks = Networks()
        self.pid_namespace = os.open("/proc/self/ns/pid", os.O_RDONLY)
        self.mount_namespace = os.open("/proc/self/ns/mnt", os.O_RDONLY)
        self.proc = os.open("/proc", os.O_PATH | os.O_DIRECTORY)  # our own: that of a cell's tree shows only the cell
        self.landlock = landlock_abi()
        ruleset = make_ruleset(self.landlock) if self.landlock else -1
        homes = config["homes"] is not None
        private, grouped = private_paths(config["mounts"]), config["grouped"]
        self.confinement = Confinement(private, config["sizes"], config["limits"][grouped], grouped, ruleset, config["seccomp_cell"], homes)
        self.children = linux.signal_descriptor(_SIGCHLD)

    def serve(self):
        """Fork cells as told. Returns only in a cell, with its first message."""
        poll = select.poll()
        poll.register(CONTROL_FD, select.POLLIN)
        poll.register(self.children, select.POLLIN)
        self.control.sendall(pack(("ready", self.landlock)))
        while True:
            for fd, _ in poll.poll():
                if fd == self.children:
                    os.read(fd, 4096)
                    self._reap()
                    continue
                job = self._command()
                if job is not None:
                    return job

    def _command(self):
        data, ancillary, _, _ = self.control.recvmsg(MAX_PACKET, 256, _socket.MSG_CMSG_CLOEXEC)
        if not data:
            os._exit(0)  # the supervisor is gone; this is pid 1 of its namespace, so all cells go with it
        fds = [fd for _, _, raw in ancillary for fd in _ints(raw)]
        message = unpack(data)
        if message[0] == "park":
            _, cell_id, kind, owner, home = message
            return self._park(cell_id, kind, owner, home, fds)
        if message[0] == "kill":
            cell = self.cells.get(message[1])
            if cell is not None:
                cell.cause = cell.cause or message[2]
                os.kill(cell.init_pid, _SIGKILL)
        return None

    def _park(self, cell_id, kind, owner, home, fds):
        """Fork a cell; `fds` are the cgroup.procs files it enters and, last, its out-of-memory counter, if any."""
        oom_fd = fds.pop() if fds else -1
        if self.ending:
            self._take_back_networks()
        network = self.networks.enter()
        linux.setns(self.pid_namespace, linux.CLONE_NEWPID)
        linux.unshare(linux.CLONE_NEWPID)
        init_pid = linux.spawn_init()
        status_r, status_w = os.pipe2(os.O_CLOEXEC)
        self.confinement.prepare(owner, home, fds[0] if fds else -1)
        tree, pid = -1, -1
        try:
            self.confinement.make_tree()
            tree = os.open("self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC, dir_fd=self.proc)
            pid = os.fork()
        except OSError as error:
            os.write(2, f"cell could not be made: {error!r}\n".encode())
        if pid == 0:
            try:
                return self._become_cell(cell_id, kind, home, status_r, status_w)
            except BaseException as error:  # whatever it was, this process must not go on as a second zygote
                os.write(2, f"cell could not be made: {error!r}\n".encode())
                os._exit(125)
        linux.setns(self.mount_namespace, linux.CLONE_NEWNS)
        cell = _Cell(init_pid, network, tree, status_w, oom_fd)
        os.close(status_r)
        for fd in fds:
            os.close(fd)
        if pid < 0:
            os.kill(init_pid, _SIGKILL)
            self._give_up(cell_id, cell)
            return None
        self.mains[pid] = cell_id
        self.cells[cell_id] = cell
        if self.config["watch"]:
            self.control.sendall(pack(("forked", cell_id, (pid, init_pid))))
        return None

    def _become_cell(self, cell_id, kind, home, status_r, status_w):
        self.confinement.enter()
        os.dup2(status_r, _STATUS_R, inheritable=False)
        os.dup2(status_w, _STATUS_W, inheritable=False)
        linux.close_from(_STATUS_W + 1)  # first of all: the zygote may have more open than a cell may
        job_r, job_w = os.pipe()
        out_r, out_w = os.pipe()
        err_r, err_w = os.pipe()
        workspace = os.open(".", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        for fd, standard in ((job_r, 0), (out_w, 1), (err_w, 2)):
            os.dup2(fd, standard)
        rights = (_socket.SOL_SOCKET, _socket.SCM_RIGHTS, _bytes_of((job_w, out_r, err_r, _STATUS_R, workspace)))
        self.cells_socket.sendmsg([pack((self.config["zygote"], cell_id, kind, home))], [rights])
        self.cells_socket.detach()
        self.control.detach()
        os.dup2(_STATUS_W, STATUS_FD, inheritable=False)
        linux.close_from(STATUS_FD + 1)
        if kind == "node":
            argv = self.config["node"]
            os.close(STATUS_FD)
            linux.prctl(linux.PR_SET_DUMPABLE, 1)
            os.execve(argv[0], argv, dict(os.environ))
        return True

    def _reap(self):
        while True:
            try:
                pid, status, usage = os.wait3(os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            cell_id = self.mains.pop(pid)
            cell = self.cells.pop(cell_id)
            os.kill(cell.init_pid, _SIGKILL)  # with it ends every process of the cell
            oom = cell.oom_fd >= 0 and os.WIFSIGNALED(status) and _oom_kills(cell.oom_fd) > cell.oom_before
            record = ("end", status, usage.ru_utime, usage.ru_stime, usage.ru_maxrss, cell.cause, oom)
            try:
                os.write(cell.status_fd, frame(record))
            except BrokenPipeError:
                pass  # the server gave this run up
            self._give_up(cell_id, cell)

    def _give_up(self, cell_id, cell):
        """Let go of what is held for a cell that has ended, or never began; last of its mounts, which takes the kernel longest."""
        for fd in (cell.status_fd, cell.oom_fd):
            if fd >= 0:
                os.close(fd)
        self.ending.append(cell)
        self.control.sendall(pack(("ended", cell_id)))
        if cell.tree >= 0:
            os.close(cell.tree)

    def _take_back_networks(self):
        """Reap the inits of cells that have ended: from then on nobody is left in their networks."""
        ending, self.ending = self.ending, []
        for cell in ending:
            if os.waitpid(cell.init_pid, os.WNOHANG | linux.WALL)[0]:
                self.networks.give_back(cell.network)
            else:
                self.ending.append(cell)


def _ints(raw):
    return [int.from_bytes(raw[at : at + 4], sys.byteorder) for at in range(0, len(raw) - len(raw) % 4, 4)]


def _bytes_of(fds):
    return b"".join([fd.to_bytes(4, sys.byteorder) for fd in fds])


def _oom_kills(fd):
    for line in os.pread(fd, 4096, 0).splitlines():
        if line.startswith(b"oom_kill "):
            return int(line.split()[1])
    return 0


def start():
    """Isolate this process and make it a zygote. Returns only in a cell.

    The supervisor writes the uid map, since mapping more than one uid needs its rights; the process that it started forks the
    real zygote into a new pid namespace and ends.
    """
    os.setsid()  # no terminal's Ctrl-C comes here
    # The supervisor ignores these two, and what is ignored is inherited: a program must find them as a shell would leave them.
    _signal.signal(_signal.SIGINT, _signal.default_int_handler)
    _signal.signal(_signal.SIGTERM, _signal.SIG_DFL)
    control = _socket.socket(fileno=CONTROL_FD)
    config = unpack(control.recv(MAX_PACKET))
    if config["real_root"]:  # the real root prepares the tree itself: a user namespace could not reach all of it
        linux.unshare(linux.CLONE_NEWNS)
        build_tree(config["root"], config["mounts"], config["files"], config["homes"])
        os.setgroups([])
        linux.unshare(linux.CLONE_NEWUSER | linux.CLONE_NEWNS | linux.CLONE_NEWPID)
    else:
        linux.unshare(linux.CLONE_NEWUSER | linux.CLONE_NEWNS | linux.CLONE_NEWPID)
    control.sendall(pack(("map", os.getpid())))
    control.recv(MAX_PACKET)
    os.setresgid(UID_INSIDE, UID_INSIDE, UID_INSIDE)
    os.setresuid(UID_INSIDE, UID_INSIDE, UID_INSIDE)
    if not config["real_root"]:
        build_tree(config["root"], config["mounts"], config["files"], config["homes"])
    pid = os.fork()
    if pid:
        control.sendall(pack(("zygote", pid)))
        os._exit(0)
    control.recv(MAX_PACKET)
    linux.prctl(linux.PR_SET_DUMPABLE, 0)
    linux.prctl(linux.PR_SET_PDEATHSIG, _SIGKILL)
    control.detach()
    seal_tree()
    os.chdir("/workspace")
    set_zygote_limits()
    zygote = Zygote(config)
    install(config["seccomp_zygote"])
    for name in [name for name in sys.modules if name == "cell" or name.startswith("cell.")]:
        del sys.modules[name]  # a program sees no trace of these
    python.remember_modules()
    compile("print(1)", "main.py", "exec")  # the first call builds tables that every cell would build again
    gc.collect()
    gc.freeze()
    return zygote.serve()

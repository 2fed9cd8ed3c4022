"""A zygote: a small, single-threaded process that has cells made. It never runs a caller's code.

supervisor ── control socket ──> zygote ── a cell's namespaces ──> template ── clone ──> cell (parked) ── announces its pipes ──> server
                                   └── reaps cells, and writes how a run ended to the run's status pipe
"""

import _signal
import _socket
import os
import runpy
import select
import sys

from cell import linux
from cell.confine import UID_INSIDE, landlock_abi, set_zygote_limits
from cell.linux import MS_NODEV, MS_NOSUID, mount, umount
from cell.networks import Networks
from cell.seccomp import install
from cell.template import start_template
from cell.tree import CellMounts, build_tree, private_paths, seal_tree
from cell.wire import BIND_NOW, CELLS_FD, CONTROL_FD, MAX_PACKET, frame, pack, unpack

_SIGKILL = 9
_SIGCHLD = 17
_LINGER_MS = 2


class _Cell:
    """What is held for a cell; each is taken when it is made, and let go by `Zygote._give_up`."""

    __slots__ = ("cause", "init_pid", "ipc", "network", "oom_before", "oom_fd", "pid", "status_fd", "tree")

    def __init__(self, oom_fd):
        self.pid = self.init_pid = 0
        self.network = None
        self.tree = self.ipc = -1  # its mount and IPC namespaces
        self.status_fd = -1
        self.oom_fd = oom_fd
        self.oom_before = _oom_kills(oom_fd) if oom_fd >= 0 else 0  # groups are used again
        self.cause = None


class Zygote:
    """The state of one zygote process."""

    def __init__(self, config, template, programs):
        self.config = config
        self.template = template
        self.programs = programs  # the template of cells of that kind
        self.templates = {found.pid for found in (template, programs) if found is not None}
        self.control = _socket.socket(fileno=CONTROL_FD)
        self.cells = {}  # id → _Cell
        self.mains = {}  # pid of a cell's first program → id
        self.ended = []  # ids and cells whose end has been told, and for which things are still held
        self.ending = []  # cells whose init was killed and is not yet reaped
        self.networks = Networks()
        self.pid_namespace = os.open("/proc/self/ns/pid", os.O_RDONLY)
        self.mount_namespace = os.open("/proc/self/ns/mnt", os.O_RDONLY)
        self.proc = os.open("/proc", os.O_PATH | os.O_DIRECTORY)  # our own: that of a cell's tree shows only the cell
        self.mounts = CellMounts(private_paths([*config["mounts"], *config["site"][1:]]), config["sizes"], config["homes"] is not None)
        self.children = linux.signal_descriptor(_SIGCHLD)

    def serve(self):
        """Have cells made and end them as told, for ever."""
        poll = select.poll()
        poll.register(CONTROL_FD, select.POLLIN)
        poll.register(self.children, select.POLLIN)
        self.control.sendall(pack(("ready", landlock_abi())))
        while True:
            events = poll.poll(_LINGER_MS if self.ended else None)
            for fd, _ in events:
                if fd == self.children:
                    os.read(fd, 4096)
                    self._reap()
                else:
                    self._command()
            if not events:
                self._clear_away()

    def _command(self):
        data, ancillary, _, _ = self.control.recvmsg(MAX_PACKET, 256, _socket.MSG_CMSG_CLOEXEC)
        if not data:
            os._exit(0)  # the supervisor is gone; this is pid 1 of its namespace, so all cells go with it
        fds = [fd for _, _, raw in ancillary for fd in _ints(raw)]
        message = unpack(data)
        if message[0] == "park":
            _, cell_id, kind, owner, home = message
            self._park(cell_id, kind, owner, home, fds)
        elif message[0] == "kill":
            cell = self.cells.get(message[1])
            if cell is not None:
                cell.cause = cell.cause or message[2]
                os.kill(cell.init_pid, _SIGKILL)
        elif message[0] == "signal":
            cell = self.cells.get(message[1])
            if cell is not None:  # its first program is not reaped yet, so the number is still that of its group
                try:
                    os.killpg(cell.pid, message[2])
                except OSError as error:  # whatever a program has done, this process must not end of it
                    os.write(2, f"cell could not be signalled: {error!r}\n".encode())

    def _park(self, cell_id, kind, owner, home, fds):
        """Have a cell made; `fds` are the two files that put it into its control groups and its out-of-memory counter, or nothing."""
        if self.ended:
            self._clear_away()
        if self.ending:
            self._take_back_networks()
        cell = _Cell(fds[2] if fds else -1)
        try:
            pid = self._make(cell, owner, home, kind, pack((self.config["zygote"], cell_id, kind, home)), fds[:2])
        except OSError as error:  # no memory, descriptor or process is left for it
            os.write(2, f"cell could not be made: {error!r}\n".encode())
            if cell.init_pid:
                os.kill(cell.init_pid, _SIGKILL)
            self._give_up(cell_id, cell)
        else:
            self.mains[pid] = cell_id
            cell.pid = pid
            self.cells[cell_id] = cell
            if self.config["watch"]:
                self.control.sendall(pack(("forked", cell_id, (pid, cell.init_pid))))
        for fd in fds[:2]:
            os.close(fd)

    def _make(self, cell, owner, home, kind, announcement, groups):
        """Make a cell's namespaces, and have it forked into them; returns its pid. Raises OSError; what was taken is in `cell`."""
        cell.network = self.networks.enter(home)
        linux.setns(self.pid_namespace, linux.CLONE_NEWPID)
        linux.unshare(linux.CLONE_NEWPID)
        cell.init_pid = linux.spawn_init()
        pids = self._open_own("pid_for_children")
        status_r = -1
        try:
            try:
                self.mounts.make(owner, home)
                cell.tree, cell.ipc = self._open_own("mnt"), self._open_own("ipc")
            finally:
                linux.setns(self.mount_namespace, linux.CLONE_NEWNS)
            status_r, cell.status_fd = os.pipe2(os.O_CLOEXEC)
            received = (pids, cell.network.fd, cell.tree, cell.ipc, *(groups or [pids, pids]), cell.status_fd, status_r)
            template = self.programs if kind == "program" else self.template
            return template.fork(owner, kind, announcement, received)
        finally:
            os.close(pids)
            if status_r >= 0:
                os.close(status_r)

    def _open_own(self, namespace):
        return os.open("self/ns/" + namespace, os.O_RDONLY | os.O_CLOEXEC, dir_fd=self.proc)

    def _reap(self):
        while True:
            try:
                pid, status, usage = os.wait3(os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if pid in self.templates:
                os._exit(1)  # the supervisor starts another zygote
            if pid not in self.mains:
                continue  # what a program may have made of itself must not end the others
            cell_id = self.mains.pop(pid)
            cell = self.cells.pop(cell_id)
            oom = cell.oom_fd >= 0 and os.WIFSIGNALED(status) and _oom_kills(cell.oom_fd) > cell.oom_before
            record = ("end", status, usage.ru_utime, usage.ru_stime, usage.ru_maxrss, cell.cause, oom)
            try:
                os.write(cell.status_fd, frame(record))
            except BrokenPipeError:
                pass  # the server gave this run up
            os.kill(cell.init_pid, _SIGKILL)  # with it ends every process of the cell
            self.ended.append((cell_id, cell))

    def _clear_away(self):
        """Let go of cells that have ended. Not at once: the server has an answer to give, and the same processors to do it on."""
        ended, self.ended = self.ended, []
        for cell_id, cell in ended:
            self._give_up(cell_id, cell)

    def _give_up(self, cell_id, cell):
        """Let go of what is held for a cell that has ended, or never began; last of its namespaces, which takes the kernel longest."""
        for fd in (cell.status_fd, cell.oom_fd):
            if fd >= 0:
                os.close(fd)
        if cell.init_pid:
            self.ending.append(cell)
        elif cell.network is not None:
            self.networks.give_back(cell.network)
        self.control.sendall(pack(("ended", cell_id)))
        for fd in (cell.ipc, cell.tree):
            if fd >= 0:
                os.close(fd)

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


def _oom_kills(fd):
    for line in os.pread(fd, 4096, 0).splitlines():
        if line.startswith(b"oom_kill "):
            return int(line.split()[1])
    return 0


def _preload(place):
    """Import what a template's programs are to find imported, with a /tmp to write to; returns what each cell is to call."""
    sys.path_importer_cache.clear()  # when this interpreter began, the path was not there
    mount(b"tmp", b"/tmp", b"tmpfs", MS_NOSUID | MS_NODEV, b"size=16m")
    in_cell = runpy.run_path(place + "/preload.py")["in_cell"]
    umount(b"/tmp")
    return in_cell


def start():
    """Isolate this process and make it a zygote. Returns only in a cell.

    The supervisor writes the uid map, since mapping more than one uid needs its rights; the process that it started forks the
    real zygote into a new pid namespace and ends.
    """
    linux.forget_variable(BIND_NOW)
    os.setsid()  # no terminal's Ctrl-C comes here
    # The supervisor ignores these two, and what is ignored is inherited: a program must find them as a shell would leave them.
    _signal.signal(_signal.SIGINT, _signal.default_int_handler)
    _signal.signal(_signal.SIGTERM, _signal.SIG_DFL)
    control = _socket.socket(fileno=CONTROL_FD)
    config = unpack(control.recv(MAX_PACKET))
    if config["real_root"]:  # the real root prepares the tree itself: a user namespace could not reach all of it
        linux.unshare(linux.CLONE_NEWNS)
        build_tree(config["root"], config["mounts"], config["files"], config["homes"], config["site"])
        os.setgroups([])
        linux.unshare(linux.CLONE_NEWUSER | linux.CLONE_NEWNS | linux.CLONE_NEWPID)
    else:
        linux.unshare(linux.CLONE_NEWUSER | linux.CLONE_NEWNS | linux.CLONE_NEWPID)
    control.sendall(pack(("map", os.getpid())))
    control.recv(MAX_PACKET)
    os.setresgid(UID_INSIDE, UID_INSIDE, UID_INSIDE)
    os.setresuid(UID_INSIDE, UID_INSIDE, UID_INSIDE)
    if not config["real_root"]:
        build_tree(config["root"], config["mounts"], config["files"], config["homes"], config["site"])
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
    if config["site"]:
        config["in_cell"] = _preload(config["site"][1])
    template = start_template(config)
    if template is None:
        return
    programs = start_template(config, alone=True) if config["programs"] and not config["homes"] else None
    os.close(CELLS_FD)
    zygote = Zygote(config, template, programs)
    install(config["seccomp_zygote"])
    zygote.serve()

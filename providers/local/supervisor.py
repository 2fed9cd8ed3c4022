"""The supervisor: starts zygotes, hands them work, keeps the one deadline clock, and cleans up when the server is gone.

    server ⇄ supervisor ⇄ zygotes       (packets on unix sockets; each side notices the other's end)

Messages from the server:   ("park", cell, kind, home, owner, lasting)   ("run", cell, wall_ms, memory, processes, cpu_ms)
                            ("kill", cell, cause)   ("signal", cell, number)   ("spent?", cell)
Messages to the server:     ("up", zygote, landlock, cgroup)   ("down", zygote, was ready)   ("lost", cell)
                            ("spent", cell, cpu_ms, peak KiB, has ended): when asked, and of each lasting cell that had a job once more at its end
"""

from __future__ import annotations

import contextlib
import ctypes
import heapq
import os
import select
import signal
import socket
import sys
import time
from dataclasses import dataclass, field
from typing import Any, cast

from sandql.core.spent import Spent
from sandql.providers.local.cell.wire import BIND_NOW, CELLS_FD, CONTROL_FD, MAX_PACKET, pack, unpack
from sandql.providers.local.cgroup import Cgroups
from sandql.providers.local.cputime import PROCESSORS
from sandql.providers.local.host_uids import FIRST_RUN_UID, HOST_UID_BASE, UIDS, is_real_root
from sandql.providers.local.watchdog import Watchdog

_PR_SET_CHILD_SUBREAPER = 36
_RESPAWN_S = 0.05  # a zygote that dies before it is ready is started again after this, then twice as long, …
_MAX_RESPAWN_S = 30.0
_WATCH_S = 0.1

Message = tuple[Any, ...]


@dataclass(slots=True)
class _Zygote:
    name: str
    config: dict[str, Any]
    control: socket.socket
    pid: int
    ready: bool = False
    backlog: list[tuple[bytes, list[int]]] = field(default_factory=list[tuple[bytes, list[int]]])


class Supervisor:
    """The state of the supervisor process; `run` returns when the server is gone."""

    def __init__(self, server: socket.socket, cells: socket.socket, config: dict[str, Any]) -> None:
        self.server = server
        self.cells_socket = cells
        self.config = config
        self.poll = select.poll()
        self.zygotes: dict[str, _Zygote] = {}
        self.by_fd: dict[int, _Zygote] = {}
        self.cells: dict[int, str] = {}  # cell → its zygote
        self.started: set[int] = set()  # cells that have a job
        self.owners: dict[int, int] = {}  # cell → its uid, of those without a home
        self.owners_in_use: set[int] = set()
        self.lasting: set[int] = set()  # cells that stay open, of which the server is told what they use
        self.deadlines: list[tuple[float, int]] = []
        self.cpu_checks: list[tuple[float, int, int]] = []  # when to look, the cell, and its CPU milliseconds
        self.respawns: list[tuple[float, str]] = []
        self.failures: dict[str, int] = {}  # how often a zygote has ended before it was ready, since it last was
        self.next_owner = 0
        self.real_root = is_real_root()
        self.cgroups = Cgroups.detect(config["group"], config["memory_bytes"], config["processes"])
        self.watchdog = Watchdog(config["memory_bytes"]) if self.cgroups.version == "none" else None
        self.next_watch = 0.0

    def run(self) -> None:
        """Serve until the server's socket closes, then end every cell and remove what was made."""
        self.poll.register(self.server, select.POLLIN)
        for name in self.config["zygotes"]:
            self._start_zygote(name)
        try:
            while self._turn():
                pass
        finally:
            for zygote in self.zygotes.values():
                _end(zygote.pid)
            self.cgroups.remove_all()

    def _turn(self) -> bool:
        for fd, events in self.poll.poll(self._timeout_ms()):
            if fd == self.server.fileno():
                if not self._from_server():
                    return False
                continue
            zygote = self.by_fd.get(fd)
            if zygote is not None and events & select.POLLOUT:
                self._flush(zygote)
            if zygote is not None and events & ~select.POLLOUT:
                self._from_zygote(zygote)
        self._pass_deadlines()
        return True

    def _timeout_ms(self) -> float | None:
        moments = [self.deadlines[0][0]] if self.deadlines else []
        moments += [when for when, _ in self.respawns]
        moments += [when for when, _, _ in self.cpu_checks[:1]]
        if self.watchdog is not None and self.watchdog.busy:
            moments.append(self.next_watch)
        return max(0.0, (min(moments) - time.monotonic()) * 1000) + 0.1 if moments else None

    def _pass_deadlines(self) -> None:
        now = time.monotonic()
        while self.deadlines and self.deadlines[0][0] <= now:
            self._kill_cell(heapq.heappop(self.deadlines)[1], "TIMED_OUT")
        while self.cpu_checks and self.cpu_checks[0][0] <= now:
            self._check_cpu(*heapq.heappop(self.cpu_checks)[1:])
        for entry in [entry for entry in self.respawns if entry[0] <= now]:
            self.respawns.remove(entry)
            self._start_zygote(entry[1])
        if self.watchdog is not None and self.watchdog.busy and self.next_watch <= now:
            self._look(self.watchdog)
            self.next_watch = now + max(_WATCH_S, 10 * (time.monotonic() - now))

    def _look(self, watchdog: Watchdog) -> None:
        """See what cells use that no control group counts, and end those that use too much memory."""
        for cell in watchdog.over([zygote.pid for zygote in self.zygotes.values()]):
            self._kill_cell(cell, "OUT_OF_MEMORY")

    def _check_cpu(self, cell: int, allowed_ms: int) -> None:
        """End a cell that has used its processor time; else look again when it could have."""
        if cell not in self.started:
            return
        used_ms = self.cgroups.cpu_ms(cell) if self.watchdog is None else self.watchdog.spent(cell).cpu_ms
        if used_ms >= allowed_ms:
            self._kill_cell(cell, "CPU")
        else:
            again_s = max(_WATCH_S, (allowed_ms - used_ms) / 1000 / PROCESSORS)
            heapq.heappush(self.cpu_checks, (time.monotonic() + again_s, cell, allowed_ms))

    def _from_server(self) -> bool:
        try:
            data = self.server.recv(MAX_PACKET)
        except ConnectionResetError:  # it ended without having read all that we said
            data = b""
        if not data:
            return False
        message = cast("Message", unpack(data))
        verb, cell = message[0], message[1]
        if verb == "park":
            self._park(cell, *message[2:])
        elif verb == "run" and cell in self.cells:
            self.started.add(cell)
            _, _, wall_ms, memory_bytes, processes, cpu_ms_allowed = message
            if memory_bytes != self.config["memory_bytes"] or processes != self.config["processes"]:
                with contextlib.suppress(OSError):
                    self.cgroups.limit(cell, memory_bytes, processes)
            if self.watchdog is not None:
                self.watchdog.add(cell, memory_bytes)
            now = time.monotonic()
            heapq.heappush(self.deadlines, (now + wall_ms / 1000, cell))
            soonest = cpu_ms_allowed / 1000 / PROCESSORS  # with fewer seconds behind it, it cannot have used that much
            if soonest < wall_ms / 1000:
                heapq.heappush(self.cpu_checks, (now + soonest, cell, cpu_ms_allowed))
        elif verb == "kill":
            self._kill_cell(cell, message[2])
        elif verb == "signal":
            self._tell_zygote(cell, message)
        elif verb == "spent?":
            if self.watchdog is not None:
                self._look(self.watchdog)
            self._say_spent(cell, ended=cell not in self.lasting)
        return True

    def _say_spent(self, cell: int, *, ended: bool) -> None:
        spent = Spent()
        with contextlib.suppress(OSError):
            spent = self.cgroups.spent(cell) if self.watchdog is None else self.watchdog.spent(cell)
        self._say(("spent", cell, spent.cpu_ms, spent.peak_memory_kib, ended))

    def _park(self, cell: int, kind: str, home: str | None, owner: int | None, lasting: bool) -> None:
        name = "homes" if home is not None else "fresh"
        if name not in self.zygotes and not any(entry[1] == name for entry in self.respawns):
            self._start_zygote(name)
        if name not in self.zygotes:
            self._say(("lost", cell))
            return
        fds: list[int] = []
        if self.cgroups.folder is not None:
            try:
                group = self.cgroups.take(cell, lasting=lasting)
            except OSError:
                self._say(("lost", cell))
                return
            fds = [group.procs_fd, group.account_fd, group.oom_fd]
        self.cells[cell] = name
        if lasting:
            self.lasting.add(cell)
        zygote = self.zygotes[name]
        packet = pack(("park", cell, kind, self._owner(cell, owner), home))
        self._send(zygote, packet, fds)

    def _owner(self, cell: int, owner: int | None) -> int:
        """The uid of a cell: that of its home, or one that no other cell has, which was another's as long ago as can be."""
        if not self.real_root:
            return 1000
        if owner is not None:
            return owner
        first, count = self.config["run_uids"]
        for _ in range(count):  # there are more than cells, but for a template's engine where very many may run
            self.next_owner = (self.next_owner + 1) % count
            if first + self.next_owner not in self.owners_in_use:
                self.owners[cell] = first + self.next_owner
                self.owners_in_use.add(self.owners[cell])
                break
        return FIRST_RUN_UID + first + self.next_owner

    def _kill_cell(self, cell: int, cause: str) -> None:
        self._tell_zygote(cell, ("kill", cell, cause))

    def _tell_zygote(self, cell: int, message: Message) -> None:
        zygote = self.zygotes.get(self.cells.get(cell, ""))
        if zygote is not None:
            self._send(zygote, pack(message), [])

    def _from_zygote(self, zygote: _Zygote) -> None:
        try:
            data = zygote.control.recv(MAX_PACKET)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._zygote_ended(zygote)
            return
        message = cast("Message", unpack(data))
        if message[0] == "ended":
            if message[1] not in self.started:
                self._say(("lost", message[1]))  # it never became a parked cell, or was none any more
            self._forget(message[1])
        elif message[0] == "forked" and self.watchdog is not None:
            self.watchdog.forked(message[1], message[2])
        elif message[0] == "map":
            self._map_ids(message[1])
            _go(zygote)
        elif message[0] == "zygote":
            os.waitpid(zygote.pid, 0)  # the process that we started ends here; the real zygote is ours as its subreaper
            zygote.pid = message[1]
            _go(zygote)
        elif message[0] == "ready":
            zygote.ready = True
            self.failures.pop(zygote.name, None)
            self._flush(zygote)
            self._say(("up", zygote.name, message[1], self.cgroups.version))

    def _forget(self, cell: int) -> None:
        if cell in self.lasting & self.started:
            self._say_spent(cell, ended=True)
        self.lasting.discard(cell)
        self.cells.pop(cell, None)
        self.owners_in_use.discard(self.owners.pop(cell, -1))
        self.started.discard(cell)
        self.cgroups.give_back(cell)
        if self.watchdog is not None:
            self.watchdog.remove(cell)
        if len(self.deadlines) > 2 * len(self.cells) + 64:
            self.deadlines = [entry for entry in self.deadlines if entry[1] in self.cells]
            heapq.heapify(self.deadlines)
            self.cpu_checks = [entry for entry in self.cpu_checks if entry[1] in self.cells]
            heapq.heapify(self.cpu_checks)

    def _zygote_ended(self, zygote: _Zygote) -> None:
        self.poll.unregister(zygote.control)
        del self.by_fd[zygote.control.fileno()]
        zygote.control.close()
        self.zygotes.pop(zygote.name, None)
        _end(zygote.pid)
        for cell in [cell for cell, name in self.cells.items() if name == zygote.name]:
            self._forget(cell)
        self._say(("down", zygote.name, zygote.ready))
        if zygote.ready:
            self._start_zygote(zygote.name)
            return
        failures = self.failures[zygote.name] = self.failures.get(zygote.name, 0) + 1
        self.respawns.append((time.monotonic() + min(_RESPAWN_S * 2**failures, _MAX_RESPAWN_S), zygote.name))

    def _send(self, zygote: _Zygote, packet: bytes, fds: list[int]) -> None:
        """Send now or when the zygote takes it: waiting for one that waits for us would last for ever."""
        zygote.backlog.append((packet, fds))
        if zygote.ready and len(zygote.backlog) == 1:
            self._flush(zygote)

    def _flush(self, zygote: _Zygote) -> None:
        sent = 0
        try:
            for packet, fds in zygote.backlog:
                socket.send_fds(zygote.control, [packet], fds)
                sent += 1
        except BlockingIOError:
            pass
        except OSError:  # the zygote is gone: its socket's end says so, and its cells are given up there
            sent = len(zygote.backlog)
        del zygote.backlog[:sent]
        self.poll.modify(zygote.control, select.POLLIN | (select.POLLOUT if zygote.backlog else 0))

    def _start_zygote(self, name: str) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        config = {
            **self.config["zygote"],
            "zygote": name,
            "real_root": self.real_root,
            "watch": self.watchdog is not None,
            "grouped": self.watchdog is None,
            "homes": self.config["homes"] if name == "homes" else None,
        }
        pid = os.fork()
        if pid == 0:
            self._become_zygote(theirs)
        theirs.close()
        ours.sendall(pack(config))
        ours.setblocking(False)
        zygote = _Zygote(name, config, ours, pid)
        self.zygotes[name] = zygote
        self.by_fd[ours.fileno()] = zygote
        self.poll.register(ours, select.POLLIN)

    def _become_zygote(self, control: socket.socket) -> None:
        """Exec a clean interpreter: an empty environment but for what every program sees, four pipes and sockets, no signal ignored but our two."""
        try:
            stdin_r, stdin_w = os.pipe()
            stdout_r, stdout_w = os.pipe()
            os.close(stdin_w)
            os.close(stdout_r)
            for fd, target in ((control.fileno(), 10), (self.cells_socket.fileno(), 11), (stdin_r, 12), (stdout_w, 13)):
                os.dup2(fd, 100 + target)
            for fd, target in ((110, CONTROL_FD), (111, CELLS_FD), (112, 0), (113, 1)):
                os.dup2(fd, target)
            os.closerange(5, os.sysconf("SC_OPEN_MAX"))
            os.umask(0o022)
            os.chdir(self.config["run_dir"])
            for number in signal.valid_signals() - {signal.SIGINT, signal.SIGTERM, signal.SIGKILL, signal.SIGSTOP}:
                signal.signal(number, signal.SIG_DFL)  # a server that was started by nohup ignores some, and programs must not
            os.execve(self.config["python"], ["python3", "main.py"], {**self.config["env"], BIND_NOW: "1"})
        finally:
            os._exit(126)

    def _map_ids(self, pid: int) -> None:
        base, count = (HOST_UID_BASE, UIDS) if self.real_root else (os.geteuid(), 1)
        group = HOST_UID_BASE if self.real_root else os.getegid()
        if not self.real_root:
            _write(f"/proc/{pid}/setgroups", "deny")
        _write(f"/proc/{pid}/gid_map", f"1000 {group} {count}")
        _write(f"/proc/{pid}/uid_map", f"1000 {base} {count}")

    def _say(self, message: Message) -> None:
        with contextlib.suppress(OSError):  # the server is gone: the next read says so
            self.server.sendall(pack(message))


def _go(zygote: _Zygote) -> None:
    with contextlib.suppress(OSError):  # it ended in this moment, which its socket says next
        zygote.control.sendall(b"go")


def _write(path: str, text: str) -> None:
    fd = os.open(path, os.O_WRONLY)
    try:
        os.write(fd, text.encode())
    finally:
        os.close(fd)


def _end(pid: int) -> None:
    """Kill a zygote and reap it; the kernel ends all of its cells before it can be reaped."""
    with contextlib.suppress(ProcessLookupError, ChildProcessError):
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def main() -> None:
    """The process's main; its arguments are the descriptors of the server's socket and of that on which cells announce themselves."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the server, whose end we notice
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    server = socket.socket(fileno=int(sys.argv[1]))
    cells = socket.socket(fileno=int(sys.argv[2]))
    for ours in (server, cells):
        os.set_inheritable(ours.fileno(), False)
    data = server.recv(MAX_PACKET)
    if data:
        Supervisor(server, cells, cast("dict[str, Any]", unpack(data))).run()


if __name__ == "__main__":
    sys.exit(main())

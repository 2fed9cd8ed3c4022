"""The template: a warmed interpreter that is forked for each cell, and does nothing else.

A fork makes every page of the process that forks read-only, and each page that it then writes to is copied first. So the zygote,
which has work to do for each cell, forks none itself: it tells this process, whose loop of system calls writes to three pages.

    zygote ── a cell's names and namespaces ──> template ── clone ──> cell, a child of the zygote
           <── its pid, or an error number ────
"""

import _socket
import ctypes
import gc
import os
import sys

from cell import linux, pages, python
from cell.confine import ANSWER, FIRST_RECEIVED, Confinement, landlock_abi, make_ruleset
from cell.loading import looked_up_at_start
from cell.rehearsal import rehearse
from cell.seccomp import install
from cell.wire import FORK_FD, STATUS_FD

_SIGKILL = 9
_RULESET_FD = 5
_KINDS = ("python", "node", "program")


class Template:
    """The zygote's side of it."""

    def __init__(self, pid, socket):
        self.pid = pid
        self._socket = socket

    def fork(self, owner, kind, announcement, fds):
        """Fork a cell; returns its pid. `fds` and the other arguments are as in `Confinement`; the descriptors stay open here.

        Raises OSError: this cell could not be forked. Ends this process when the template is gone: without it there is nothing to do.
        """
        rights = b"".join([fd.to_bytes(4, sys.byteorder) for fd in fds])
        message = Confinement.message(owner, _KINDS.index(kind), announcement)
        try:
            self._socket.sendmsg([message], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, rights)])
        except ConnectionError:
            os._exit(1)
        pid = self.answer()
        if pid < 0:
            raise OSError(-pid, os.strerror(-pid))
        return pid

    def answer(self):
        """Wait for its next word: 0 when it is ready, then the pid of a cell, or a negative error number."""
        try:
            data = self._socket.recv(ANSWER)
        except ConnectionError:
            data = b""
        if not data:
            os._exit(1)
        return int.from_bytes(data, sys.byteorder, signed=True)


def start_template(config, *, alone=False):
    """Fork a template. Returns a `Template` in the zygote, and None in each cell that runs Python.

    With `alone` it is one whose cells wait for a program other than Python; see `Confinement`.
    """
    ours, theirs = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_SEQPACKET)
    pid = os.fork()
    if pid:
        theirs.close()
        template = Template(pid, ours)
        template.answer()
        return template
    try:
        linux.prctl(linux.PR_SET_PDEATHSIG, _SIGKILL)
        ours.detach()
        _serve(theirs.detach(), config, alone)
    except KeyboardInterrupt:  # only a cell is ever sent one
        raise
    except BaseException as error:  # whatever it was, this process must not go on as a second zygote
        os.write(2, f"cell could not be made: {error!r}\n".encode())
        os._exit(125)
    return None


def _serve(zygote_fd, config, alone):
    """Fork cells until the zygote ends. Returns only in a cell."""
    abi = landlock_abi()
    ruleset = make_ruleset(abi) if abi else zygote_fd  # without one its place is taken all the same, so that the next ones are known
    _keep(config, *[sys.modules.pop(name) for name in list(sys.modules) if name.partition(".")[0] == "cell"])  # a program sees no trace of these
    python.remember_modules()
    if not alone:
        pages.use_huge_pages()
        rehearse()
    warm = looked_up_at_start(config["shell"]) if alone and config["shell"] else []
    os.dup2(zygote_fd, FORK_FD)
    os.dup2(ruleset, _RULESET_FD)
    linux.close_from(FIRST_RECEIVED)
    install(config["seccomp_zygote"])
    in_cell = config.get("in_cell")
    confinement = Confinement(config, _RULESET_FD if abi else -1, alone=alone, warm=warm)
    if alone:
        confinement.run_alone()
    before_fork, after_fork = ctypes.pythonapi.PyOS_BeforeFork, ctypes.pythonapi.PyOS_AfterFork_Child
    _keep(confinement)
    gc.collect()
    gc.freeze()
    before_fork()
    kind = _KINDS[confinement.run()]
    after_fork()
    if in_cell is not None:
        in_cell()
    if kind == "node":
        os.close(STATUS_FD)
        linux.prctl(linux.PR_SET_DUMPABLE, 1)
        os.execve(config["node"][0], config["node"], dict(os.environ))


def _keep(*objects):
    """Let these live for ever: to free them would write to each page that they lie on."""
    for kept in objects:
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(kept))

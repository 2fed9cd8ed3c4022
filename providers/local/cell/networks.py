"""Network namespaces for cells: loopback only. One that no socket has left a mark in is used again, since making one costs more
than all the rest of a cell.

A namespace is as new when no process is left in it and the kernel counts for it: no socket, no packet on the loopback, no IPv6 flow
label. There is nothing else in it that a program without capabilities can change, and so nothing that a later one could see.
"""

import _socket
import fcntl
import os
from itertools import pairwise

from cell import linux

_SIOCSIFFLAGS = 0x8914
_LO_UP = b"lo" + bytes(14) + b"\x49\x00" + bytes(22)  # struct ifreq: UP | LOOPBACK | RUNNING
_KEPT = 64  # unused ones that are kept
_MARKS = ("/proc/self/net/dev", "/proc/self/net/sockstat", "/proc/self/net/ip6_flowlabel")
_OF_THE_HOST = (b"orphan", b"alloc", b"mem")  # what sockstat counts for all namespaces together: it says nothing of this one


class Network:
    """A network namespace, and what its counters said when it was new."""

    __slots__ = ("fd", "home", "marks", "new", "users")

    def __init__(self):
        self.users = 0
        self.home = None
        linux.unshare(linux.CLONE_NEWNET)
        control = _socket.socket(_socket.AF_INET, _socket.SOCK_DGRAM)
        try:
            fcntl.ioctl(control.fileno(), _SIOCSIFFLAGS, _LO_UP)
        finally:
            control.close()
        self.fd = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        self.marks = [os.open(path, os.O_RDONLY | os.O_CLOEXEC) for path in _MARKS if os.path.exists(path)]
        self.new = self._read()

    def is_new(self):
        """Whether it is as it was made."""
        return self._read() == self.new

    def close(self):
        """Let go of it; the kernel removes it."""
        os.close(self.fd)
        for fd in self.marks:
            os.close(fd)

    def _read(self):
        return [_own_counts(os.pread(fd, 4096, 0)) for fd in self.marks]


def _own_counts(text):
    """The words of a mark, without the numbers that any traffic of the host changes."""
    return [word for before, word in pairwise(text.split()) if before not in _OF_THE_HOST]


class Networks:
    """The network namespaces of one zygote, which is in one of them at any time: a cell that it forks begins in that one.

    Programs that run in a kept sandbox at the same time are in one namespace, so that they can reach each other.
    """

    def __init__(self):
        self.unused = []
        self.shared = {}  # by the name of the kept workspace

    def enter(self, home):
        """Enter a namespace and return it: one that is as new, or for a kept workspace that of the programs which run there."""
        network = self.shared.get(home) or (self.unused.pop() if self.unused else None)
        if network is None:
            network = Network()
        else:
            linux.setns(network.fd, linux.CLONE_NEWNET)
        network.users += 1
        if home is not None:
            network.home = home
            self.shared[home] = network
        return network

    def give_back(self, network):
        """Say that a process which was in it has ended; after the last one it is kept for another cell if it is as new."""
        network.users -= 1
        if network.users:
            return
        if network.home is not None:
            del self.shared[network.home]
            network.home = None
        if len(self.unused) < _KEPT and network.is_new():
            self.unused.append(network)
        else:
            network.close()

"""Messages with descriptors in them, laid out in memory as sendmsg(2) and recvmsg(2) take them, for a script of system calls.

From the kernel's <linux/socket.h>: struct msghdr is name, its length, iovec, their count, control, its length, flags; struct cmsghdr is
length, level, type, and the descriptors, four bytes each.
"""

import ctypes
import struct

_RIGHTS = struct.pack("=ii", 1, 1)  # SOL_SOCKET, SCM_RIGHTS
_WORD = 8


class Message:
    """A message of `places` pieces of memory and some descriptors; `address` is that of its header.

    The pieces are set by `lay_out`, before the message is sent or received. What is received must have as many descriptors as `fds`,
    which are the numbers of those to send, or zeros.
    """

    def __init__(self, script, places, fds):
        control = struct.pack("@Q", 16 + 4 * len(fds)) + _RIGHTS + struct.pack(f"={len(fds)}i", *fds)
        size = -(-len(control) // _WORD) * _WORD
        self._count = 2 * places
        self._places = script.put(bytes(self._count * _WORD))
        self.address = script.put(struct.pack("=7Q", 0, 0, self._places, places, script.put(control, size), size, 0))

    def lay_out(self, *places):
        """Set where the pieces lie, each an address and a size in bytes."""
        words = (ctypes.c_uint64 * self._count).from_address(self._places)
        words[:] = [word for place in places for word in place]

    def size_address(self, place):
        """Where the size of a piece lies, eight bytes."""
        return self._places + 2 * _WORD * place + _WORD

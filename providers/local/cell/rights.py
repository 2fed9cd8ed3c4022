"""Messages with descriptors in them, laid out in memory as sendmsg(2) and recvmsg(2) take them, for a script of system calls.

From the kernel's <linux/socket.h>: struct msghdr is name, its length, iovec, their count, control, its length, flags; struct cmsghdr is
length, level, type, and the descriptors, four bytes each.
"""

import ctypes
import struct

_SCM_RIGHTS = struct.pack("=ii", 1, 1)  # SOL_SOCKET, SCM_RIGHTS


class Message:
    """A message of some pieces of memory and some descriptors; `address` is that of its header.

    `places` is filled by `lay_out`, before the message is sent or received. What is received must have as many descriptors as `fds`,
    which are the numbers of those to send, or zeros.
    """

    def __init__(self, places, fds):
        self._places = (ctypes.c_uint64 * (2 * places))()
        control = struct.pack("@Q", 16 + 4 * len(fds)) + _SCM_RIGHTS + struct.pack(f"={len(fds)}i", *fds)
        self._control = ctypes.create_string_buffer(control, -(-len(control) // 8) * 8)
        self._header = (ctypes.c_uint64 * 7)(0, 0, ctypes.addressof(self._places), places, ctypes.addressof(self._control), len(self._control), 0)
        self.address = ctypes.addressof(self._header)

    def lay_out(self, *places):
        """Set where the pieces lie, each an address and a size in bytes."""
        self._places[:] = [word for place in places for word in place]

    def size_address(self, place):
        """Where the size of a piece lies, eight bytes."""
        return ctypes.addressof(self._places) + 16 * place + 8

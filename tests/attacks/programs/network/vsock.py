# tries: talk to the hypervisor, which is in no network namespace.
# judged by: the socket can be made. Nothing is sent.
import fcntl
import os
import socket

import probe

found = []
for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_SEQPACKET):
    for family in (40, 40 | 1 << 32):
        fd = probe.libc.syscall(probe.ctypes.c_long(198 if probe.number("iopl") is None else 41), probe.ctypes.c_long(family), probe.ctypes.c_long(kind), probe.ctypes.c_long(0))
        if fd >= 0:
            found.append(f"socket {kind.name}")
            os.close(fd)
try:
    pair = socket.socketpair(40)
    found.append(f"pair {pair}")
except OSError:
    pass
try:
    with open("/dev/vsock", "rb", 0) as device:
        found.append(f"device says {fcntl.ioctl(device, 0x7B9, bytes(4))}")
except OSError:
    pass
probe.verdict(*found)

# tries: push keys into a terminal through one of its own making: the filter must not be fooled by the upper half of the request.
# judged by: TIOCSTI is accepted, also with high bits set.
import ctypes
import os
import pty

import probe

try:
    _, slave = pty.openpty()
except OSError:
    probe.verdict()
os.setsid() if os.getpid() != os.getsid(0) else None
found = []
for request in (0x5412, 0x1_0000_5412):
    probe.libc.ioctl.argtypes = [ctypes.c_int, ctypes.c_ulong, ctypes.c_char_p]
    if probe.libc.ioctl(slave, request, b"x") == 0:
        found.append(hex(request))
probe.verdict(*found)

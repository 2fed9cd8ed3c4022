# tries: the ioctls that change a machine: entropy, block sizes, terminals' line disciplines, file system freezing.
# judged by: one is accepted.
import errno
import fcntl
import os
import pty

import probe

# FITHAW stands for FIFREEZE: it asks for the same right, and does nothing to what is not frozen.
RNDADDTOENTCNT, RNDZAPENTCNT, RNDCLEARPOOL, FITHAW, FITRIM, TIOCSETD = 0x40045201, 0x5204, 0x5206, 0xC0045878, 0xC0185879, 0x5423
found = []
for path, requests in {"/dev/random": (RNDADDTOENTCNT, RNDZAPENTCNT, RNDCLEARPOOL), "/dev/urandom": (RNDADDTOENTCNT,), "/": (FITHAW, FITRIM), "/workspace": (FITHAW, FITRIM), "/tmp": (FITHAW,)}.items():
    try:
        fd = os.open(path, os.O_RDONLY)
    except OSError:
        continue
    for request in requests:
        try:
            fcntl.ioctl(fd, request, bytes(24))
            found.append(f"{hex(request)} on {path}")
        except OSError as error:
            if request == FITHAW and error.errno == errno.EINVAL:
                found.append(f"thawing {path} is allowed")
try:
    _, slave = pty.openpty()
    for discipline in (2, 3, 13, 17, 21, 29):  # those that load modules
        try:
            fcntl.ioctl(slave, TIOCSETD, discipline.to_bytes(4, "little"))
            found.append(f"line discipline {discipline}")
        except OSError:
            pass
except OSError:
    pass
probe.verdict(*found)

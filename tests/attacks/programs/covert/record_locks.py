# tries: signal a run beside it by record locks and leases on a file that both may read.
# judged by: one run feels the other's lock.
# together: a b
# limits: wall_ms=8000
import fcntl
import os
import struct
import sys
import time

import probe

F_OFD_SETLK, F_OFD_GETLK = 37, 36
# The directory / and the nodes of /dev are known to be shared between runs: SECURITY.md.
FILES = [path for path in ("/usr/bin/env", "/etc/passwd", "/usr/lib/os-release", "/etc/ld.so.cache") if os.path.exists(path)]
found = []
if sys.argv[1] == "a":
    fds = [os.open(path, os.O_RDONLY) for path in FILES]
    for fd in fds:
        for command, kind in ((F_OFD_SETLK, fcntl.F_RDLCK), (fcntl.F_SETLK, fcntl.F_RDLCK)):
            try:
                fcntl.fcntl(fd, command, struct.pack("hhqqi4x", kind, 0, 7, 1, 0))
            except OSError:
                pass
        try:
            fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_RDLCK)
            found.append("lease")
        except OSError:
            pass
    time.sleep(2.5)
else:
    until = time.monotonic() + 2
    while time.monotonic() < until and not found:
        for path in FILES:
            fd = os.open(path, os.O_RDONLY)
            for command in (F_OFD_GETLK, fcntl.F_GETLK):
                try:
                    answer = fcntl.fcntl(fd, command, struct.pack("hhqqi4x", fcntl.F_WRLCK, 0, 7, 1, 0))
                except OSError:
                    continue
                if struct.unpack("hhqqi4x", answer)[0] != fcntl.F_UNLCK:
                    found.append(path)
            os.close(fd)
        time.sleep(0.05)
probe.verdict(*found)

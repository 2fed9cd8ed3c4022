# tries: signal a run beside it by locks on a file that both may read.
# judged by: one run feels the other's lock.
# together: a b
# limits: wall_ms=8000
import fcntl
import os
import sys
import time

import probe

# The directory / and the nodes of /dev are known to be shared between runs: SECURITY.md.
FILES = [path for path in ("/usr/bin/env", "/etc/passwd", "/usr/lib/os-release", "/etc/ld.so.cache", "/bin/sh", "/usr", "/proc/version", "/etc", "/tmp", "/proc", "/dev/shm") if os.path.exists(path)]
held = []
found = []
if sys.argv[1] == "a":
    for path in FILES:
        fd = os.open(path, os.O_RDONLY)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            held.append(fd)
        except OSError:
            pass
    time.sleep(2.5)
else:
    until = time.monotonic() + 2
    while time.monotonic() < until and not found:
        for path in FILES:
            fd = os.open(path, os.O_RDONLY)
            try:
                fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                found.append(path)
            except OSError:
                pass
            os.close(fd)
        time.sleep(0.05)
probe.verdict(*found)

# tries: use a descriptor that was left open in this process.
# judged by: any descriptor above 2, or a stdio that is not a pipe.
import fcntl
import os
import stat

import probe

found = []
for fd in range(65536):
    try:
        fcntl.fcntl(fd, fcntl.F_GETFD)
    except OSError:
        continue
    target = os.readlink(f"/proc/self/fd/{fd}")
    if fd > 2:
        found.append(f"{fd} is {target}")
    elif not stat.S_ISFIFO(os.fstat(fd).st_mode) and target != "/dev/null":
        found.append(f"stdio {fd} is {target}")
probe.verdict(*found)

# tries: receive descriptors (SCM_RIGHTS) on any socket that is open, or accept on it.
# judged by: there is any socket.
import os
import socket
import stat

import probe

found = []
for fd in range(1024):
    try:
        if not stat.S_ISSOCK(os.fstat(fd).st_mode):
            continue
    except OSError:
        continue
    found.append(f"socket {fd}")
    left = socket.socket(fileno=os.dup(fd))
    left.setblocking(False)
    try:
        found.append(f"received {left.recvmsg(4096, 4096)}")
    except OSError:
        pass
probe.verdict(*found)

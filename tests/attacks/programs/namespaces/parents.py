# tries: walk from the own namespaces up to the host's by ioctl (NS_GET_PARENT, NS_GET_USERNS).
# judged by: a parent's descriptor is given.
import fcntl
import os

import probe

NS_GET_USERNS, NS_GET_PARENT = 0xB701, 0xB702
found = []
for kind in ("user", "pid", "mnt", "net", "ipc", "uts"):
    try:
        fd = os.open(f"/proc/self/ns/{kind}", os.O_RDONLY)
    except OSError:
        continue
    mine = os.stat("/proc/self/ns/user").st_ino
    for what, request in (("parent", NS_GET_PARENT), ("owner", NS_GET_USERNS)):
        try:
            other = fcntl.ioctl(fd, request)
        except OSError:
            continue
        if os.fstat(other).st_ino != mine:
            found.append(f"{what} of {kind}")
probe.verdict(*found)

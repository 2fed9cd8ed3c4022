# tries: enter the namespaces of process 1, of the parent and its own by setns, by files and by a pidfd.
# judged by: setns is accepted, or a namespace of another is seen.
import os

import probe

found = []
for pid in {1, os.getppid(), os.getpid(), *probe.pids()}:
    for kind in ("cgroup", "ipc", "mnt", "net", "pid", "pid_for_children", "time", "user", "uts"):
        try:
            fd = os.open(f"/proc/{pid}/ns/{kind}", os.O_RDONLY)
        except OSError:
            continue
        if probe.call("setns", fd, 0) == 0:
            found.append(f"{kind} of {pid}")
        os.close(fd)
    pidfd = probe.call("pidfd_open", pid, 0) if pid > 0 else -1
    if pidfd >= 0 and probe.call("setns", pidfd, 0x20000 | 0x40000000) == 0:
        found.append(f"pidfd of {pid}")
probe.verdict(*found)

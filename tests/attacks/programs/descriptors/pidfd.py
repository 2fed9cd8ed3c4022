# tries: copy a descriptor out of process 1 and out of the parent (pidfd_getfd).
# judged by: a descriptor is copied from a process that is not the run's own, or the call reaches the kernel.
import os

import probe

found = []
for pid in [*probe.pids(), os.getppid()]:
    if pid <= 0:
        continue
    pidfd = probe.call("pidfd_open", pid, 0)
    if pidfd >= 0:
        found += [f"{fd} of {pid}" for fd in range(8) if probe.call("pidfd_getfd", pidfd, fd, 0) >= 0]
own = probe.call("pidfd_open", os.getpid(), 0)
if own >= 0 and probe.call("pidfd_getfd", own, 1, 0) >= 0:
    found.append("pidfd_getfd is open")
probe.verdict(*found)

# tries: signal process 1 and the parent by a pidfd and by a queued signal with forged sender.
# judged by: a forged sender is accepted for another process.
import ctypes
import os

import probe

found = []
info = (ctypes.c_int * 32)(10, 0, -6, 0, 1, 0)  # SIGUSR1, SI_TKILL, "from" process 1
for pid in {1, os.getppid(), *probe.pids()} - {os.getpid(), 0}:
    pidfd = probe.call("pidfd_open", pid, 0)
    if pidfd >= 0 and probe.call("pidfd_send_signal", pidfd, 10, info, 0) == 0:
        found.append(f"forged to {pid} by pidfd")
    if probe.call("rt_sigqueueinfo", pid, 10, info) == 0:
        found.append(f"forged to {pid}")
probe.verdict(*found)

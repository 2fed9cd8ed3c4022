# tries: change the limits, the priority, the policy and the processors of process 1 and of the parent.
# judged by: one is changed.
import ctypes
import os

import probe

found = []
for pid in {1, os.getppid(), *probe.pids()} - {0, os.getpid()}:
    # the init of its own process namespace does nothing: its limits are nobody's
    if pid != 1 and probe.call("prlimit64", pid, 7, (ctypes.c_uint64 * 2)(16, 16), 0) == 0:
        found.append(f"limit of {pid}")
    for what, act in (("affinity", lambda: os.sched_setaffinity(pid, {0})), ("priority", lambda: os.setpriority(os.PRIO_PROCESS, pid, 19)), ("policy", lambda: os.sched_setscheduler(pid, os.SCHED_IDLE, os.sched_param(0)))):
        try:
            act()
            found.append(f"{what} of {pid}")
        except OSError:
            pass
    if probe.call("ioprio_set", 1, pid, 3 << 13) == 0:
        found.append(f"disk priority of {pid}")
probe.verdict(*found)

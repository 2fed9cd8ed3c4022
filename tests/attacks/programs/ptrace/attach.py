# tries: trace process 1, the parent and every other process.
# judged by: one can be attached or seized.
import os

import probe

PTRACE_TRACEME, PTRACE_ATTACH, PTRACE_DETACH, PTRACE_SEIZE = 0, 16, 17, 0x4206
found = []
for pid in {1, os.getppid(), *probe.pids()}:
    for what, request in (("attach", PTRACE_ATTACH), ("seize", PTRACE_SEIZE)):
        if pid > 0 and pid != os.getpid() and probe.call("ptrace", request, pid, 0, 0) == 0:
            found.append(f"{what} {pid}")
            probe.call("ptrace", PTRACE_DETACH, pid, 0, 0)
probe.verdict(*found)

# tries: come before everybody else: nice, real-time and deadline scheduling, disk priority.
# judged by: one is accepted.
import os
import struct

import probe

found = []
for value in (-20, -1):
    try:
        os.setpriority(os.PRIO_PROCESS, 0, value)
        found.append(f"nice {value}")
    except OSError:
        pass
for policy in (os.SCHED_FIFO, os.SCHED_RR):
    try:
        os.sched_setscheduler(0, policy, os.sched_param(1))
        found.append(f"policy {policy}")
    except OSError:
        pass
deadline = struct.pack("=IIQiIQQQ", 48, 6, 0, 0, 0, 1_000_000, 10_000_000, 10_000_000)
if probe.call("sched_setattr", 0, deadline, 0) == 0:
    found.append("deadline")
if probe.call("ioprio_set", 1, 0, 1 << 13) == 0:
    found.append("real-time disk")
probe.verdict(*found)

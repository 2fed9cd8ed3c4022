# tries: use up what the kernel counts by user: watches, pipe pages, queues, pending signals.
# judged by: a run beside it has none left.
# together: a b
# limits: wall_ms=8000
import fcntl
import os
import sys
import time

import probe

SMALL = (probe.ctypes.c_long * 8)(0, 1, 16, 0)  # struct mq_attr: one message of 16 bytes
held = []
if sys.argv[1] == "a":
    for _ in range(200):
        if probe.libc.inotify_init1(0) < 0:
            break
    for _ in range(60):
        try:
            pipe = os.pipe()
            fcntl.fcntl(pipe[0], fcntl.F_SETPIPE_SZ, 1 << 20)
            held.append(pipe)
        except OSError:
            break
    for index in range(100):
        probe.call("mq_open", b"m%d" % index, os.O_CREAT | os.O_RDWR, 0o600, SMALL)
    time.sleep(2)
    probe.verdict()
time.sleep(0.8)
found = []
if probe.libc.inotify_init1(0) < 0 and probe.ctypes.get_errno() == 24:
    found.append("no inotify left")
pipe = os.pipe()
if fcntl.fcntl(pipe[0], fcntl.F_GETPIPE_SZ) < 65536:
    found.append("pipes are small")
if probe.call("mq_open", b"mine", os.O_CREAT | os.O_RDWR, 0o600, SMALL) == -24:
    found.append("no queues left")
probe.verdict(*found)

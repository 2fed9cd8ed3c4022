# tries: watch what a run beside it, or the host, opens in the directories that all share.
# judged by: one run sees that the other opened a file.
# together: a b
# limits: wall_ms=8000
import os
import sys
import time

import probe

found = []
if sys.argv[1] == "a":
    until = time.monotonic() + 2
    while time.monotonic() < until:
        probe.read("/usr/lib/os-release", 1)
        time.sleep(0.02)
else:
    fd = probe.libc.inotify_init1(os.O_NONBLOCK)
    if fd >= 0 and probe.libc.inotify_add_watch(fd, b"/usr/lib/os-release", 0x20) >= 0:  # IN_OPEN
        until = time.monotonic() + 1.5
        while time.monotonic() < until and not found:
            time.sleep(0.05)
            try:
                found.append(f"{len(os.read(fd, 4096)) // 16} opens of another")
            except BlockingIOError:
                pass
probe.verdict(*found)

# tries: move other processes'\'' memory about.
# judged by: it is accepted for process 1 or the parent.
import ctypes
import os

import probe

mask = ctypes.c_ulong(1)
found = []
for pid in {1, os.getppid(), *probe.pids()} - {0, os.getpid()}:
    if probe.call("migrate_pages", pid, 64, ctypes.byref(mask), ctypes.byref(mask)) >= 0:
        found.append(f"migrate_pages {pid}")
    if probe.call("move_pages", pid, 0, 0, 0, 0, 0) >= 0:
        found.append(f"move_pages {pid}")
probe.verdict(*found)

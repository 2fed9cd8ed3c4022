# tries: set the clock of the machine (to what it is).
# judged by: it can be set.
import ctypes
import time

import probe

now = time.time()
value = (ctypes.c_long * 2)(int(now), int(now % 1 * 1e9))
found = []
if probe.call("clock_settime", 0, value) == 0:
    found.append("clock_settime")
if probe.call("settimeofday", (ctypes.c_long * 2)(int(now), 0), 0) == 0:
    found.append("settimeofday")
for name, args in {"adjtimex": (), "clock_adjtime": (0,)}.items():
    timex = (ctypes.c_long * 40)(0x4000)  # ADJ_TICK of 10000, which it is
    timex[11] = 10000
    if probe.call(name, *args, timex) >= 0:
        found.append(name)
probe.verdict(*found)

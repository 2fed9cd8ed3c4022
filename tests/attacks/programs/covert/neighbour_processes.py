# tries: take every process that the user may have, so that a run beside it cannot start one.
# judged by: the run beside it cannot fork.
# together: a b
# limits: wall_ms=8000 processes=24 memory_mib=512
# expect: outcome in COMPLETED,FAILED
import os
import sys
import time

import probe

if sys.argv[1] == "a":
    until = time.monotonic() + 2
    while time.monotonic() < until:
        try:
            if os.fork() == 0:
                time.sleep(2.5)
                os._exit(0)
        except OSError:
            time.sleep(0.05)
    probe.verdict()
time.sleep(0.8)
found = []
for _ in range(8):
    try:
        if os.fork() == 0:
            time.sleep(0.3)
            os._exit(0)
    except OSError as error:
        found.append(f"fork: {error}")
probe.verdict(*found[:1])

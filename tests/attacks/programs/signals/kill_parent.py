# tries: kill the parent with each signal, so that it says nothing or the wrong thing of this run.
# judged by: the house's health.
# expect: outcome in COMPLETED,KILLED,FAILED
import os

import probe

if len(probe.pids()) > 12:
    probe.verdict("sees the host's processes")
print("CONTAINED", flush=True)
parent = os.getppid()
for signal in (1, 2, 3, 10, 12, 13, 14, 15, 17, 18, 9):
    if parent > 1:
        try:
            os.kill(parent, signal)
        except OSError:
            pass

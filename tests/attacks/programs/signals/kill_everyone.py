# tries: kill every process that may be killed (-1).
# judged by: the house's health; the run itself ends as it likes.
# expect: outcome in COMPLETED,KILLED,FAILED
import os

import probe

if len(probe.pids()) > 12:  # not in a sandbox at all: say so instead of doing it
    probe.verdict("sees the host's processes")
print("CONTAINED", flush=True)
os.kill(-1, 9)

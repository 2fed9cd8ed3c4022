# tries: kill the own process group, to which a launcher may still belong.
# judged by: the house's health; the run is killed.
# expect: outcome in KILLED,COMPLETED,FAILED
import os

import probe

if len(probe.pids()) > 12:
    probe.verdict("sees the host's processes")
print("CONTAINED", flush=True)
os.kill(0, 9)

# tries: reach processes of the host by number, by signal 0 (which asks and does nothing).
# judged by: a number beyond the run's own is there, by kill, tgkill, a pidfd or a queued signal.
import os

import probe

seen = {*probe.pids(), os.getpid()}
found = []
for pid in range(2, 33000):
    if pid in seen:
        continue
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        continue
    except PermissionError:
        pass
    found.append(pid)
probe.verdict(f"reached {found[:10]}" if found else "")

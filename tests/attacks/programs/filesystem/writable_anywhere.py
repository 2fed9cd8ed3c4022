# tries: find any directory outside the run's own where a file can be made.
# judged by: such a directory.
# limits: wall_ms=20000
import os

import probe

OWN = ("/workspace", "/tmp", "/dev/shm", "/proc", "/sys", "/var/tmp")
found = []
budget = 30000
for folder, folders, _ in os.walk("/"):
    folders[:] = [name for name in folders if os.path.join(folder, name) not in OWN]
    budget -= 1
    if budget < 0 or len(found) > 5:
        break
    path = os.path.join(folder, ".x")
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
    except OSError:
        continue
    os.unlink(path)
    found.append(folder)
probe.verdict(*found)

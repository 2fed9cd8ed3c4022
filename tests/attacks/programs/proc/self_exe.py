# tries: overwrite the program that started this run through /proc/<pid>/exe (how runc was taken over).
# judged by: any exe can be opened for writing, also by a descriptor opened with O_PATH first.
import os

import probe

found = []
for pid in ["self", *probe.pids()]:
    path = f"/proc/{pid}/exe"
    if probe.opens(path, os.O_WRONLY):
        found.append(path)
    try:
        fd = os.open(path, os.O_PATH)
    except OSError:
        continue
    if probe.opens(f"/proc/self/fd/{fd}", os.O_RDWR):
        found.append(path + " by its descriptor")
probe.verdict(*found)

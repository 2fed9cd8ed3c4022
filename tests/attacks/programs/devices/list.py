# tries: find a device that a run has no use for.
# judged by: anything in /dev besides the few that programs need, or a block device anywhere.
import os
import stat

import probe

ALLOWED = {"null", "zero", "full", "random", "urandom", "tty", "ptmx", "pts", "shm", "fd", "stdin", "stdout", "stderr", "core", "mqueue"}
found = [name for name in os.listdir("/dev") if name not in ALLOWED]
for folder, _, files in os.walk("/dev"):
    for name in files:
        mode = os.lstat(os.path.join(folder, name)).st_mode
        if stat.S_ISBLK(mode):
            found.append("block device " + os.path.join(folder, name))
        if folder == "/dev/pts" and name != "ptmx":
            found.append("a terminal of another " + name)
probe.verdict(*found)

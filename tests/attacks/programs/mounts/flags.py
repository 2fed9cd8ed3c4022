# tries: find a mount whose flags are too wide: a writable system, setuid programs or devices in a writable place.
# judged by: a mount point of a cell without read-only, or a writable one without nosuid and nodev.
import os

import probe

WRITABLE = ("/workspace", "/tmp", "/dev/shm", "/var/tmp", "/dev/pts", "/proc", "/dev")
found = []
for line in probe.read("/proc/self/mountinfo").decode().splitlines():
    path, options = line.split()[4:6]
    options = set(options.split(","))
    below = path in WRITABLE or path.startswith(("/dev/", "/proc/"))
    if "rw" in options and not below:
        found.append(f"{path} is writable")
    if not os.access(path, os.W_OK) or not os.path.isdir(path):
        continue
    if "nosuid" not in options:
        found.append(f"{path} takes setuid programs")
    if "nodev" not in options and not path.startswith("/dev"):
        found.append(f"{path} takes devices")
probe.verdict(*found)

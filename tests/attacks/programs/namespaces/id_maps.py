# tries: map itself to another user: write the id maps, use newuidmap, and see which host user it is.
# judged by: a map can be written, or the run is the host's root.
import os
import subprocess

import probe

found = []
for name, text in (("uid_map", "0 0 1"), ("gid_map", "0 0 1"), ("setgroups", "allow"), ("projid_map", "0 0 1")):
    try:
        with open("/proc/self/" + name, "w") as file:
            file.write(text)
        found.append("wrote " + name)
    except OSError:
        pass
for name in ("uid_map", "gid_map"):
    for line in probe.read("/proc/self/" + name).decode().splitlines():
        inside, outside, count = map(int, line.split())
        if outside == 0 and count < 4294967295:
            found.append(f"host root is {inside} in {name}")
        if count == 4294967295 and os.getuid() == 0:
            found.append("root of the host")
for tool in ("newuidmap", "newgidmap"):
    try:
        if subprocess.run([tool, str(os.getpid()), "0", "0", "1"], capture_output=True, timeout=5).returncode == 0:
            found.append(tool)
    except OSError:
        pass
probe.verdict(*found)

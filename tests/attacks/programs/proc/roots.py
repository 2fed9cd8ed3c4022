# tries: reach other roots through /proc/<pid>/root, cwd, exe and map_files.
# judged by: a process whose root or working directory is another system's.
import os

import probe

found = []
mine = os.stat("/")
for pid in probe.pids():
    for link in ("root", "cwd"):
        try:
            there = os.stat(f"/proc/{pid}/{link}")
        except OSError:
            continue
        if link == "root" and not os.path.samestat(there, mine):
            found.append(f"{pid}/{link} is another root")
        for sign in ("root/.bashrc", "etc/shadow", "var/lib/dpkg/status"):
            if os.path.exists(f"/proc/{pid}/{link}/{sign}"):
                found.append(f"{pid}/{link}/{sign}")
probe.verdict(*found)

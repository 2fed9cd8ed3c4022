# tries: leave a memory image on the host, or have the host's handler start a program.
# judged by: a core limit that can be raised, or a core file.
import os
import resource

import probe

found = []
try:
    resource.setrlimit(resource.RLIMIT_CORE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    found.append("core limit raised")
except (ValueError, OSError):
    pass
pid = os.fork()
if pid == 0:
    os.chdir("/tmp")
    os.abort()
if os.WCOREDUMP(os.waitpid(pid, 0)[1]):
    found.append("core was written")
found += [name for folder in ("/tmp", "/workspace") for name in os.listdir(folder) if name.startswith("core")]
probe.verdict(*found)

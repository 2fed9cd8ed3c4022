# tries: leave a memory image on the host, or have the host's handler start a program.
# judged by: a core limit that can be raised, or a core file.
import os
import resource

import probe

found = []
for wanted in (resource.RLIM_INFINITY, 0, 4096):  # a handler that the host pipes cores to is started at any limit but 1, 0 included
    for change in (resource.setrlimit, lambda kind, both: resource.prlimit(0, kind, both)):
        try:
            change(resource.RLIMIT_CORE, (wanted, wanted))
        except (ValueError, OSError):
            pass
if resource.getrlimit(resource.RLIMIT_CORE) != (1, 1):
    found.append("core limit changed: %r" % (resource.getrlimit(resource.RLIMIT_CORE),))
pid = os.fork()
if pid == 0:
    os.chdir("/tmp")
    os.abort()
if os.WCOREDUMP(os.waitpid(pid, 0)[1]):
    found.append("core was written")
found += [name for folder in ("/tmp", "/workspace") for name in os.listdir(folder) if name.startswith("core")]
probe.verdict(*found)

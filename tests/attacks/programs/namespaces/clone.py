# tries: make namespaces by clone, with high bits that a filter may not look at.
# judged by: a child is made in a new namespace.
import os

import probe

SIGCHLD = 17
found = []
for flag in (0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000, 0x7E020000):
    for high in (0, 1 << 32):
        pid = probe.call("clone", flag | SIGCHLD | high, 0, 0, 0, 0)
        if pid == 0:
            os._exit(0)
        if pid > 0:
            os.waitpid(pid, 0)
            found.append(hex(flag | high))
probe.verdict(*found)

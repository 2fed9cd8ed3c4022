# tries: give its own parent, which makes and ends the cells of all, a child that it does not know.
# judged by: a child is made.
import os

import probe

CLONE_PARENT, SIGCHLD = 0x8000, 17
found = []
for high in (0, 1 << 32):
    pid = probe.call("clone", CLONE_PARENT | SIGCHLD | high, 0, 0, 0, 0)
    if pid == 0:
        os._exit(0)
    if pid > 0:
        found.append(hex(CLONE_PARENT | high))
probe.verdict(*found)

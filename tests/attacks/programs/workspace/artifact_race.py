# tries: leave a process that swaps an artifact for a symlink while the server brings it back.
# judged by: the artifact is the run's own bytes or absent.
# artifacts: a.txt
# brings: a.txt?
import ctypes
import os

import probe

with open("a.txt", "w") as file:
    file.write("mine")
os.symlink("/etc/passwd", "b")
if os.fork() == 0:
    os.setsid()
    while True:
        probe.libc.renameat2(ctypes.c_int(-100), b"a.txt", ctypes.c_int(-100), b"b", ctypes.c_uint(2))
print("CONTAINED")

# tries: win a race: swap a directory and a symlink to /etc while the server reads and lists below it.
# judged by: no read gives a byte that the home does not have.
# home: yes
# during: reads d/hostname d/passwd lists d
# limits: wall_ms=4000
import ctypes
import os
import time

import probe

os.makedirs("d", exist_ok=True)
for name in ("hostname", "passwd"):
    with open("d/" + name, "w") as file:
        file.write("of the home")
os.symlink("/etc", "link")
until = time.monotonic() + 2
while time.monotonic() < until:
    probe.libc.renameat2(ctypes.c_int(-100), b"d", ctypes.c_int(-100), b"link", ctypes.c_uint(2))  # RENAME_EXCHANGE
print("CONTAINED")

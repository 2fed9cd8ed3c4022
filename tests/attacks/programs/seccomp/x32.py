# tries: pass the filter by the x32 numbers of the same calls.
# judged by: a call with the x32 bit is answered.
import os
import platform

import probe

X32 = 0x40000000
found = []
if platform.machine() == "x86_64":
    for name, nr, args in (("getpid", 39, ()), ("getuid", 102, ()), ("unshare", 272, (0x10000000,)), ("ptrace", 521, (0, 0, 0, 0)), ("process_vm_readv", 539, (os.getpid(), 0, 0, 0, 0, 0))):
        if probe.in_child(lambda: probe.raw(X32 | nr, *args) >= 0) == 0:
            found.append(name)
probe.verdict(*found)

# tries: make namespaces by clone3, whose flags a filter cannot read, and start a child in another cgroup by it.
# judged by: clone3 does anything but fail.
import ctypes
import os

import probe


def clone3(flags, cgroup=0, size=88):
    fields = [0] * 11
    fields[0], fields[4], fields[10] = flags, 17, cgroup
    args = (ctypes.c_uint64 * 11)(*fields)
    pid = probe.call("clone3", args, size)
    if pid == 0:
        os._exit(0)
    if pid > 0:
        os.waitpid(pid, 0)
    return pid > 0


probe.verdict(*(hex(flags) for flags in (0x10000000, 0x20000, 0x40000000, 0x10000000 | 0x20000000, 0x80, 0x200000000) if clone3(flags)))

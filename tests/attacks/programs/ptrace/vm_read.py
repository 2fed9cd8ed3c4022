# tries: read and write another process's memory by process_vm_readv and process_vm_writev.
# judged by: either reaches the kernel, also for the own process.
import ctypes
import os

import probe


class Iovec(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("length", ctypes.c_size_t)]


buffer = ctypes.create_string_buffer(16)
local = Iovec(ctypes.addressof(buffer), 16)
remote = Iovec(ctypes.addressof(buffer), 16)
found = []
for pid in {1, os.getppid(), os.getpid(), *probe.pids()}:
    for name in ("process_vm_readv", "process_vm_writev"):
        if pid > 0 and probe.reached(name, pid, ctypes.byref(local), 1, ctypes.byref(remote), 1, 0):
            found.append(f"{name} {pid}")
probe.verdict(*found)

# tries: load a program into the kernel, make a map.
# judged by: bpf reaches the kernel.
import ctypes

import probe

found = []
for command, attr in ((0, (ctypes.c_uint32 * 32)(1, 4, 4, 1)), (5, (ctypes.c_uint32 * 32)(1, 0)), (11, (ctypes.c_uint32 * 32)(0)), (18, (ctypes.c_uint32 * 32)(0))):
    if probe.reached("bpf", command, attr, 128):
        found.append(command)
probe.verdict(*found)

# tries: fool checks of arguments by their upper halves, and checks of numbers by numbers that wrap.
# judged by: a denied call works.
import probe

found = []
for what, act in {
    "unshare with high bits": lambda: probe.call("unshare", 0x10000000 | 1 << 32) == 0,
    "number with high bits": lambda: probe.raw((1 << 32) | probe.number("unshare"), 0x10000000) == 0,
    "socket family with high bits": lambda: probe.libc.syscall(probe.ctypes.c_long(198 if probe.number("iopl") is None else 41), probe.ctypes.c_long(38 | 1 << 32), probe.ctypes.c_long(5), probe.ctypes.c_long(0)) >= 0,
    "personality with high bits": lambda: probe.call("personality", 0x0040000 | 1 << 32) >= 0,
    "prctl seccomp off": lambda: probe.libc.prctl(22, 0) == 0,
}.items():
    if probe.in_child(act) == 0:
        found.append(what)
probe.verdict(*found)

# tries: make every kind of namespace, which opens the kernel's privileged half.
# judged by: one is made.
import probe

KINDS = {"time": 0x80, "mount": 0x20000, "cgroup": 0x2000000, "uts": 0x4000000, "ipc": 0x8000000, "user": 0x10000000, "pid": 0x20000000, "net": 0x40000000}
found = [kind for kind, flag in KINDS.items() if probe.in_child(lambda: probe.call("unshare", flag) == 0) == 0]
found += [f"user with {kind}" for kind, flag in KINDS.items() if probe.in_child(lambda: probe.call("unshare", flag | 0x10000000) == 0) == 0]
probe.verdict(*found)

# tries: change the root: pivot_root, chroot, and what lies under the mounts.
# judged by: one works.
import probe

found = []
if probe.in_child(lambda: probe.call("pivot_root", b".", b".") == 0) == 0:
    found.append("pivot_root")
if probe.in_child(lambda: probe.call("chroot", b"/tmp") == 0) == 0:
    found.append("chroot")
if probe.reached("pivot_root", b"/nowhere", b"/nowhere"):
    found.append("pivot_root reaches the kernel")
probe.verdict(*found)

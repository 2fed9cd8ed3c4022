# tries: mount, bind, move, remount and unmount by the old calls.
# judged by: one works.
import probe

MS_RDONLY, MS_REMOUNT, MS_BIND, MS_MOVE, MS_REC, MS_PRIVATE = 1, 32, 4096, 8192, 16384, 1 << 18
found = []
for what, args in {
    "tmpfs": (b"tmpfs", b"/tmp", b"tmpfs", 0, 0), "proc": (b"proc", b"/tmp", b"proc", 0, 0), "sysfs": (b"sysfs", b"/tmp", b"sysfs", 0, 0),
    "devtmpfs": (b"devtmpfs", b"/tmp", b"devtmpfs", 0, 0), "cgroup2": (b"cgroup2", b"/tmp", b"cgroup2", 0, 0), "bind": (b"/", b"/tmp", None, MS_BIND | MS_REC, 0),
    "remount /": (None, b"/", None, MS_REMOUNT | MS_BIND, 0), "remount /usr": (None, b"/usr", None, MS_REMOUNT | MS_BIND, 0), "remount /proc": (b"proc", b"/proc", b"proc", MS_REMOUNT, 0),
    "private": (None, b"/", None, MS_REC | MS_PRIVATE, 0), "move": (b"/tmp", b"/workspace", None, MS_MOVE, 0), "overlay": (b"overlay", b"/tmp", b"overlay", 0, b"lowerdir=/usr,upperdir=/tmp,workdir=/tmp"),
}.items():  # fmt: skip
    if probe.in_child(lambda: probe.call("mount", *args) == 0) == 0:
        found.append(what)
for path in (b"/proc", b"/dev", b"/tmp", b"/workspace", b"/usr", b"/"):
    if probe.in_child(lambda: probe.call("umount2", path, 2) == 0) == 0:
        found.append("unmount " + path.decode())
probe.verdict(*found)

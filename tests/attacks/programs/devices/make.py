# tries: make devices for the host's memory and disks, and open them.
# judged by: one can be made (the whiteout 0:0 is no device).
import os
import stat

import probe

found = []
for what, kind, major, minor in (("mem", stat.S_IFCHR, 1, 1), ("kmsg", stat.S_IFCHR, 1, 11), ("sda", stat.S_IFBLK, 8, 0), ("vda", stat.S_IFBLK, 254, 0), ("loop0", stat.S_IFBLK, 7, 0), ("fuse", stat.S_IFCHR, 10, 229), ("kvm", stat.S_IFCHR, 10, 232), ("null", stat.S_IFCHR, 1, 3)):
    for folder in ("/workspace", "/tmp", "/dev", "/dev/shm"):
        path = f"{folder}/made-{what}"
        try:
            os.mknod(path, kind | 0o600, os.makedev(major, minor))
        except OSError:
            continue
        found.append(path + (" opens" if probe.opens(path, os.O_RDONLY) else ""))
        os.unlink(path)
probe.verdict(*found)

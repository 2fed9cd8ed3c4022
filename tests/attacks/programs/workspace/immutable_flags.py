# tries: make files that even root cannot remove: immutable, append-only, another project's quota.
# judged by: a flag can be set.
import array
import fcntl

import probe

FS_IOC_SETFLAGS, FS_IOC_FSSETXATTR = 0x40086602, 0x401C5820
found = []
with open("f", "w") as file:
    for what, flag in (("immutable", 0x10), ("append-only", 0x20)):
        try:
            fcntl.ioctl(file, FS_IOC_SETFLAGS, array.array("l", [flag]))
            found.append(what)
        except OSError:
            pass
    try:
        fcntl.ioctl(file, FS_IOC_FSSETXATTR, array.array("I", [0x10, 0, 0, 4242, 0, 0, 0]))
        found.append("flags of an xattr")
    except OSError:
        pass
probe.verdict(*found)

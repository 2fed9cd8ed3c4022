# tries: give files capabilities, trusted attributes and access lists.
# judged by: a privileged attribute can be set.
import os
import struct

import probe

with open("f", "w"):
    pass
found = []
caps = struct.pack("<IIIII", 0x02000001, 0xFFFFFFFF, 0, 0xFFFFFFFF, 0)
for name, value in (("security.capability", caps), ("trusted.x", b"x"), ("trusted.overlay.opaque", b"y"), ("security.ima", b"x")):
    try:
        os.setxattr("f", name, value)
        found.append(name)
    except OSError:
        pass
probe.verdict(*found)

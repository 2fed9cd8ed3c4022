# tries: lock memory, take huge pages, hold secret memory, past what the run may have.
# judged by: more than its memory limit can be locked or taken.
# limits: wall_ms=5000 memory_mib=96
# expect: outcome in COMPLETED,OUT_OF_MEMORY,KILLED,FAILED
import mmap
import os

import probe

found = []
MAP_HUGETLB, MCL_FUTURE = 0x40000, 2
if probe.libc.mlockall(MCL_FUTURE) == 0:
    try:
        page = mmap.mmap(-1, 256 << 20)
        found.append("locked 256 MiB")
    except OSError:
        pass
try:
    page = mmap.mmap(-1, 2 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | MAP_HUGETLB)
    page[0] = 1
    found.append("huge page")
except OSError:
    pass
fd = probe.raw(447, 0)
if fd >= 0:
    os.ftruncate(fd, 256 << 20)
    try:
        page = mmap.mmap(fd, 256 << 20)
        page.write(b"x" * (256 << 20))
        found.append("secret memory")
    except OSError:
        pass
probe.verdict(*found)

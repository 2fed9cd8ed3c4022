# tries: take the inotify watches that the host's user has for everybody.
# judged by: one run has more than its 4,096.
# limits: wall_ms=20000
import os

import probe

watches = set()
fds = [fd for fd in (probe.libc.inotify_init1(0) for _ in range(8)) if fd >= 0]
for top, folders, files in os.walk("/usr"):
    for name in (*folders, *files):
        for fd in fds:
            number = probe.libc.inotify_add_watch(fd, os.fsencode(os.path.join(top, name)), 0x2)  # IN_MODIFY
            if number >= 0:
                watches.add((fd, number))
    if len(watches) > 4096:
        break
probe.verdict(*([f"{len(watches)} watches"] if len(watches) > 4096 else []))

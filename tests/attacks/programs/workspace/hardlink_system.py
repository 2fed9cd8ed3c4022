# tries: hard-link setuid programs and secrets of the system into the workspace.
# judged by: a link can be made.
import os

import probe

found = []
for path in ("/usr/bin/su", "/usr/bin/sudo", "/usr/bin/passwd", "/usr/bin/mount", "/etc/shadow", "/etc/passwd", "/usr/bin/env", "/proc/self/exe", "/proc/self/fd/0", "/dev/null"):
    for folder in ("/workspace", "/tmp"):
        try:
            os.link(path, folder + "/linked", follow_symlinks=False)
        except OSError:
            continue
        os.unlink(folder + "/linked")
        found.append(f"{path} into {folder}")
probe.verdict(*found)

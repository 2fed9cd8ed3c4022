# tries: make a setuid program in the workspace and gain by it.
# judged by: it runs as another user or group than before.
import os
import shutil
import subprocess

import probe

found = []
for folder in ("/workspace", "/tmp", "/dev/shm"):
    target = folder + "/myid"
    try:
        shutil.copy("/usr/bin/id", target)
        os.chmod(target, 0o6755)
        said = subprocess.run([target, "-u"], capture_output=True, text=True, timeout=5).stdout.strip()
    except OSError:
        continue
    if said and said != str(os.getuid()):
        found.append(f"{folder}: {said}")
    os.unlink(target)
probe.verdict(*found)

# tries: leave poisoned bytecode in a __pycache__ that the next run imports.
# judged by: a __pycache__ of the library that can be written, or a cache prefix that can be set for others.
import os
import sys
import sysconfig

import probe

found = []
for base in {sysconfig.get_path("stdlib"), sysconfig.get_path("purelib"), "/usr/lib/python3/dist-packages", "/usr/local/lib/python3.11/dist-packages", *sys.path}:
    for folder in (base, os.path.join(base, "__pycache__"), os.path.join(base, "encodings", "__pycache__")):
        if folder.startswith(("/workspace", "/tmp")) or not os.path.isdir(folder):
            continue
        for name in ("sitecustomize.py", "evil.pth", os.path.basename(folder)):
            if probe.opens(os.path.join(folder, name), os.O_CREAT | os.O_WRONLY):
                found.append(os.path.join(folder, name))
probe.verdict(*found)

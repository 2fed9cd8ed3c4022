# tries: change the interpreter, its library and the C library that the next run will use.
# judged by: one of them can be opened for writing, renamed, relinked or re-moded.
import ctypes.util
import os
import sys

import probe

found = []
for path in {sys.executable, os.path.realpath(sys.executable), os.__file__, os.path.dirname(os.__file__), "/bin/sh", "/usr/bin/env", "/etc/passwd", "/etc/ld.so.cache", "/usr/lib/x86_64-linux-gnu/libc.so.6"}:
    if not os.path.exists(path):
        continue
    if not os.path.isdir(path) and probe.opens(path, os.O_RDWR):
        found.append("open for writing " + path)
    if os.access(path, os.W_OK):
        found.append("access says writable " + path)
    mode = os.stat(path).st_mode & 0o7777
    for what, act in (
        ("chmod", lambda: os.chmod(path, mode)),
        ("utime", lambda: os.utime(path)),
        ("rename", lambda: (os.rename(path, path + ".x"), os.rename(path + ".x", path))),
        ("link", lambda: (os.link(path, path + ".x"), os.unlink(path + ".x"))),
    ):
        try:
            act()
        except OSError:
            continue
        found.append(f"{what} {path}")
probe.verdict(*found)

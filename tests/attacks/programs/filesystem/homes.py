# tries: list the places where people and services keep what is theirs.
# judged by: one of them can be listed and has more than a compiler.
import os

import probe

TOOLCHAINS = (".rustup", ".pyenv")  # compilers that are installed there are shown read-only, and nothing beside them

found = []
for path in ("/root", "/home", "/opt", "/srv", "/mnt", "/media", "/var/lib", "/var/log", "/var/spool", "/var/backups", "/run", "/boot", "/lost+found", "/var/mail"):
    try:
        names = os.listdir(path)
    except OSError:
        continue
    names = [name for name in names if name not in TOOLCHAINS]
    if names:
        found.append(f"{path} has {names[:3]}")
probe.verdict(*found)

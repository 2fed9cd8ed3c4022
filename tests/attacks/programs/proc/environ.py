# tries: read the environment of every process that can be seen, this one's original block included.
# judged by: a secret in one of them, or a variable that only a server has.
import os

import probe

found = []
for pid in [*probe.pids(), os.getpid()]:
    block = probe.read(f"/proc/{pid}/environ")
    if probe.PREFIX.encode() in block:
        found.append(f"secret in the environment of {pid}")
    for word in (b"SANDQL", b"TOKEN", b"VIRTUAL_ENV", b"PYTEST", b"SSH_", b"SUDO_", b"/root"):
        if word in block:
            found.append(f"{word.decode()} in the environment of {pid}")
if any(probe.PREFIX in value for value in os.environ.values()):
    found.append("secret in os.environ")
probe.verdict(*found)

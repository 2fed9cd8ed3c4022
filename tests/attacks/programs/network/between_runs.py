# tries: talk to a run beside it: TCP on loopback, abstract sockets, files.
# judged by: one run hears another.
# together: a b
# limits: wall_ms=8000
import os
import socket
import sys
import time

import probe

me = sys.argv[1]
found = []
listener = socket.create_server(("127.0.0.1", 47112 if me == "a" else 47113))
quiet = socket.socket(socket.AF_UNIX)
quiet.bind(b"\0beside-" + me.encode())
quiet.listen()
for folder in ("/tmp", "/dev/shm", "/var/tmp", "/workspace", "/run", "/dev"):
    try:
        with open(f"{folder}/beside-{me}", "w") as file:
            file.write(me)
    except OSError:
        pass
other = "b" if me == "a" else "a"
until = time.monotonic() + 1.5
while time.monotonic() < until and not found:
    with socket.socket() as client:
        if client.connect_ex(("127.0.0.1", 47112 if other == "a" else 47113)) == 0:
            found.append("loopback")
    with socket.socket(socket.AF_UNIX) as client:
        if client.connect_ex(b"\0beside-" + other.encode()) == 0:
            found.append("abstract socket")
    for folder in ("/tmp", "/dev/shm", "/var/tmp", "/workspace", "/run", "/dev"):
        if os.path.exists(f"{folder}/beside-{other}"):
            found.append(f"file in {folder}")
    time.sleep(0.05)
probe.verdict(*found)

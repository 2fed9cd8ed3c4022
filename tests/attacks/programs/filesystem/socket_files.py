# tries: find the socket of a service of the host (docker, dbus, the server itself) and connect.
# judged by: any socket file outside the run's own directories, or one that takes a connection.
# limits: wall_ms=20000
import os
import socket
import stat

import probe

found = []
for base in ("/run", "/var", "/tmp", "/dev", "/etc", "/workspace", "/root", "/home"):
    for folder, _, files in os.walk(base):
        for name in files:
            path = os.path.join(folder, name)
            if stat.S_ISSOCK(os.lstat(path).st_mode):
                found.append(path)
for path in ("/var/run/docker.sock", "/run/containerd/containerd.sock", "/run/dbus/system_bus_socket", "/run/systemd/private", "/dev/log"):
    with socket.socket(socket.AF_UNIX) as client:
        if client.connect_ex(path) == 0:
            found.append("connected to " + path)
probe.verdict(*found[:10])

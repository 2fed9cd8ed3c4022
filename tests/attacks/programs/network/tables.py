# tries: see the host's sockets and interfaces in the kernel's tables.
# judged by: a listening socket, a marked name, or an interface besides lo.
import socket

import probe

found = []
for name in ("tcp", "tcp6", "udp", "udp6", "raw", "packet", "unix", "netlink", "vsock"):
    for line in probe.read("/proc/net/" + name).decode(errors="replace").splitlines()[1:]:
        if name not in ("netlink",):
            found.append(f"{name}: {line.split()[-1] if name == 'unix' else line.split()[1]}")
found += [name for _, name in socket.if_nameindex() if name != "lo"] if hasattr(socket, "if_nameindex") else []
for line in probe.read("/proc/net/route").decode().splitlines()[1:]:
    found.append("route " + line.split()[0])
probe.verdict(*found[:10])

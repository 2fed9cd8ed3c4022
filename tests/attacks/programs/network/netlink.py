# tries: reach the kernel's netlink families: netfilter, xfrm, audit, sockets' diagnosis, uevents; add a link, an address.
# judged by: another family than route can be made, or a change is accepted.
import socket
import struct

import probe

found = []
for protocol in range(1, 23):
    try:
        socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, protocol).close()
    except OSError:
        continue
    found.append(f"family {protocol}")
try:
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as route:
        route.settimeout(1)
        route.bind((0, 0))
        body = struct.pack("=BxHiII", 0, 0, 0, 0, 0) + struct.pack("=HH5s3x", 9, 3, b"dumm\0") + struct.pack("=HH", 16, 18) + struct.pack("=HH6s2x", 10, 1, b"dummy\0")
        route.send(struct.pack("=IHHII", 16 + len(body), 16, 0x605, 1, 0) + body)
        route.recv(4096)
except OSError:
    pass
if any(name != "lo" for _, name in socket.if_nameindex()):
    found.append("another link")
probe.verdict(*found)

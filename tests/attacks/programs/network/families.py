# tries: make a socket of every family that the kernel may have, most of which have had holes, and some of which pass a network namespace.
# judged by: one that is not unix, internet or route netlink can be made.
import socket

import probe

found = []
for family in range(1, 47):
    if family in (socket.AF_UNIX, socket.AF_INET, socket.AF_INET6, socket.AF_NETLINK):
        continue
    for kind in (1, 2, 3, 5):
        for protocol in (0, 1, 7, 0x0300):
            try:
                socket.socket(family, kind, protocol).close()
            except OSError:
                continue
            found.append(f"{family}/{kind}/{protocol}")
            break
probe.verdict(*found)

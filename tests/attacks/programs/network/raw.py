# tries: make raw, packet and crypto sockets.
# judged by: one can be made.
import socket

import probe

found = []
for what, args in {
    "raw icmp": (socket.AF_INET, socket.SOCK_RAW, 1), "raw tcp": (socket.AF_INET, socket.SOCK_RAW, 6), "raw6": (socket.AF_INET6, socket.SOCK_RAW, 58),
    "packet raw": (socket.AF_PACKET, socket.SOCK_RAW, 0x0300), "packet dgram": (socket.AF_PACKET, socket.SOCK_DGRAM, 0x0300), "alg": (38, socket.SOCK_SEQPACKET, 0),
    "xdp": (44, socket.SOCK_RAW, 0),
}.items():  # fmt: skip
    try:
        socket.socket(*args).close()
    except OSError:
        continue
    found.append(what)
probe.verdict(*found)

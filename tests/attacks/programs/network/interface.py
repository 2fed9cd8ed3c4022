# tries: change the network: addresses, flags, routes by ioctl.
# judged by: a change is accepted.
import fcntl
import socket
import struct

import probe

found = []
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
    address = struct.pack("=16sH2s4s8x", b"lo", socket.AF_INET, b"\0\0", socket.inet_aton("169.254.169.254"))
    for what, request, value in (
        ("address", 0x8916, address), ("flags", 0x8914, struct.pack("=16sH14x", b"lo", 0)), ("mtu", 0x8922, struct.pack("=16si12x", b"lo", 9000)),
        ("route", 0x890B, bytes(120)), ("arp", 0x8955, bytes(68)), ("tunnel", 0x89F1, bytes(40)), ("bridge", 0x89A0, b"br9\0"),
    ):  # fmt: skip
        try:
            fcntl.ioctl(control, request, value)
            found.append(what)
        except OSError:
            pass
probe.verdict(*found)
